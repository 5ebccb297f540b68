"""Telegram by its Bot API: a message with buttons, a question for the reason, a webhook.

What an agent wrote is sent in fixed-width boxes, where Telegram makes no links, mentions or
commands of it. The button that approves is there only where the message shows everything.
"""

import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError
from django.template.loader import render_to_string
from django.utils import timezone

from deliveries.channels.base import (
    Answer,
    Channel,
    ChannelError,
    Choice,
    Fact,
    Forged,
    FormField,
    Health,
    Message,
    Note,
    Proof,
    Receipt,
    Reply,
    Report,
    Trouble,
    bad_address,
)
from hitl.lib import http
from hitl.lib.text import one_line, visible
from hitl.lib.urls import absolute

TIMEOUT_SECONDS = 10.0
# Telegram keeps what it could not deliver for a day, so anything older is not from there.
MAX_AGE_SECONDS, MAX_AHEAD_SECONDS = 24 * 3600, 300

# Telegram takes 4096 characters. We count UTF-16 units, which are never fewer; the parts below
# and the template's own words add up to less than that.
TEXT_LIMIT, ALERT_LIMIT = 4096, 200
LINE_LIMIT, OUTCOME_LIMIT, PROGRESS_LIMIT, PAGE_LIMIT = 100, 300, 200, 256
FACTS_LIMIT, VALUE_LIMIT, VALUE_LINES = 1700, 400, 8
REASON_LIMIT, REASON_LINES = 500, 8
NO_PREVIEW = {"is_disabled": True}

STYLES = {"b": "bold", "code": "code", "pre": "pre"}
DECISIONS = {"a": "approved", "r": "rejected"}
LETTERS = {decision: letter for letter, decision in DECISIONS.items()}
PRESSED = re.compile(r"(?P<letter>[ar]):(?P<id>[0-9a-f]{32})")
QUESTION = "Why do you reject this?"
_ID = "(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
ASKED = re.compile(rf"{re.escape(QUESTION)}\n.*\nrequest {_ID}", re.DOTALL)
START = re.compile(r"/start(?:@\w+)?\s+(?P<code>[A-Za-z0-9_-]{1,64})\s*")
NUMBER = re.compile(r"-?[1-9][0-9]{0,15}")

CALLBACK_PATH = "/webhooks/telegram/callback"
WEBHOOK_PORTS = (443, 80, 88, 8443)  # https://core.telegram.org/bots/api#setwebhook
UPDATES = ["message", "callback_query"]
BOT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,63}")

TRANSIENT = (408, 409, 425, 429)
SENTENCES = {
    "chat not found": "There is no such chat, or nobody has started the bot in it.",
    "group chat was upgraded": "The group has a new chat id since it was upgraded.",
    "message to edit not found": "The message is gone, so it cannot be rewritten.",
    "message can't be edited": "The message is too old to be rewritten.",
}


