"""Plays Telegram: private chats between our bot and everybody here.

https://core.telegram.org/bots/api
"""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from deliveries.models import SandboxMessage
from deliveries.sandbox import books, outages
from deliveries.sandbox.books import Kind, Post, Refusal
from deliveries.sandbox.outages import Outage
from hitl.accounts.models import User
from hitl.lib.text import one_line
from hitl.lib.urls import absolute

CHANNEL = "telegram"
BASE = 9_000_000_000_000_000  # Telegram's own ids stay below 2^52, so nobody has one of these
TEXT_LIMIT = 4096
SUBJECT_LIMIT = 300
QUERY_SECONDS = 60
SHOWN = ("text", "entities", "reply_markup")

Data = dict[str, Any]


def address(user: User) -> str:
    """The person's chat with the bot."""
    return str(BASE + int(books.number(user, 9)))


# --- The Bot API ----------------------------------------------------------------------------------


def call(method: str, given: Any, token: str) -> tuple[int, Data]:
    """Telegram's answer to one call: its status and body."""
    try:
        if not books.is_same(token, books.account(CHANNEL)["TELEGRAM_BOT_TOKEN"]):
            raise Refusal("Unauthorized", 401)
        return 200, {"ok": True, "result": carry_out(method, given)}
    except Refusal as refusal:
        said = {"ok": False, "error_code": refusal.status, "description": refusal.code}
        return refusal.status, said


def carry_out(method: str, given: Any) -> Any:
    """One method, also where it stands in our answer to a post. Raises Refusal."""
    if method not in METHODS or not isinstance(given, dict):
        raise Refusal("Not Found", 404)
    return METHODS[method](given)


def _send(given: Data) -> Data:
    if outages.current(CHANNEL) == Outage.REFUSE:
        raise Refusal("Forbidden: bot was blocked by the user", 403)
    row = _keep(Kind.MESSAGE, _chat(given), _text(given), given | _quoted(given))
    return _as_json(row)


def _quoted(given: Data) -> Data:
    """What the message answers, if that is still there."""
    wanted = given.get("reply_parameters", {}).get("message_id")
    found = _row(_chat(given), wanted)
    return {"quoted": found.pk} if found else {}


def _edit(given: Data) -> Data:
    row = _row(_chat(given), given.get("message_id"))
    if row is None or row.kind != Kind.MESSAGE:
        raise Refusal("Bad Request: message to edit not found")
    if all(row.payload.get(name) == given.get(name) for name in SHOWN):
        raise Refusal("Bad Request: message is not modified")
    # What an edit does not bring is gone: like this the buttons leave.
    row.text, row.edited_at = _text(given), timezone.now()
    kept = {name: row.payload[name] for name in ("quoted",) if name in row.payload}
    row.payload = {name: given[name] for name in SHOWN if name in given} | kept
    row.save(update_fields=["text", "payload", "edited_at"])
    return _as_json(row)


def _answer_query(given: Data) -> bool:
    """The end of a button's wait; a text is shown to the one who pressed."""
    recipient = cache.get(_query(given.get("callback_query_id")))
    if recipient is None:
        raise Refusal("Bad Request: query is too old and response timeout expired")
    cache.delete(_query(given["callback_query_id"]))
    if given.get("text"):
        _keep(Kind.NOTE, recipient, str(given["text"])[:200], {})
    return True


def _get_me(given: Data) -> Data:
    return _bot() | {"can_join_groups": True}


def _webhook(given: Data) -> Data:
    return {"url": absolute(_path()), "has_custom_certificate": False, "pending_update_count": 0}


METHODS: dict[str, Callable[[Data], Any]] = {
    "answerCallbackQuery": _answer_query,
    "editMessageText": _edit,
    "getMe": _get_me,
    "getWebhookInfo": _webhook,
    "sendMessage": _send,
}


# --- What people do -------------------------------------------------------------------------------


def buttons(payload: Data) -> Iterator[list[Data]]:
    """The rows of buttons under a message."""
    yield from payload.get("reply_markup", {}).get("inline_keyboard", [])


