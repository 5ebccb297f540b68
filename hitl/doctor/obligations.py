"""What should have happened by now: every obligation is a row with a due time."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet

from deliveries.models import Delivery
from events.webhooks import sending as webhooks
from hitl.doctor.findings import FAIL, OK, WARN, Finding
from hitl.lib.db import database_now
from workflows.models import ExecutionAttempt, Status, Workflow

TOPIC = "obligations"
PATIENCE = dt.timedelta(seconds=60)
RECENT = dt.timedelta(hours=24)


def look() -> list[Finding]:
    """Whatever is overdue, and the messages that were given up lately."""
    now = database_now()
    found = [
        _late(now, rows, due, what)
        for rows, due, what in (
            (_to_send(now), "next_retry_at", "Messages that wait to be sent"),
            (Delivery.objects.all(), "update_due_at", "Sent messages to tell the outcome"),
            (_open(), "expires_at", "Requests past their deadline"),
            (Workflow.objects.all(), "execution_due_at", "Approved actions that have not begun"),
            (_to_post(now), "next_attempt_at", "Webhooks that wait to be sent"),
            (_running(), "lease_until", "Attempts that fell silent"),
        )
    ]
    late = [each for each in found if each]
    return [*(late or [Finding(TOPIC, OK, "Nothing is overdue.")]), *_given_up(now)]


def _to_send(now: dt.datetime) -> QuerySet[Any]:
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    waiting = Delivery.objects.filter(status=Delivery.Status.PENDING)
    return waiting.filter(Q(claimed_at=None) | Q(claimed_at__lt=stale))


def _to_post(now: dt.datetime) -> QuerySet[Any]:
    """Those of endpoints that are on and not left alone: the others wait on purpose."""
    may = Q(endpoint__rests_until=None) | Q(endpoint__rests_until__lt=now - PATIENCE)
    return webhooks.due(now).filter(may, endpoint__is_active=True)


def _open() -> QuerySet[Any]:
    return Workflow.objects.filter(status=Status.PENDING, held_at=None)


def _running() -> QuerySet[Any]:
    return ExecutionAttempt.objects.filter(status=ExecutionAttempt.Status.OPEN)


def _late(now: dt.datetime, rows: QuerySet[Any], due: str, what: str) -> Finding | None:
    overdue = rows.order_by().filter(**{f"{due}__lte": now - PATIENCE})
    told = overdue.aggregate(count=Count("pk"), oldest=Min(due))
    if not told["count"]:
        return None
    says = f"{what}: {told['count']}, the oldest due for {_words(now - told['oldest'])}."
    why = "Nobody comes to do it: worker or beat do not run, or cannot keep up."
    if settings.EMBEDDED:
        return Finding(TOPIC, FAIL, says, why, "Start manage.py up, and look at its log.")
    remedy = "Start manage.py worker and one manage.py beat, and look at their logs."
    return Finding(TOPIC, FAIL, says, why, remedy)


def _given_up(now: dt.datetime) -> list[Finding]:
    lost = Delivery.objects.filter(status=Delivery.Status.FAILED, updated_at__gte=now - RECENT)
    newest = lost.order_by("-updated_at").first()
    if newest is None:
        return []
    says = f"Messages given up in the last 24 hours: {lost.count()}."
    why = f"The newest, by {newest.get_channel_display()}: {newest.last_error}"
    remedy = "Mend the cause, then send them again in the admin under Messages."
    return [Finding(TOPIC, WARN, says, why, remedy)]


def _words(age: dt.timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    for name, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes >= size:
            count = minutes // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "a minute"
