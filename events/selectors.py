"""Reads of the log."""

from uuid import UUID

from django.db.models import QuerySet

from events.models import Event
from events.types import EventType
from hitl.lib.actor import Actor


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


def newest(workflow_id: UUID, type_: str) -> Event | None:
    """The workflow's last event of this type."""
    rows = Event.objects.filter(workflow_id=workflow_id, type=type_)
    return rows.order_by("-seq").first()


def was_refused(workflow_id: UUID, round: int, actor: Actor, why: str) -> bool:  # the wire name
    """Whether this very refusal is on record already."""
    return Event.objects.filter(
        workflow_id=workflow_id,
        round=round,
        type=EventType.HUMAN_REFUSED,
        actor=actor.as_dict(),
        data={"reason": why},
    ).exists()
