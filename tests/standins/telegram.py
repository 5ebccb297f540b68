"""Telegram's Bot API on loopback: chats with messages, buttons that can be pressed, updates for us.

https://core.telegram.org/bots/api: limits, entities and errors as documented there.
"""

import itertools
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.standins.server import Call, Post, Said, StandIn

BOT = 700000001
BOT_NAME = "hitl_standin_bot"
TOKEN = f"{BOT}:AAH-token_of-the_telegram-stand-in"
SECRET = "webhook-secret-of-the-telegram-stand-in"
CALLBACK = "/webhooks/telegram/callback"
ANN = 5550001
GROUP = -1001234567890

NESTABLE = frozenset({"bold", "italic", "underline", "strikethrough", "spoiler"})
STYLES = NESTABLE | {"code", "pre", "blockquote", "expandable_blockquote"}


class Refusal(Exception):
    """What Telegram does not do, with the status and description of its answer."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.description = description


class Telegram(StandIn):
    """`chats` holds each chat's messages as people see them; `blocked` are people who left."""

    def __init__(self) -> None:
        super().__init__()
        self.chats: dict[int, dict[int, dict[str, Any]]] = {ANN: {}, GROUP: {}}
        self.blocked: set[int] = set()
        self.alerts: list[dict[str, Any]] = []
        self.queries: set[str] = set()
        self.webhook: dict[str, Any] = {"url": ""}
        self._numbers = itertools.count(101)
        self._updates = itertools.count(900_000_001)

    def messages(self, chat: int = ANN) -> list[dict[str, Any]]:
        """What stands in a chat."""
        return list(self.chats[chat].values())

    # --- what we call ---

    def handle(self, call: Call) -> Said:
        token, _, method = call.path.removeprefix("/bot").partition("/")
        if token != TOKEN:
            return self.error(401 if ":" in token else 404, "Unauthorized")
        try:
            return Said(200, {"ok": True, "result": self.carry_out(method, json.loads(call.body))})
        except Refusal as refusal:
            return self.error(refusal.status, refusal.description)

    def carry_out(self, method: str, given: dict[str, Any]) -> Any:
        """One method; also for calls that stand in the answer to a webhook."""
        methods: dict[str, Callable[[dict[str, Any]], Any]] = {
            "sendMessage": self._send,
            "editMessageText": self._edit,
            "answerCallbackQuery": self._answer_query,
            "getMe": lambda _: {"id": BOT, "is_bot": True, "username": BOT_NAME},
            "setWebhook": self._set_webhook,
            "deleteWebhook": lambda _: self._set_webhook({"url": ""}),
            "getWebhookInfo": self._webhook_info,
        }
        if method not in methods:
            raise Refusal(404, "Not Found")
        return methods[method](given)

    def error(self, status: int, description: str, **parameters: Any) -> Said:
        """An error in Telegram's shape."""
        said: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
        return Said(status, {**said, **({"parameters": parameters} if parameters else {})})

    def _send(self, given: dict[str, Any]) -> dict[str, Any]:
        chat = self._chat(given)
        check_text(given)
        check_markup(given.get("reply_markup", {}))
        below = given.get("reply_parameters", {"allow_sending_without_reply": True})
        if not below.get("allow_sending_without_reply") and (
            below["message_id"] not in self.chats[chat]
        ):
            raise Refusal(400, "Bad Request: message to be replied not found")
        number = next(self._numbers)
        message = {**given, "message_id": number, "date": int(time.time()), "chat": {"id": chat}}
        message["from"] = {"id": BOT, "is_bot": True, "first_name": "hitl"}
        self.chats[chat][number] = message
        return message

    def _edit(self, given: dict[str, Any]) -> dict[str, Any]:
        messages = self.chats[self._chat(given)]
        if given["message_id"] not in messages:
            raise Refusal(400, "Bad Request: message to edit not found")
        check_text(given)
        check_markup(given.get("reply_markup", {}))
        old = messages[given["message_id"]]
        parts = ("text", "entities", "reply_markup")
        if all(old.get(part) == given.get(part) for part in parts):
            raise Refusal(400, "Bad Request: message is not modified: specified new message ...")
        kept = {name: value for name, value in old.items() if name not in parts}
        messages[given["message_id"]] = {**kept, **given}
        return messages[given["message_id"]]

    def _answer_query(self, given: dict[str, Any]) -> bool:
        if len(given.get("text", "")) > 200:
            raise Refusal(400, "Bad Request: MESSAGE_TOO_LONG")
        if given["callback_query_id"] not in self.queries:
            raise Refusal(
                400,
                "Bad Request: query is too old and response timeout expired or query ID is invalid",
            )
        self.queries.remove(given["callback_query_id"])
        self.alerts.append(given)
        return True

    def _set_webhook(self, given: dict[str, Any]) -> bool:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", given.get("secret_token", "")):
            raise Refusal(400, "Bad Request: secret token contains unallowed characters")
        url = urlsplit(given["url"])
        if given["url"] and (url.scheme != "https" or (url.port or 443) not in (443, 80, 88, 8443)):
            raise Refusal(400, "Bad Request: bad webhook: an HTTPS URL must be provided")
        self.webhook = given
        return True

    def _webhook_info(self, _: dict[str, Any]) -> dict[str, Any]:
        hidden = ("secret_token", "drop_pending_updates")
        shown = {name: value for name, value in self.webhook.items() if name not in hidden}
        return {"has_custom_certificate": False, "pending_update_count": 0, **shown}

    def _chat(self, given: dict[str, Any]) -> int:
        chat = given["chat_id"]
        if not isinstance(chat, int) or chat not in self.chats:
            raise Refusal(400, "Bad Request: chat not found")
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        return chat

    # --- what it posts to us ---

    def press(self, label: str, *, chat: int = ANN, by: int = ANN) -> Post:
        """Somebody presses the button of that name under the newest message that has one."""
        for message in reversed(self.messages(chat)):
            for button in buttons(message):
                if button["text"] == label:
                    return self.press_data(button["callback_data"], message, chat=chat, by=by)
        raise LookupError(label)

    def press_data(
        self, data: str, message: dict[str, Any], *, chat: int = ANN, by: int = ANN
    ) -> Post:
        """A button's data as it would arrive."""
        query = str(next(self._updates) * 7)
        self.queries.add(query)
        pressed = {
            "id": query,
            "from": person(by),
            "message": {**message, "chat": self._describe(chat)},
            "chat_instance": "1",
            "data": data,
        }
        return self.update(callback_query=pressed)

    def write(self, text: str | None, *, chat: int = ANN, by: int = ANN, **more: Any) -> Post:
        """Somebody writes; `reply_to` is the message that it answers."""
        replied = more.pop("reply_to", None)
        message = {
            "message_id": next(self._numbers),
            "from": person(by),
            "chat": self._describe(chat),
            "date": int(time.time()),
            **({"text": text} if text is not None else {}),
            **({"reply_to_message": replied} if replied else {}),
            **more,
        }
        return self.update(message=message)

    def update(self, *, secret: str = SECRET, **parts: Any) -> Post:
        """One update of any kind, posted as the webhook was set up."""
        body = json.dumps({"update_id": next(self._updates), **parts}).encode()
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
        return Post(CALLBACK, body, "application/json", headers)

    def take(self, answer: bytes | str) -> Any:
        """Carry out the call that stands in the answer to a post, as Telegram does."""
        given = json.loads(answer) if answer else {}
        return self.carry_out(given.pop("method"), given) if given else None

    def _describe(self, chat: int) -> dict[str, Any]:
        kind = "private" if chat > 0 else "supergroup"
        return {"id": chat, "type": kind}