class TelegramChannel(Channel):
    """Asks in a chat with the bot; the contact's address is the chat's id, the person's own."""

    name = "telegram"
    label = "Telegram"
    contact_kind = "telegram"
    settings = ("TELEGRAM_BOT_TOKEN", "TELEGRAM_WEBHOOK_SECRET")
    can_update = True
    proof = Proof.START
    example = "123456789"

    @classmethod
    def read_address(cls, text: str) -> str:
        """The number of a chat; a group's is negative."""
        address = super().read_address(text)
        if not NUMBER.fullmatch(address):
            raise bad_address("This is not the number of a Telegram chat.")
        return address

    def send(
        self,
        message: Message,
        *,
        to: str,
        key: str,
        link: str = "",
        code: str = "",
        earlier: dict[str, str] | None = None,
    ) -> Receipt:
        """Put a message into the chat, which knows no idempotency: a lost answer may repeat it."""
        # Personal, so it cannot be passed on; updates keep that.
        body = {**_body(message, link), **_keyboard(message, UUID(key), link)}
        here = _below(earlier or {})
        sent = _call("sendMessage", {"chat_id": _id(to), "protect_content": True, **body, **here})
        number, chat = _at(sent, "message_id"), _at(sent, "chat", "id")
        if number is None or chat is None:
            raise _unreadable()
        return Receipt({"messageId": str(number), "chatId": str(chat)}, delivered=True)

    def update(
        self,
        message: Message,
        *,
        to: str,
        provider_ids: dict[str, str],
        key: str = "",
        link: str = "",
    ) -> None:
        """Rewrite the message. Its buttons go where the call brings no keyboard."""
        where = {
            "chat_id": _id(provider_ids.get("chatId", to)),
            "message_id": _id(provider_ids.get("messageId", "")),
        }
        keyboard = {} if message.outcome else _keyboard(message, UUID(key), link)
        try:
            _call("editMessageText", {**where, **_body(message, link), **keyboard})
        except Refused as error:
            if "message is not modified" not in error.said:
                raise

    def verify(self, request: HttpRequest) -> None:
        """Check the secret that the webhook was set with, and the age of what tells its time."""
        given = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        secret = settings.TELEGRAM_WEBHOOK_SECRET.encode()
        if not secret or not hmac.compare_digest(given.encode("utf-8", "replace"), secret):
            raise Forged
        # A pressed button brings no time of its own.
        if not _is_recent(_at(_update(request), "message", "date")):
            raise Forged

    def parse(self, request: HttpRequest) -> list[Reply | Report]:
        """A pressed button, the reason we asked for, the start of a link, or other words."""
        update = _update(request)
        event = str(update["update_id"])
        found = _pressed(update, event) or _written(update, event)
        return [found] if found else []

    def acknowledge(self, request: HttpRequest, problem: str = "") -> Answer:
        """A call in the body of the answer: it ends the button's wait, or tells the problem."""
        update = _update(request)
        query, chat = _at(update, "callback_query", "id"), _at(update, "message", "chat", "id")
        if query is not None:
            alert = {"text": _cut(visible(problem), ALERT_LIMIT), "show_alert": True}
            answer = {"method": "answerCallbackQuery", "callback_query_id": query}
            return _answer({**answer, **(alert if problem else {})})
        if problem and chat is not None:
            return _answer({"method": "sendMessage", "chat_id": chat, **_words(problem)})
        return Answer()

    def tell(self, reply: Reply, text: str) -> None:
        """Write to the person alone. A button can be answered once, and has been by now."""
        here = _below(reply.handle) if reply.handle.get("chatId") == reply.sender else {}
        _call("sendMessage", {"chat_id": _id(reply.sender), **_words(text), **here})

    def ask(self, reply: Reply, message: Message, fields: list[FormField]) -> None:
        """Ask for the reason; it comes back as a message that replies to the question."""
        context = {"question": QUESTION, "title": _line(message.title), "id": reply.reference}
        asked = _styled(render_to_string("deliveries/telegram/reason.html", context))
        markup = {"force_reply": True, "selective": True, "input_field_placeholder": "Reason"}
        chat = _id(reply.handle.get("chatId", reply.sender))
        here = {"chat_id": chat, "reply_markup": markup, **_below(reply.handle)}
        _call("sendMessage", {**here, **asked, "link_preview_options": NO_PREVIEW})

    def say(self, note: Note, *, to: str) -> None:
        """A few words in a chat."""
        _call("sendMessage", {"chat_id": _id(to), **_words(note.in_words)})

    def start_link(self, code: str) -> str:
        """Opens a chat with the bot, whose Start button sends the code."""
        return f"https://t.me/{settings.TELEGRAM_BOT_NAME or _bot_name()}?start={code}"

    def check(self) -> Health:
        """Ask Telegram who the bot is and where its updates go."""
        name = _bot_name()
        return Health(f"We are the bot @{name}.", tuple(_check_webhook()))

    def set_webhook(self) -> str:
        """Have Telegram post our updates to us; returns where to. Raises ChannelError."""
        url = webhook_url()
        _call(
            "setWebhook",
            {
                "url": url,
                "secret_token": settings.TELEGRAM_WEBHOOK_SECRET,
                "allowed_updates": UPDATES,
            },
        )
        return url

    def remove_webhook(self) -> None:
        """Have Telegram keep our updates for itself. Raises ChannelError."""
        _call("deleteWebhook", {})


def webhook_url() -> str:
    """Where Telegram has to post to. Raises ChannelError for addresses that it refuses."""
    url = absolute(CALLBACK_PATH)
    parts = urlsplit(url)
    if parts.scheme != "https" or (parts.port or 443) not in WEBHOOK_PORTS:
        ports = ", ".join(map(str, WEBHOOK_PORTS))
        raise ChannelError(
            f"Telegram posts to https:// on the ports {ports} only, and PUBLIC_URL is another.",
            permanent=True,
        )
    return url


