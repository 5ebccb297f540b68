"""Plays Slack: one workspace in which everybody here is a member, and our app is installed.

Answers the calls of the Web API that the channel makes, and turns what people press and fill in
into posts with Slack's signature. Payloads: https://docs.slack.dev/reference/interaction-payloads
"""

import html
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from deliveries.channels.slack import signature
from deliveries.models import SandboxMessage
from deliveries.sandbox import books, outages
from deliveries.sandbox.books import Kind, Post, Refusal
from deliveries.sandbox.outages import Outage
from hitl.accounts.models import User
from hitl.lib.text import one_line

CHANNEL = "slack"
TEAM, BOT, APP = "T0SANDBOX", "U0SANDBOXAPP", "A0SANDBOX"
FORM = "application/x-www-form-urlencoded"
# Slack gives a trigger three seconds; a laptop that is busy starting up gets a little more.
TRIGGER_SECONDS = 10
RESPONSE_SECONDS = 30 * 60
HISTORY = 200
SUBJECT_LIMIT = 300
TRIGGERS, RESPONSES = "sandbox.slack.trigger", "sandbox.slack.response"

Data = dict[str, Any]


def address(user: User) -> str:
    """The person in the workspace, as a contact point."""
    return f"{TEAM}:U{user.pk.hex[-10:].upper()}"


# --- The Web API ----------------------------------------------------------------------------------


def call(method: str, given: Data, token: str) -> Data:
    """Slack's answer to one call, errors included."""
    try:
        if not books.is_same(token, books.account(CHANNEL)["SLACK_BOT_TOKEN"]):
            raise Refusal("invalid_auth" if token else "not_authed")
        if method not in METHODS:
            raise Refusal("unknown_method")
        return {"ok": True, **METHODS[method]({k: v for k, v in given.items() if v is not None})}
    except Refusal as refusal:
        return {"ok": False, "error": refusal.code}


def _auth_test(given: Data) -> Data:
    return {
        "url": "https://sandbox.example/",
        "team": "Sandbox",
        "team_id": TEAM,
        "user": "hitl",
        "user_id": BOT,
        "bot_id": "B0SANDBOX",
    }


def _post(given: Data) -> Data:
    if outages.current(CHANNEL) == Outage.REFUSE:
        raise Refusal("account_inactive")
    row = _keep(Kind.MESSAGE, _recipient(given), given, metadata=_parsed(given.get("metadata")))
    place, ts = row.provider_id.split(":")
    return {"channel": place, "ts": ts, "message": _as_json(row)}


def _post_ephemeral(given: Data) -> Data:
    row = _keep(Kind.NOTE, _recipient(given), given)
    return {"message_ts": row.provider_id.split(":")[1]}


def _update(given: Data) -> Data:
    row = _find(given)
    row.payload |= {"blocks": _blocks(given), "text": str(given.get("text", ""))}
    row.text, row.edited_at = _words(row.payload), timezone.now()
    row.save(update_fields=["payload", "text", "edited_at"])
    return {"channel": given["channel"], "ts": given["ts"], "text": row.payload["text"]}


def _history(given: Data) -> Data:
    rows = books.said(CHANNEL, _recipient(given)).filter(kind=Kind.MESSAGE)
    since = float(given.get("oldest") or 0)
    recent = [row for row in rows[:HISTORY] if row.created_at.timestamp() >= since]
    return {"messages": [_as_json(row) for row in recent], "has_more": False}


def _open_conversation(given: Data) -> Data:
    return {"channel": {"id": _place(_recipient({"channel": given.get("users")}))}}


def _look_up(given: Data) -> Data:
    user = User.objects.filter(email__iexact=str(given.get("email")), is_active=True).first()
    if user is None:
        raise Refusal("users_not_found")
    id_ = address(user).partition(":")[2]
    return {"user": {"id": id_, "team_id": TEAM, "deleted": False, "is_bot": False}}


def _open_view(given: Data) -> Data:
    try:
        recipient, message_id = signing.loads(
            str(given.get("trigger_id")), salt=TRIGGERS, max_age=TRIGGER_SECONDS
        )
    except signing.SignatureExpired:
        raise Refusal("expired_trigger_id") from None
    except signing.BadSignature:
        raise Refusal("invalid_trigger_id") from None
    view = _parsed(given.get("view"))
    if not view or view.get("type") != "modal":
        raise Refusal("invalid_arguments")
    row = _open(recipient, {"view": view, "message": message_id})
    return {"view": {"id": row.provider_id, "hash": row.payload["hash"], "type": "modal"}}