def person(number: int) -> dict[str, Any]:
    """A user as updates name them."""
    return {"id": number, "is_bot": False, "first_name": "Ann", "language_code": "en"}


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    """All buttons under a message."""
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [button for row in rows for button in row]


def units(text: str) -> int:
    """UTF-16 units, in which Telegram counts."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def styled(message: dict[str, Any], style: str) -> list[str]:
    """The parts of the text that have a style."""
    raw = message["text"].encode("utf-16-le")
    found = [part for part in message.get("entities", []) if part["type"] == style]
    return [
        raw[2 * part["offset"] : 2 * (part["offset"] + part["length"])].decode("utf-16-le")
        for part in found
    ]


def check_text(given: dict[str, Any]) -> None:
    """1 to 4096 characters; entities within the text, of known types, nested as allowed."""
    text = given.get("text", "")
    if not text.strip():
        raise Refusal(400, "Bad Request: message text is empty")
    if units(text) > 4096:
        raise Refusal(400, "Bad Request: message is too long")
    if "parse_mode" in given:
        raise Refusal(400, "Bad Request: this stand-in reads no markup")
    spans = []
    for entity in given.get("entities", []):
        start, end = entity["offset"], entity["offset"] + entity["length"]
        if entity["type"] not in STYLES or not 0 <= start < end <= units(text):
            raise Refusal(400, "Bad Request: can't parse entities")
        spans.append((start, end, entity["type"]))
    for one, other in itertools.combinations(sorted(spans), 2):
        if other[0] < one[1] and not (other[1] <= one[1] and {one[2], other[2]} <= NESTABLE):
            raise Refusal(400, "Bad Request: entities overlap")


def check_markup(markup: dict[str, Any]) -> None:
    """Each button does one thing, with data of 1 to 64 bytes or an address with a dot in it."""
    for button in buttons({"reply_markup": markup}):
        actions = set(button) - {"text"}
        if not button["text"].strip() or len(actions) != 1:
            raise Refusal(400, "Bad Request: BUTTON_TYPE_INVALID")
        if not 1 <= len(button.get("callback_data", "x").encode()) <= 64:
            raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
        url = button.get("url", "https://a.example")
        if urlsplit(url).scheme not in ("http", "https") or "." not in urlsplit(url).netloc:
            wrong = f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL"
            raise Refusal(400, f"Bad Request: {wrong}")
    if len(markup.get("input_field_placeholder", "")) > 64:
        raise Refusal(400, "Bad Request: placeholder is too long")