def _check_webhook() -> list[Trouble]:
    remedy = "Run manage.py telegram_webhook."
    try:
        ours = webhook_url()
    except ChannelError as error:
        return [Trouble(str(error), "Set PUBLIC_URL to the https:// address of this server.")]
    hook = _call("getWebhookInfo", {})
    if _at(hook, "url") != ours:
        says = "Answers in Telegram do not reach us: its webhook "
        says += "leads elsewhere." if _at(hook, "url") else "is not set."
        return [Trouble(says, remedy)]
    kinds = _at(hook, "allowed_updates")
    if isinstance(kinds, list) and kinds and not set(UPDATES) <= set(kinds):
        return [Trouble("Telegram does not post every kind of update that we need.", remedy)]
    if _number(_at(hook, "pending_update_count")) and _at(hook, "last_error_message"):
        said = one_line(str(_at(hook, "last_error_message")), LINE_LIMIT)
        says = f"Telegram could not post to us lately: {said}"
        return [Trouble(says, "Look whether this server can be reached under PUBLIC_URL.")]
    return []


def _bot_name() -> str:
    name = _at(_call("getMe", {}), "username")
    if not isinstance(name, str) or not BOT_NAME.fullmatch(name):
        raise _unreadable()
    return name


# --- What we write --------------------------------------------------------------------------------


class Facts(NamedTuple):
    """The facts as text, how many did not fit, and whether all is there to the last letter."""

    text: str
    left_out: int
    is_whole: bool


def _body(message: Message, link: str) -> dict[str, Any]:
    context = {
        "message": message,
        "title": _line(message.title),
        "agent": _line(message.agent),
        "team": _line(message.team),
        "action_type": _line(message.action_type),
        "outcome": _line(message.outcome, OUTCOME_LIMIT),
        "by": _moment(message.expires_at),
        "silence": _line(message.on_timeout),
        "notice": _line(message.notice, OUTCOME_LIMIT),
        "progress": _line(message.progress, PROGRESS_LIMIT),
        "on_behalf": _line(message.on_behalf),
        "facts": _facts(message),
        "reason": _block(message.reason, REASON_LIMIT, REASON_LINES),
        "fingerprint": _line(message.fingerprint.removeprefix("sha256:")[:12]),
        "page": _page_in_words(message, link),
    }
    drawn = _styled(render_to_string("deliveries/telegram/message.html", context))
    return {**drawn, "link_preview_options": NO_PREVIEW}


def _facts(message: Message) -> Facts:
    shown: list[str] = []
    room = FACTS_LIMIT
    for fact in message.facts:
        drawn = _fact(fact)
        room -= _units(drawn) + 1
        if room < 0:
            break
        shown.append(drawn)
    left_out = len(message.facts) - len(shown) + message.facts_left_out
    cut = any(_is_cut(fact.value, VALUE_LIMIT, VALUE_LINES) for fact in message.facts)
    return Facts("\n".join(shown).rstrip(), left_out, is_whole=not left_out and not cut)


def _fact(fact: Fact) -> str:
    """The label at the margin, where no line of a value ever starts."""
    path = f" [{_line(fact.path)}]" if fact.path else ""
    value = _block(fact.value, VALUE_LIMIT, VALUE_LINES).replace("\n", "\n  ")
    return f"{_line(fact.label)}{path}:\n  {value}"


def _keyboard(message: Message, delivery: UUID, link: str) -> dict[str, Any]:
    """Buttons that decide here, and ones that open the page for what must be seen there."""
    whole = _facts(message).is_whole
    buttons = [
        {"text": _line(choice.label), **press}
        for choice in message.choices
        if (press := _press(message, choice, delivery, link, whole))
    ]
    rows = [buttons[:2], *([button] for button in buttons[2:])]
    page = _page(message, link)
    if buttons and page and not any("url" in button for button in buttons):
        rows.append([{"text": "Open the request", "url": page}])
    return {"reply_markup": {"inline_keyboard": rows}} if buttons else {}


def _press(
    message: Message, choice: Choice, delivery: UUID, link: str, whole: bool
) -> dict[str, str]:
    """What pressing does; nothing where Telegram would refuse the address of the page."""
    letter = LETTERS.get(choice.decision, "")
    must_be_seen = choice.decision == "approved" and not whole
    if letter and not message.page_only and not must_be_seen:
        return {"callback_data": f"{letter}:{delivery.hex}"}
    ending = f"?choice={choice.decision}" if link else ""
    page = _page(message, link)
    return {"url": page + ending} if page else {}


