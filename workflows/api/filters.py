"""From validated query parameters to pages of rows the caller may see."""

import datetime as dt
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from deliveries import selectors as delivery_rows
from deliveries.models import Delivery
from events.models import WebhookEndpoint, WebhookMessage
from events.webhooks import selectors as webhooks
from hitl.accounts.models import Agent, User
from workflows import selectors
from workflows.api.pagination import Order, Page, page
from workflows.api.queries import parse_uuid
from workflows.models import ActionType, Workflow


def _read_moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a cursor's time has a zone")
    return moment.astimezone(dt.UTC)


def _read_name(text: str) -> str:
    if not text.isprintable():
        raise ValueError("no action type has such a name")
    return text


Row = TypeVar("Row", bound=Model)

NEWEST_FIRST = Order("created_at", descending=True, read=_read_moment)
OLDEST_FIRST = Order("created_at", descending=False, read=_read_moment)
BY_NAME = Order("name", descending=False, read=_read_name)

# Parameter → look-up. Only what stands here reaches the database.
_LOOKUPS = {
    "status": "status__in",
    "actionType": "action_type",
    "agentId": "agent_id",
    "createdAfter": "created_at__gt",
    "createdBefore": "created_at__lt",
}


def workflows(caller: Agent | User, params: dict[str, Any]) -> Page[Workflow]:
    """The caller's workflows, newest first."""
    rows = selectors.visible_to(caller).prefetch_related("attempts", "remarks")
    for name, lookup in _LOOKUPS.items():
        if name in params:
            rows = rows.filter(**{lookup: params[name]})
    return page(
        rows,
        NEWEST_FIRST,
        limit=params["limit"],
        cursor=params.get("cursor", ""),
        read_id=parse_uuid,
    )


def action_types(caller: Agent | User, params: dict[str, Any]) -> Page[ActionType]:
    """The action types of the caller's teams, by name."""
    rows = ActionType.objects.select_related("compensation")
    if isinstance(caller, Agent):
        rows = rows.filter(team_id=caller.team_id)
    else:
        rows = rows.filter(team__memberships__user=caller)
    return page(
        rows, BY_NAME, limit=params["limit"], cursor=params.get("cursor", ""), read_id=parse_uuid
    )


def deliveries(workflow: Workflow, params: dict[str, Any]) -> Page[Delivery]:
    """The messages about one request, oldest first."""
    return page(
        delivery_rows.of_workflow(workflow.pk).select_related("user"),
        OLDEST_FIRST,
        limit=params["limit"],
        cursor=params.get("cursor", ""),
        read_id=parse_uuid,
    )


def newest_first(rows: QuerySet[Row], params: dict[str, Any]) -> Page[Row]:
    """Rows known by UUIDs, newest first."""
    return page(
        rows,
        NEWEST_FIRST,
        limit=params["limit"],
        cursor=params.get("cursor", ""),
        read_id=parse_uuid,
    )


_MESSAGE_LOOKUPS = {
    "status": "status",
    "workflowId": "event__workflow_id",
    "createdAfter": "created_at__gt",
    "createdBefore": "created_at__lt",
}


def webhook_messages(endpoint: WebhookEndpoint, params: dict[str, Any]) -> Page[WebhookMessage]:
    """The endpoint's messages, newest first."""
    rows = webhooks.log(endpoint)
    for name, lookup in _MESSAGE_LOOKUPS.items():
        if name in params:
            rows = rows.filter(**{lookup: params[name]})
    return newest_first(rows, params)