@transaction.atomic
def _open(recipient: str, payload: Data) -> SandboxMessage:
    """A screen has room for one modal."""
    books.said(CHANNEL, recipient).filter(kind=Kind.MODAL).delete()
    row = SandboxMessage.objects.create(
        channel=CHANNEL, recipient=recipient, kind=Kind.MODAL, payload=payload
    )
    row.provider_id = f"V{row.pk:010d}"
    row.payload["hash"] = f"{int(time.time())}.{row.pk}"
    row.save(update_fields=["provider_id", "payload"])
    return row


METHODS: dict[str, Callable[[Data], Data]] = {
    "auth.test": _auth_test,
    "chat.postEphemeral": _post_ephemeral,
    "chat.postMessage": _post,
    "chat.update": _update,
    "conversations.history": _history,
    "conversations.open": _open_conversation,
    "users.lookupByEmail": _look_up,
    "views.open": _open_view,
}


def respond(token: str, given: Data) -> tuple[int, str]:
    """What posting to a response_url does: status and body. Ours only speak to the presser."""
    try:
        recipient = signing.loads(token, salt=RESPONSES, max_age=RESPONSE_SECONDS)
    except signing.BadSignature:
        return 404, "no_service"
    _keep(Kind.NOTE, recipient, given)
    return 200, "ok"


# --- What people do -------------------------------------------------------------------------------


def buttons(blocks: Sequence[Data]) -> Iterator[Data]:
    """Everything that can be pressed in a message."""
    for block in blocks:
        if block.get("type") == "actions":
            yield from block["elements"]


def press(message: SandboxMessage, action_id: str) -> Post | None:
    """The receiver presses a button; None where it is no longer there."""
    found = [part for part in buttons(message.payload["blocks"]) if part["action_id"] == action_id]
    if not found:
        return None
    place, ts = message.provider_id.split(":")
    pressed = {
        "type": "button",
        "action_id": action_id,
        "block_id": "actions",
        "text": found[0]["text"],
        "value": found[0].get("value", ""),
        "action_ts": f"{time.time():.6f}",
    }
    container = {"type": "message", "message_ts": ts, "channel_id": place, "is_ephemeral": False}
    return _signed(
        {
            "type": "block_actions",
            **_presser(message.recipient, message.pk),
            "container": container,
            "channel": {"id": place, "name": "directmessage"},
            "message": _as_json(message),
            "response_url": _response_url(message.recipient),
            "actions": [pressed],
        }
    )


def submit(modal: SandboxMessage, typed: Mapping[str, Sequence[str]]) -> Post | None:
    """The receiver submits the form; None where Slack's client would not let them yet.

    `typed` maps the two ids of an input, joined by a space, to what a browser posts for it. It is
    kept in the modal, which may come back with errors.
    """
    view: Data = modal.payload["view"]
    inputs = [block for block in view["blocks"] if block.get("type") == "input"]
    state: dict[str, Data] = {}
    errors: dict[str, str] = {}
    for block in inputs:
        element, given = block["element"], typed.get(f"{block['block_id']} {_id(block)}", [])
        value = _take(element, given)
        state[block["block_id"]] = {_id(block): {"type": element["type"], **value}}
        if not block.get("optional") and not next(iter(value.values())):
            errors[block["block_id"]] = "Please complete this required field."
    modal.payload["errors"] = errors
    modal.save(update_fields=["payload"])
    return None if errors else _signed(_submission(modal, state))


def _submission(modal: SandboxMessage, state: dict[str, Data]) -> Data:
    names = {"id": modal.provider_id, "hash": modal.payload["hash"], "team_id": TEAM, "app_id": APP}
    return {
        "type": "view_submission",
        **_presser(modal.recipient, modal.payload["message"]),
        "view": {**modal.payload["view"], **names, "state": {"values": state}},
        "response_urls": [],
    }


def take_answer(modal: SandboxMessage, answer: bytes) -> bool:
    """Do what we answered to a submission: close the form (True), or show what is wrong with it."""
    try:
        said = json.loads(answer)
    except ValueError:
        said = {}
    if said.get("response_action") == "errors":
        modal.payload["errors"] = said["errors"]
        modal.save(update_fields=["payload"])
        return False
    modal.delete()
    return True