def _page(message: Message, link: str) -> str:
    """The page's address if it may stand behind a button: Telegram wants a dot in the host."""
    page = link or message.url
    parts = urlsplit(page)
    return page if parts.scheme in ("http", "https") and "." in (parts.hostname or "") else ""


def _page_in_words(message: Message, link: str) -> str:
    page = link or message.url
    wanted = message.choices and not _page(message, link) and _units(page) <= PAGE_LIMIT
    return page if wanted else ""


class _Styled(HTMLParser):
    """Our template's few tags as Telegram's entities, counted in UTF-16 units.

    Were the markup sent, Telegram would read it; like this no text can ever be markup there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.entities: list[dict[str, Any]] = []
        self._starts: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._starts.append(_units(self.text))

    def handle_endtag(self, tag: str) -> None:
        offset = self._starts.pop()
        if length := _units(self.text) - offset:
            self.entities.append({"type": STYLES[tag], "offset": offset, "length": length})

    def handle_data(self, data: str) -> None:
        self.text += data


def _styled(html: str) -> dict[str, Any]:
    parser = _Styled()
    parser.feed(html.strip())
    parser.close()
    return {"text": parser.text, "entities": parser.entities}


def _words(text: str) -> dict[str, Any]:
    return {"text": _cut(visible(text), TEXT_LIMIT), "link_preview_options": NO_PREVIEW}


def _line(text: str, limit: int = LINE_LIMIT) -> str:
    line = one_line(text, limit)
    return line if _units(line) <= limit else one_line(text, limit // 2)


def _block(text: str, limit: int, lines: int) -> str:
    """A few lines of the text; what is missing is told."""
    shown = visible(text).splitlines()
    left_out = len(shown) - lines
    block = _cut("\n".join(shown[:lines]), limit)
    return f"{block}\n… ({left_out} more lines)" if left_out > 0 else block


def _is_cut(text: str, limit: int, lines: int) -> bool:
    shown = visible(text)
    return _units(shown) > limit or len(shown.splitlines()) > lines


def _cut(text: str, limit: int) -> str:
    if _units(text) <= limit:
        return text
    # A character takes at most two units, so the half always fits with the note.
    kept = text[: max(limit - 40, 0)]
    kept = kept if _units(kept) <= limit - 40 else text[: max(limit - 40, 0) // 2]
    return f"{kept}… ({len(text) - len(kept)} more characters)"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _moment(iso: str) -> str:
    return datetime.fromisoformat(iso).strftime("%d %b %Y, %H:%M UTC") if iso else ""


# --- Calls to Telegram ----------------------------------------------------------------------------


class Refused(ChannelError):
    """Telegram's no. `said` is its own description, which may quote the message: never shown."""

    said = ""


def _call(method: str, parameters: dict[str, Any]) -> Any:
    """Call one method of the Bot API; its result. Raises ChannelError, Refused among them."""
    base = settings.TELEGRAM_API_URL.rstrip("/")
    try:
        answer = http.post(
            f"{base}/bot{settings.TELEGRAM_BOT_TOKEN}/{method}",
            body=json.dumps(parameters).encode(),
            headers={"Content-Type": "application/json"},
            timeout_total=TIMEOUT_SECONDS,
            allow_http=base.startswith("http://"),
            allow_hosts=[urlsplit(base).netloc],
        )
    except http.OutboundError as error:
        raise ChannelError(_unreachable(error)) from error
    said = _json(answer.body)
    if answer.is_success and _at(said, "ok") is True:
        return _at(said, "result")
    raise _refused(answer.status, said)


def _refused(status: int, said: Any) -> ChannelError:
    if 200 <= status < 300:
        return _unreadable()
    description = str(_at(said, "description"))
    wait = _number(_at(said, "parameters", "retry_after"))
    error = Refused(
        _sentence(status, description),
        permanent=400 <= status < 500 and status not in TRANSIENT,
        retry_after=None if wait is None else float(wait),
    )
    error.said = description
    return error


def _sentence(status: int, description: str) -> str:
    if status in (401, 404):
        return "Telegram does not know our bot: check TELEGRAM_BOT_TOKEN."
    if status == 403:
        return "The receiver has blocked the bot or has never started it."
    if status == 429:
        return "Telegram wants us to wait before we send more."
    known = [said for part, said in SENTENCES.items() if part in description]
    return known[0] if known else f"Telegram answered {status}."


def _unreadable() -> ChannelError:
    return ChannelError("Telegram's answer cannot be read: the message may have gone out or not.")


