"""Reads of the log."""

from uuid import UUID

from django.db.models import QuerySet

from events.models import Event


def timeline(workflow_id: UUID, *, after: int = 0) -> QuerySet[Event]:
    """The workflow's events with a number above `after`, in order."""
    return Event.objects.filter(workflow_id=workflow_id, seq__gt=after).order_by("seq")


def last_seq(workflow_id: UUID) -> int:
    """The number of the newest event, 0 where there is none."""
    newest = (
        Event.objects.filter(workflow_id=workflow_id)
        .order_by("-seq")
        .values_list("seq", flat=True)
        .first()
    )
    return newest or 0
