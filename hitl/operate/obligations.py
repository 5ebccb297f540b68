"""What should have happened by now: each obligation is a row with a due time, found by an index."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery

from deliveries.models import Delivery
from events.models import WebhookEndpoint
from events.webhooks import sending as webhooks
from workflows.models import ExecutionAttempt, Status, Workflow

# Sweeps come every few seconds: what is late by more than this is not being done.
PATIENCE = dt.timedelta(seconds=60)


@dataclass(frozen=True)
class Kind:
    """One sort of obligation: `rows(now)` still owe something, each at its time `due`."""

    name: str
    says: str
    due: str
    rows: Callable[[dt.datetime], QuerySet[Any]]

    def overdue(self, moment: dt.datetime, now: dt.datetime) -> QuerySet[Any]:
        """What was due at that moment and still is to be done."""
        return self.rows(now).order_by().filter(**{f"{self.due}__lte": moment})

    def oldest(self, now: dt.datetime) -> float:
        """For how many seconds the oldest has been due; 0 where none is."""
        first = self._first(now)
        return max((now - first).total_seconds(), 0.0) if first else 0.0

    def _first(self, now: dt.datetime) -> dt.datetime | None:
        if self.name == WEBHOOKS:
            return _first_webhook(now)
        times = self.overdue(now, now).order_by(self.due).values_list(self.due, flat=True)
        return times.first()


def _to_send(now: dt.datetime) -> QuerySet[Any]:
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    waiting = Delivery.objects.filter(status=Delivery.Status.PENDING)
    return waiting.filter(Q(claimed_at=None) | Q(claimed_at__lt=stale))


def _to_update(_now: dt.datetime) -> QuerySet[Any]:
    return Delivery.objects.filter(update_due_at__isnull=False)


def _open(_now: dt.datetime) -> QuerySet[Any]:
    return Workflow.objects.filter(status=Status.PENDING, held_at=None)


def _with_steps(_now: dt.datetime) -> QuerySet[Any]:
    return Workflow.objects.filter(status=Status.PENDING, next_step_at__isnull=False)


def _to_execute(_now: dt.datetime) -> QuerySet[Any]:
    return Workflow.objects.filter(execution_due_at__isnull=False)


def _running(_now: dt.datetime) -> QuerySet[Any]:
    return ExecutionAttempt.objects.filter(status=ExecutionAttempt.Status.OPEN)


def _to_post(now: dt.datetime) -> QuerySet[Any]:
    """Those of endpoints that are on and not left alone: the others wait on purpose."""
    may = Q(endpoint__rests_until=None) | Q(endpoint__rests_until__lt=now - PATIENCE)
    return webhooks.due(now).filter(may, endpoint__is_active=True)


def _first_webhook(now: dt.datetime) -> dt.datetime | None:
    """The oldest of each endpoint, and the oldest of those: the index is by endpoint."""
    waiting = webhooks.due(now).filter(endpoint=OuterRef("pk")).order_by("next_attempt_at")
    may = Q(rests_until=None) | Q(rests_until__lt=now - PATIENCE)
    rows = WebhookEndpoint.objects.filter(may, is_active=True).order_by()
    found = rows.annotate(first=Subquery(waiting.values("next_attempt_at")[:1]))
    return min((each for each in found.values_list("first", flat=True) if each), default=None)


WEBHOOKS = "webhooks"
KINDS = (
    Kind("deliveries", "Messages that wait to be sent", "next_retry_at", _to_send),
    Kind("updates", "Sent messages to tell the outcome", "update_due_at", _to_update),
    Kind("requests", "Requests past their deadline", "expires_at", _open),
    Kind("steps", "Reminders and steps of escalations", "next_step_at", _with_steps),
    Kind("executions", "Approved actions that have not begun", "execution_due_at", _to_execute),
    Kind(WEBHOOKS, "Webhooks that wait to be sent", "next_attempt_at", _to_post),
    Kind("attempts", "Attempts that fell silent", "lease_until", _running),
)
