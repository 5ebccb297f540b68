"""Send again: one message, or everything of a time range. The `webhook-id` stays what it was."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from events.models import Event
from events.webhooks import endpoints, filters, outbox
from events.webhooks.models import WebhookEndpoint, WebhookMessage
from events.webhooks.wakeups import wake
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, FieldError, InvalidInput, NotFound

MAX_EVENTS = 10_000  # in one replay
BATCH = 500
NO_MESSAGE = "There is no such webhook message."
Status = WebhookMessage.Status


class BeingSent(Conflict):
    """A worker has the message in hand at this moment."""

    code = "cannot-resend"
    title = "The message cannot be sent again"


@dataclass(frozen=True)
class Replay:
    """What a replay put on its way: messages that had not existed, and ones sent once more."""

    added: int
    requeued: int


@transaction.atomic
def resend(endpoint_id: UUID, message_id: UUID) -> WebhookMessage:
    """Put one message back on the schedule, whatever became of it; body and id are unchanged.

    Raises NotFound, EndpointOff, and BeingSent.
    """
    endpoint = endpoints.lock(endpoint_id)
    rows = WebhookMessage.objects.select_for_update(no_key=True)
    message = rows.filter(endpoint=endpoint, pk=message_id).first()
    if message is None:
        raise NotFound(NO_MESSAGE)
    endpoints.check_on(endpoint)
    now = database_now()
    stale = now - dt.timedelta(seconds=settings.WEBHOOK_CLAIM_SECONDS)
    if message.claimed_at is not None and message.claimed_at >= stale:
        raise BeingSent("This message is being sent at this moment.")
    _requeue(WebhookMessage.objects.filter(pk=message.pk), now)
    _wake_up(endpoint)
    message.refresh_from_db()
    return message


def _requeue(rows: QuerySet[WebhookMessage], now: dt.datetime) -> int:
    return rows.update(
        status=Status.PENDING,
        next_attempt_at=now,
        claimed_at=None,
        scheduled_from=F("attempts"),
        delivered_at=None,
    )


def _wake_up(endpoint: WebhookEndpoint) -> None:
    """A person says that it is time: a rest of the endpoint is over."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(rests_until=None)
    wake(endpoint.pk)


@transaction.atomic
def replay(
    endpoint_id: UUID, *, since: dt.datetime, until: dt.datetime, delivered: bool = False
) -> Replay:
    """Send every event of the range (`since` included, `until` not) that has not arrived.

    Also events from when the endpoint was off, did not exist or did not ask for them: today's
    filters count. `delivered` sends what has arrived once more, too. What waits already goes on
    waiting. Raises NotFound, EndpointOff, and InvalidInput for a range that is empty or too large.
    """
    _check_range(since, until)
    endpoint = endpoints.lock(endpoint_id)
    endpoints.check_on(endpoint)
    wanted = list(_wanted(endpoint, since, until))
    if len(wanted) > MAX_EVENTS:
        message = f"The range holds more than {MAX_EVENTS} events: choose a shorter one."
        raise InvalidInput(message, [FieldError("/until", message)])
    now, added, requeued = database_now(), 0, 0
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        added += _add(endpoint, batch, now)
        requeued += _again(endpoint, batch, now, delivered=delivered)
    _wake_up(endpoint)
    return Replay(added, requeued)


def _check_range(since: dt.datetime, until: dt.datetime) -> None:
    if since >= until:
        message = "The range ends before it begins."
        raise InvalidInput(message, [FieldError("/until", message)])


def _wanted(
    endpoint: WebhookEndpoint, since: dt.datetime, until: dt.datetime
) -> QuerySet[Event, int]:
    """Ids of the range's events that the endpoint wants, in the order of the log."""
    rows = Event.objects.filter(timestamp__gte=since, timestamp__lt=until)
    if endpoint.team_id is not None:
        rows = rows.filter(team_id=endpoint.team_id)
    if endpoint.events:
        rows = rows.filter(filters.as_query(endpoint.events))
    return rows.order_by("pk").values_list("pk", flat=True)[: MAX_EVENTS + 1]


def _add(endpoint: WebhookEndpoint, event_ids: list[int], now: dt.datetime) -> int:
    known = endpoint.messages.filter(event_id__in=event_ids).values_list("event_id", flat=True)
    missing = set(event_ids) - set(known)
    events = Event.objects.filter(pk__in=missing).order_by("pk")
    rows = [row for event in events for row in outbox.build(event, [endpoint], now=now)]
    WebhookMessage.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _again(
    endpoint: WebhookEndpoint, event_ids: list[int], now: dt.datetime, *, delivered: bool
) -> int:
    states = [Status.FAILED, Status.CANCELLED] + ([Status.DELIVERED] if delivered else [])
    rows = endpoint.messages.filter(event_id__in=event_ids, status__in=states)
    return _requeue(rows, now)
