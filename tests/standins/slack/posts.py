"""What Slack posts when somebody presses or submits: signed as it signs, and forged variants."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.standins import server
from tests.standins.slack.workspace import Posted, View, Workspace

CALLBACK = "/webhooks/slack/callback"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Post(server.Post):
    """Bytes and headers, ready to go; `payload` is what they carry."""

    payload: dict[str, Any] = field(default_factory=dict)

    def answer(self, base: str) -> tuple[int, str]:
        """Send it like Slack, which waits three seconds: status and body of the answer."""
        headers = {**self.headers, "Content-Type": self.content_type}
        try:
            with urlopen(Request(base + self.path, self.body, headers), timeout=3) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def retried(self, number: int = 1, reason: str = "http_timeout") -> "Post":
        """The copy that Slack sends when the first was not answered in time."""
        more = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason}
        return replace(self, headers={**self.headers, **more})


def sign(
    payload: dict[str, Any], secret: str, *, at: float | None = None, as_json: bool = False
) -> Post:
    """Any payload as a correctly signed post: a form as for clicks, or JSON as for events."""
    text = json.dumps(payload)
    body = text.encode() if as_json else urlencode({"payload": text}).encode()
    content_type = "application/json" if as_json else FORM
    return Post(CALLBACK, body, content_type, headers_for(body, secret, at=at), payload)


def headers_for(body: bytes, secret: str, *, at: float | None = None) -> dict[str, str]:
    timestamp = str(int(time.time() if at is None else at))
    base = b":".join((b"v0", timestamp.encode(), body))
    digest = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


def click(
    workspace: Workspace, post: Posted, action_id: str, by: str = "U0ANN", **changes: Any
) -> Post:
    """Somebody presses a button that is on the message at this moment; KeyError if it is not.

    `changes` replaces top-level parts of the payload; `value` the button's value.
    """
    button = post.buttons[action_id]
    payload = _common(workspace, by) | {
        "type": "block_actions",
        "container": {
            "type": "message",
            "message_ts": post.ts,
            "channel_id": post.channel,
            "is_ephemeral": False,
        },
        "channel": {"id": post.channel, "name": "somewhere"},
        "message": workspace.as_json(post),
        "state": {"values": {}},
        "response_url": workspace.response_url(post, by),
        "actions": [
            {
                "action_id": action_id,
                "block_id": "b1",
                "text": button["text"],
                "type": "button",
                "action_ts": f"{workspace.clock():.6f}",
                **({"value": button["value"]} if "value" in button else {}),
                **({"value": changes.pop("value")} if "value" in changes else {}),
            }
        ],
    }
    return sign(payload | changes, workspace.signing_secret)


def submit(workspace: Workspace, view: View, values: dict[str, Any], **changes: Any) -> Post:
    """Somebody fills in inputs by their labels and submits; ValueError where Slack's client would
    not let them."""
    inputs = [block for block in view.view["blocks"] if block["type"] == "input"]
    unknown = set(values) - {block["label"]["text"] for block in inputs}
    if unknown:
        raise ValueError(f"no input {unknown}")
    state: dict[str, dict[str, Any]] = {}
    for block in inputs:
        element = block["element"]
        filled = _fill(block, values.get(block["label"]["text"]))
        state[block["block_id"]] = {element["action_id"]: {"type": element["type"], **filled}}
    payload = _common(workspace, view.user) | {
        "type": "view_submission",
        "view": _view_json(workspace, view) | {"state": {"values": state}},
        "response_urls": [],
    }
    return sign(payload | changes, workspace.signing_secret)


def close(workspace: Workspace, view: View) -> Post:
    """Somebody changes their mind."""
    payload = _common(workspace, view.user) | {
        "type": "view_closed",
        "view": _view_json(workspace, view),
        "is_cleared": False,
    }
    return sign(payload, workspace.signing_secret)


def _common(workspace: Workspace, user: str) -> dict[str, Any]:
    person = workspace.people[user]
    return {
        "user": {"id": user, "username": "ann", "name": "ann", "team_id": person.team},
        "api_app_id": workspace.app,
        "token": "deprecated",
        "trigger_id": workspace.trigger(user),
        "team": {"id": workspace.team, "domain": "hitl"},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _view_json(workspace: Workspace, view: View) -> dict[str, Any]:
    more = {"id": view.id, "hash": view.hash, "team_id": workspace.team, "app_id": workspace.app}
    return {"private_metadata": "", **view.view, **more}


def _fill(block: dict[str, Any], given: Any) -> dict[str, Any]:
    element = block["element"]
    is_required = not block.get("optional", False)
    match element["type"]:
        case "static_select":
            filled: dict[str, Any] = {"selected_option": _choose(element, given)}
        case "checkboxes":
            chosen = element.get("initial_options", [])
            ticked = chosen if given is None else element["options"] if given else []
            filled = {"selected_options": ticked}
        case _:
            text = element.get("initial_value") if given is None else str(given)
            if text and len(text) > element.get("max_length", 3000):
                raise ValueError("too long")
            filled = {"value": text or None}
    if is_required and not next(iter(filled.values())):
        raise ValueError(f"{block['label']['text']} is required")
    return filled


def _choose(element: dict[str, Any], label: str | None) -> dict[str, Any] | None:
    if label is None:
        initial: dict[str, Any] | None = element.get("initial_option")
        return initial
    found: dict[str, Any] = next(
        option for option in element["options"] if option["text"]["text"] == label
    )
    return found


def tampered(post: Post) -> Iterator[tuple[str, Post]]:
    """The post with one bit, one header or its age wrong: a name and the variant."""
    for at in (0, len(post.body) // 2, len(post.body) - 1):
        body = bytearray(post.body)
        body[at] ^= 1
        yield f"bit of byte {at}", replace(post, body=bytes(body))
    yield "one byte more", replace(post, body=post.body + b" ")
    yield "no body", replace(post, body=b"")
    for name, value in post.headers.items():
        without = {other: kept for other, kept in post.headers.items() if other != name}
        yield f"without {name}", replace(post, headers=without)
        last = "0" if value[-1] != "0" else "1"
        yield f"another {name}", replace(post, headers={**post.headers, name: value[:-1] + last})
        yield f"empty {name}", replace(post, headers={**post.headers, name: ""})