def _take(element: Data, given: Sequence[str]) -> Data:
    """An input as it was filled in: as Slack posts it, and noted for the next look at it."""
    match element["type"]:
        case "static_select":
            chosen = [option for option in element["options"] if option["value"] in given][:1]
            _note(element, "initial_option", chosen[0] if chosen else None)
            return {"selected_option": chosen[0] if chosen else None}
        case "checkboxes":
            ticked = [option for option in element["options"] if option["value"] in given]
            _note(element, "initial_options", ticked)
            return {"selected_options": ticked}
        case _:
            text = "".join(given[:1]).replace("\r\n", "\n")
            _note(element, "initial_value", text)
            return {"value": text or None}


def _note(element: Data, name: str, value: Any) -> None:
    element.pop(name, None)
    if value:
        element[name] = value


def _id(block: Data) -> str:
    return str(block["element"]["action_id"])


def _presser(recipient: str, message_id: int) -> Data:
    """Who did it, in which workspace, and the trigger with which to open a modal for them."""
    team, _, person = recipient.partition(":")
    return {
        "user": {"id": person, "username": "somebody", "team_id": team},
        "team": {"id": team, "domain": "sandbox"},
        "api_app_id": APP,
        "trigger_id": signing.dumps([recipient, message_id], salt=TRIGGERS),
    }


def _response_url(recipient: str) -> str:
    """Beside the API, where the channel accepts it."""
    token = signing.dumps(recipient, salt=RESPONSES)
    base = books.account(CHANNEL)["SLACK_API_URL"].removesuffix("api/")
    return f"{base}actions/{token}"


def _signed(payload: Data) -> Post:
    body = urlencode({"payload": json.dumps(payload)}).encode()
    timestamp = str(int(time.time()))
    secret = books.account(CHANNEL)["SLACK_SIGNING_SECRET"]
    signed = signature.sign(body, secret=secret, timestamp=timestamp)
    headers = {signature.TIMESTAMP: timestamp, signature.SIGNATURE: signed}
    return Post(reverse("channel-callback", args=[CHANNEL]), body, FORM, headers)


# --- Small parts ----------------------------------------------------------------------------------


@transaction.atomic
def _keep(kind: Kind, recipient: str, given: Data, **more: Any) -> SandboxMessage:
    payload = {"text": str(given.get("text", "")), "blocks": _blocks(given), **more}
    row = SandboxMessage.objects.create(
        channel=CHANNEL,
        recipient=recipient,
        kind=kind,
        subject=_title(payload),
        text=_words(payload),
        payload=payload,
    )
    row.provider_id = f"{_place(recipient)}:{int(row.created_at.timestamp())}.{row.pk:06d}"
    row.save(update_fields=["provider_id"])
    return row


def _recipient(given: Data) -> str:
    """Whom a conversation is with: posting to a person's id opens the direct message."""
    channel = str(given.get("channel", ""))
    wanted = f"{TEAM}:U{channel[1:]}"
    if channel[:1] not in ("U", "D") or not any(address(user) == wanted for user in _members()):
        raise Refusal("channel_not_found")
    return wanted


def _members() -> Iterator[User]:
    yield from User.objects.filter(is_active=True).only("pk").iterator()


def _place(recipient: str) -> str:
    return "D" + recipient.rpartition(":")[2][1:]


def _find(given: Data) -> SandboxMessage:
    name = f"{given.get('channel')}:{given.get('ts')}"
    row = SandboxMessage.objects.filter(
        channel=CHANNEL, kind=Kind.MESSAGE, provider_id=name
    ).first()
    if row is None:
        raise Refusal("message_not_found")
    return row


def _blocks(given: Data) -> list[Data]:
    blocks = _parsed(given.get("blocks")) or []
    if not isinstance(blocks, list) or len(blocks) > 50:
        raise Refusal("invalid_blocks")
    if not blocks and not given.get("text"):
        raise Refusal("no_text")
    return blocks


def _parsed(value: Any) -> Any:
    """Structures come as they are in JSON, as text in forms."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise Refusal("invalid_arguments") from None


def _as_json(row: SandboxMessage) -> Data:
    """A message as Slack hands it out."""
    said = {"type": "message", "user": BOT, "ts": row.provider_id.split(":")[1]}
    return said | {name: row.payload.get(name) for name in ("text", "blocks", "metadata")}


def _title(payload: Data) -> str:
    headers = [block["text"]["text"] for block in payload["blocks"] if block["type"] == "header"]
    return one_line(headers[0] if headers else _words(payload), SUBJECT_LIMIT)


def _words(payload: Data) -> str:
    """What a notification would say: Slack's markup has three characters as entities."""
    return html.unescape(payload["text"])
