"""Writes messages: one for each endpoint that wants an event, in the transaction of the event."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from django.db.models import Q, QuerySet

from events.webhooks import filters, payload
from events.webhooks.models import WebhookEndpoint, WebhookMessage
from events.webhooks.wakeups import wake
from hitl.lib.db import require_transaction

if TYPE_CHECKING:
    from events.models import Event


def enqueue(events: Sequence["Event"]) -> None:
    """Write the messages of events. One query for the endpoints; nobody waits for a receiver."""
    require_transaction()
    endpoints = list(of_teams({event.team_id for event in events}))
    messages: list[WebhookMessage] = []
    woken: dict[UUID, None] = {}
    for event in events if endpoints else ():
        wanting = [each for each in endpoints if _wants(each, event)]
        messages += build(event, wanting, now=event.timestamp) if wanting else []
        woken |= dict.fromkeys(each.pk for each in wanting)
    if messages:
        WebhookMessage.objects.bulk_create(messages)
    for endpoint_id in woken:
        wake(endpoint_id)


def _wants(endpoint: WebhookEndpoint, event: "Event") -> bool:
    return endpoint.team_id in (None, event.team_id) and filters.matches(
        endpoint.events, event.type
    )


def of_teams(team_ids: Collection[UUID]) -> QuerySet[WebhookEndpoint]:
    """The endpoints that are on and hear these teams: their own, and the environment's."""
    return (
        WebhookEndpoint.objects.filter(Q(team_id__in=team_ids) | Q(team=None), is_active=True)
        .only("events", "body_format", "team_id")
        .order_by()
    )


def build(
    event: "Event", endpoints: Iterable[WebhookEndpoint], *, now: dt.datetime
) -> list[WebhookMessage]:
    """The rows for an event, due now; nothing is stored."""
    data = payload.of_event(event)
    return [_message(endpoint, event, data, now) for endpoint in endpoints]


def _message(
    endpoint: WebhookEndpoint, event: "Event", data: dict[str, Any], now: dt.datetime
) -> WebhookMessage:
    row = WebhookMessage(
        id=message_id(endpoint.pk, event.pk),
        endpoint=endpoint,
        team_id=event.team_id,
        event=event,
        type=str(event.type),
        body_format=endpoint.body_format,
        next_attempt_at=now,
    )
    row.body = payload.write(row, data, event.timestamp)
    return row


def message_id(endpoint_id: UUID, event_id: int) -> UUID:
    """The same for the same event and endpoint for ever, also after the log was emptied: whoever
    kept the ids it has seen knows a replayed message again."""
    return uuid5(endpoint_id, str(event_id))
