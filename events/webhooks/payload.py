"""The body of a message, from the event alone: what the API shows, and never more.

Bounded by WEBHOOK_MAX_BYTES, since receivers and their proxies are: what does not fit is left out
and named in `omitted`, and the API has it.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse

from events.webhooks.filters import TEST
from hitl.accounts.models import User
from hitl.lib import canonical
from hitl.lib.urls import absolute

if TYPE_CHECKING:
    from events.models import Event, WebhookEndpoint, WebhookMessage

# Of a stored state, what the API shows of a workflow under the same names. An allow-list: what is
# added to states later stays inside until somebody puts it here.
SHOWN = (
    "workflowId", "name", "reason", "agentId", "actionType", "actionData", "fingerprint", "risk",
    "metadata", "status", "round", "approvers", "expiresAt", "timeoutAction", "decision",
    "responseData", "feedback", "respondedAt", "respondedVia", "result", "error",
)  # fmt: skip
TIMES = ("expiresAt", "respondedAt")
APPROVING = ("approved", "modified")
# What may be left out to make it fit, as places in `data`.
LARGE = (
    ("workflow", "actionData"), ("workflow", "responseData"), ("workflow", "result"),
    ("workflow", "error"), ("workflow", "metadata"), ("workflow", "reason"),
    ("workflow", "feedback"), ("workflow", "approvers"), ("event", "data"),
)  # fmt: skip

CONTENT_TYPES = {
    "standard": "application/json",
    "cloudevents": "application/cloudevents+json; charset=utf-8",
}


def of_event(event: "Event") -> dict[str, Any]:
    """`data` of a message about an event: where the workflow stands after it, and what happened."""
    state: Mapping[str, Any] = event.state_snapshot
    data = {
        "workflowId": str(event.workflow_id),
        "teamId": str(event.team_id),
        "seq": event.seq,
        "status": event.status,
        "round": event.round,
        "event": {
            "type": str(event.type),
            "actor": event.actor,
            "source": str(event.source),
            "data": event.data,
            "hash": event.hash,
        },
        "workflow": _workflow(state),
        "omitted": [],
    }
    return _fit(data)


def of_test(endpoint: "WebhookEndpoint") -> dict[str, Any]:
    """`data` of a message that somebody sends to try the endpoint."""
    return {"endpointId": str(endpoint.pk), "message": "This is a test. Nothing has happened."}


def write(message: "WebhookMessage", data: dict[str, Any], moment: dt.datetime) -> str:
    """The body as it will be sent and signed, in the format of the message."""
    stamp = instant(moment)
    if message.body_format == "standard":
        content = {"type": message.type, "timestamp": stamp, "data": data}
    else:
        content = {
            "specversion": "1.0",
            "id": message.webhook_id,
            "source": f"{settings.PUBLIC_URL.rstrip('/')}/",
            "type": message.type,
            "time": stamp,
            "datacontenttype": "application/json",
            "data": data,
        }
        if message.type != TEST:
            content["subject"] = data["workflowId"]
    return canonical.dumps(content).decode()


def instant(moment: dt.datetime) -> str:
    """A time as the API writes it."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _workflow(state: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: state.get(name) for name in SHOWN}
    for name in TIMES:
        if shown[name]:
            shown[name] = instant(dt.datetime.fromisoformat(shown[name]))
    shown["approvedFingerprint"] = (
        state.get("responseFingerprint") or state["fingerprint"]
        if state.get("decision") in APPROVING
        else None
    )
    shown["respondedBy"] = _person(state.get("respondedBy"))
    shown["url"] = absolute(reverse("workflow", args=[state["workflowId"]]))
    return shown


def _person(user_id: str | None) -> dict[str, str] | None:
    """Who decided, by name, as agents see it."""
    user = User.objects.filter(pk=user_id).first() if user_id else None
    return {"name": str(user)} if user else None


def _fit(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out the largest parts, one after the other, until the rest is small enough."""
    limit = settings.WEBHOOK_MAX_BYTES
    left = _size(data)
    if left <= limit:
        return data
    for size, (group, name) in sorted(_sizes(data), reverse=True):
        data[group][name] = None
        data["omitted"].append(f"/{group}/{name}")
        left -= size
        if left <= limit - 60 * len(data["omitted"]):
            break
    return data


def _sizes(data: dict[str, Any]) -> Iterator[tuple[int, tuple[str, str]]]:
    for group, name in LARGE:
        yield _size(data[group][name]), (group, name)


def _size(value: Any) -> int:
    return len(canonical.dumps(value))


def host(url: str) -> str:
    """The host and port of a URL, for people."""
    return urlsplit(url).netloc or url