def _unreachable(error: http.OutboundError) -> str:
    if error.may_have_been_received:
        return "Telegram took the message but did not answer: it may have gone out or not."
    return "Telegram could not be reached."


def _id(address: str) -> int:
    if not NUMBER.fullmatch(address):
        raise ChannelError("This is not an id of Telegram's.", permanent=True)
    return int(address)


def _below(place: Mapping[str, str]) -> dict[str, Any]:
    """In answer to the message with these ids, if it is still there."""
    number = place.get("messageId", "")
    found = {"message_id": int(number), "allow_sending_without_reply": True} if number else None
    return {"reply_parameters": found} if found else {}


# --- What Telegram posts --------------------------------------------------------------------------


def _update(request: HttpRequest) -> dict[str, Any]:
    """The update that was posted. Raises Forged for anything that is not Telegram's shape."""
    try:
        update = _json(request.body) if request.method == "POST" else None
    except (RequestDataTooBig, UnreadablePostError):
        raise Forged from None
    is_json = request.content_type == "application/json"
    if not is_json or not isinstance(update, dict) or _number(update.get("update_id")) is None:
        raise Forged
    return update


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _at(data: Any, *path: str) -> Any:
    """What stands there, or None."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_recent(date: Any) -> bool:
    """Whether a time (in seconds of Unix) may be that of a post from Telegram, if there is one."""
    if date is None:
        return True
    age = timezone.now().timestamp() - date if _number(date) is not None else MAX_AGE_SECONDS + 1
    return bool(-MAX_AHEAD_SECONDS <= age <= MAX_AGE_SECONDS)


def _answer(call: dict[str, Any]) -> Answer:
    return Answer(json.dumps(call), "application/json")


def _person(sender: Any) -> str:
    """The id of a human being; empty for bots and for groups that speak as such."""
    number = _number(_at(sender, "id"))
    return "" if number is None or _at(sender, "is_bot") is not False else str(number)


def _place(message: Any) -> dict[str, str]:
    number, chat = _number(_at(message, "message_id")), _number(_at(message, "chat", "id"))
    return {} if number is None or chat is None else {"messageId": str(number), "chatId": str(chat)}


def _pressed(update: dict[str, Any], event: str) -> Reply | None:
    """Approve decides at once; reject first asks for the reason."""
    query = _at(update, "callback_query")
    found = PRESSED.fullmatch(str(_at(query, "data")))
    sender, place = _person(_at(query, "from")), _place(_at(query, "message"))
    if not found or not sender or not place:
        return None
    decision = DECISIONS[found["letter"]]
    return Reply(
        action="decide" if decision == "approved" else "ask_reason",
        sender=sender,
        reference=str(UUID(found["id"])),
        decision=decision,
        place=place,
        handle={**place, "callbackQueryId": str(_at(query, "id"))},
        event_id=event,
    )


def _written(update: dict[str, Any], event: str) -> Reply | None:
    """Words: in groups only those that answer the bot, in private all of them."""
    message = _at(update, "message")
    sender, place = _person(_at(message, "from")), _place(message)
    if not sender or not place or _at(message, "sender_chat") is not None:
        return None
    text = str(_at(message, "text") or _at(message, "caption") or "").replace("\0", "").strip()
    replied = _at(message, "reply_to_message") if _is_ours(message) else None
    is_private = _at(message, "chat", "type") == "private"
    if not is_private and replied is None:
        return None
    said = _said(text, replied, is_private)
    return Reply(**said, sender=sender, handle=place, event_id=event)


def _is_ours(message: Any) -> bool:
    """Whether it answers a message of the bot: people cannot write those."""
    author = _at(message, "reply_to_message", "from", "id")
    return str(author) == settings.TELEGRAM_BOT_TOKEN.partition(":")[0]


def _said(text: str, replied: Any, is_private: bool) -> dict[str, Any]:
    start, asked = START.fullmatch(text), ASKED.fullmatch(str(_at(replied, "text")))
    if start and is_private:
        return {"action": "link", "code": start["code"]}
    if not asked or text.startswith("/"):
        return {"action": "say", "comment": text, "place": _place(replied)}
    return {
        "action": "decide" if text else "ask_reason",
        "decision": "rejected",
        "comment": text,
        "reference": str(UUID(asked["id"])),
        # The question is another message than the one with the buttons, in the same chat.
        "place": {"chatId": str(_at(replied, "chat", "id"))},
    }
