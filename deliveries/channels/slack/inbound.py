"""Posts from Slack, translated: after verification, and believing ids alone.

What is not one of our buttons or modals, or not whole, is nothing: an empty list, answered 200.
Payloads: https://docs.slack.dev/reference/interaction-payloads
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from django.http import HttpRequest

from deliveries.channels.base import Answer, Reply
from deliveries.channels.slack import api, blocks, forms

JSON = "application/json"
_ID = re.compile("[A-Z0-9]{1,40}")
_TS = re.compile(r"[0-9]{1,20}\.[0-9]{1,10}")

PRESSED = {
    blocks.APPROVE: ("decide", "approved"),
    blocks.REJECT: ("ask_reason", "rejected"),
    blocks.EDIT: ("ask_edits", "modified"),
}
SUBMITTED = {forms.REASON: "rejected", forms.EDITS: "modified"}


class SocketRequest(HttpRequest):
    """A payload that came through our own Socket Mode connection, in the shape of a post.

    Slack does not sign these: the connection, which we opened with our token, vouches for them.
    No web server makes requests of this class, so none from outside can pass for one.
    """

    def __init__(self, payload: Mapping[str, Any], *, path: str = "/") -> None:
        super().__init__()
        self.method = "POST"
        self.path = self.path_info = path
        self._body = urlencode({"payload": json.dumps(payload)}).encode()
        self.META["CONTENT_TYPE"] = "application/x-www-form-urlencoded"


def payload(request: HttpRequest) -> dict[str, Any]:
    """What was posted: a form's `payload`, or the JSON of events; empty if it is neither."""
    try:
        body = request.body.decode()
        raw = body if body.startswith("{") else parse_qs(body, max_num_fields=20)["payload"][0]
        parsed = json.loads(raw)
    except (ValueError, KeyError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def replies(posted: dict[str, Any]) -> list[Reply]:
    """What somebody did, or nothing."""
    sender = _sender(posted)
    if not sender:
        return []
    match posted:
        case {"type": "block_actions", "actions": list(actions), "container": dict(container)}:
            return list(_pressed(posted, sender, actions, container))
        case {"type": "view_submission", "view": dict(view)}:
            return _submitted(posted, sender, view)
        case _:
            return []


def acknowledgement(posted: dict[str, Any], problem: str) -> Answer:
    """What Slack wants to hear within three seconds; anything else is answered with nothing."""
    match posted:
        case {"type": "url_verification", "challenge": str(challenge)}:
            return Answer(challenge)
        case {"type": "view_submission", "view": dict(view)} if problem:
            found = forms.errors(view, problem)
            return Answer(json.dumps({"response_action": "errors", "errors": found}), JSON)
        case {"type": "view_submission"}:
            return Answer(json.dumps({"response_action": "clear"}), JSON)
        case _:
            return Answer()


def _pressed(
    posted: dict[str, Any], sender: str, actions: list[Any], container: dict[str, Any]
) -> Iterator[Reply]:
    place = _place(container)
    for pressed in actions:
        name = pressed.get("action_id") if isinstance(pressed, dict) else None
        if place and isinstance(name, str) and name in PRESSED:
            action, decision = PRESSED[name]
            yield Reply(
                action=action,
                sender=sender,
                reference=_text(pressed, "value")[:200],
                decision=decision,
                place=place,
                handle=_handle(posted),
                event_id=_event(_text(posted, "trigger_id"), name, _text(pressed, "action_ts")),
            )


def _submitted(posted: dict[str, Any], sender: str, view: dict[str, Any]) -> list[Reply]:
    filled = forms.read(view)
    if filled.name not in SUBMITTED:
        return []
    decision = SUBMITTED[filled.name]
    # A view refused with errors is submitted again under the same id and hash: only the trigger
    # tells a new answer from a repeated post.
    trigger = _text(posted, "trigger_id")
    reply = Reply(
        action="decide",
        sender=sender,
        reference=filled.reference,
        decision=decision,
        comment=filled.comment,
        values=filled.values if decision == "modified" else None,
        place=filled.place,
        handle=_handle(posted),
        event_id=_event(_text(view, "id"), _text(view, "hash"), trigger),
    )
    return [reply]


def _sender(posted: dict[str, Any]) -> str:
    """The person as a contact point: in shared channels people of other workspaces press too."""
    user, team = posted.get("user"), posted.get("team")
    if not isinstance(user, dict):
        return ""
    home = _text(user, "team_id") or (_text(team, "id") if isinstance(team, dict) else "")
    person = _text(user, "id")
    return f"{home}:{person}" if _ID.fullmatch(home) and _ID.fullmatch(person) else ""


def _place(container: dict[str, Any]) -> dict[str, str]:
    channel, ts = _text(container, "channel_id"), _text(container, "message_ts")
    return {"channel": channel, "ts": ts} if _ID.fullmatch(channel) and _TS.fullmatch(ts) else {}


def _handle(posted: dict[str, Any]) -> dict[str, str]:
    url, trigger = _text(posted, "response_url"), _text(posted, "trigger_id")
    handle = {"trigger_id": trigger[:200]} if trigger else {}
    return handle | {"response_url": url} if api.is_slacks(url) else handle


def _event(*parts: str) -> str:
    return ":".join(parts)[:400]


def _text(of: dict[str, Any], name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""