def press(message: SandboxMessage, data: str) -> Post | None:
    """The receiver presses the button with that data; None where it is no longer there."""
    known = [part.get("callback_data") for row in buttons(message.payload) for part in row]
    if data not in known:
        return None
    query = str(secrets.randbelow(10**18))
    cache.set(_query(query), message.recipient, QUERY_SECONDS)
    pressed = {
        "id": query,
        "from": _person(message.recipient),
        "message": _as_json(message),
        "chat_instance": "1",
        "data": data,
    }
    return _update(callback_query=pressed)


def write(recipient: str, text: str, *, reply_to: str = "") -> Post:
    """The receiver writes to the bot, perhaps in answer to one of its messages."""
    answered = _row(recipient, reply_to)
    quoted = {"quoted": answered.pk} if answered else {}
    row = _keep(Kind.REPLY, recipient, text, quoted)
    more = {"reply_to_message": _as_json(answered)} if answered else {}
    written = {**_as_json(row), "from": _person(recipient), **more}
    return _update(message=written)


def take_answer(answer: bytes) -> None:
    """Do what we answered: a call may stand in it. A refusal of that is nobody's business."""
    try:
        given = json.loads(answer)
        carry_out(given.pop("method"), given)
    except (ValueError, KeyError, AttributeError, Refusal):
        return


def awaited(recipient: str) -> SandboxMessage | None:
    """The question that the person's client has opened an answer to, as bots can ask for."""
    newest = books.said(CHANNEL, recipient).exclude(kind=Kind.NOTE).first()
    wants = newest and newest.payload.get("reply_markup", {}).get("force_reply")
    return newest if wants else None


def _update(**parts: Data) -> Post:
    body = json.dumps({"update_id": secrets.randbelow(2**31), **parts}).encode()
    secret = books.account(CHANNEL)["TELEGRAM_WEBHOOK_SECRET"]
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
    return Post(_path(), body, "application/json", headers)


def _path() -> str:
    return reverse("channel-callback", args=[CHANNEL])


# --- Small parts ----------------------------------------------------------------------------------


def _keep(kind: Kind, recipient: str, text: str, given: Data) -> SandboxMessage:
    shown = {name: given[name] for name in (*SHOWN, "quoted") if name in given}
    return SandboxMessage.objects.create(
        channel=CHANNEL,
        recipient=recipient,
        kind=kind,
        subject=one_line("\n".join(text.split("\n")[:2]), SUBJECT_LIMIT),
        text=text,
        payload=shown,
    )


def _row(recipient: str, message_id: Any) -> SandboxMessage | None:
    """A message of that chat, by the number that Telegram would know it by."""
    if not str(message_id).isdecimal():
        return None
    found: SandboxMessage | None = books.said(CHANNEL, recipient).filter(pk=int(message_id)).first()
    return found


def _chat(given: Data) -> str:
    chat = str(given.get("chat_id", ""))
    if not any(address(user) == chat for user in User.objects.filter(is_active=True).only("pk")):
        raise Refusal("Bad Request: chat not found")
    return chat


def _text(given: Data) -> str:
    text = str(given.get("text", ""))
    if not text.strip():
        raise Refusal("Bad Request: message text is empty")
    if len(text) > TEXT_LIMIT:
        raise Refusal("Bad Request: message is too long")
    return text


def _as_json(row: SandboxMessage) -> Data:
    """A message as Telegram hands it out."""
    shown = {name: row.payload[name] for name in SHOWN if name in row.payload}
    return {
        "message_id": row.pk,
        "from": _bot(),
        "chat": {"id": int(row.recipient), "type": "private"},
        "date": int(row.created_at.timestamp()),
        **shown,
        "text": row.text,
    }


def _bot() -> Data:
    id_ = books.account(CHANNEL)["TELEGRAM_BOT_TOKEN"].partition(":")[0]
    return {"id": int(id_), "is_bot": True, "first_name": "hitl", "username": "hitl_sandbox_bot"}


def _person(recipient: str) -> Data:
    return {"id": int(recipient), "is_bot": False, "first_name": "Somebody"}


def _query(id_: Any) -> str:
    return f"sandbox:telegram:query:{id_}"
