"""Text messages through Twilio: a short question with a link, and at low risk a reply code.

A number is weak identity, so only a reply that names the code of its own message decides. Of the
agent's text only the title is sent, and nothing in it can become a second link.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import string
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse

from deliveries.channels.base import (
    Answer,
    Channel,
    ChannelError,
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
from hitl.lib import gsm7, http, strict_json
from hitl.lib.errors import InvalidInput
from hitl.lib.text import one_line
from hitl.lib.urls import absolute

CALLBACK_PATH = "/webhooks/sms/callback"
TIMEOUT_SECONDS = 10.0
# 19^5: 21 bits. No letter that looks like another or like a digit, none that makes words.
CODE_LETTERS = "BCDFGHJKMNPQRSTVWXZ"
CODE_LENGTH = 5
# Two segments; toll-free numbers have one place less in each (152 and 66).
PLACES_GSM7, PLACES_UCS2 = 304, 132
TITLE_LIMIT = 160
TITLE_WORTH_READING = 20
BEHALF_LIMIT = 24
MAX_FIELDS = 200

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
TRANSIENT = (408, 409, 425, 429)

# Twilio's error codes (https://www.twilio.com/docs/api/errors), for the one who reads the delivery.
SENTENCES = {
    20003: "Twilio does not accept our login: check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
    20404: "Twilio does not know our account: check TWILIO_ACCOUNT_SID.",
    21211: "This is not a valid phone number.",
    21212: "TWILIO_FROM is not a number that can send text messages.",
    21265: "Text messages cannot be sent to a short code.",
    21408: "Twilio may not send to this country: permit the region in its console.",
    21606: "TWILIO_FROM is not a number that this account can send from.",
    21608: "A trial account only sends to numbers that are verified in its console.",
    21610: "The receiver has opted out by answering STOP; answering START undoes it.",
    21612: "Twilio cannot reach this number from TWILIO_FROM.",
    21614: "This number cannot receive text messages.",
    21635: "This number is a landline.",
    21659: "TWILIO_FROM is not a Twilio number.",
    21660: "TWILIO_FROM does not belong to this account.",
    30001: "Too many messages were waiting at Twilio.",
    30002: "The Twilio account is suspended.",
    30003: "The phone is switched off or out of reach.",
    30004: "The receiver or the carrier blocks messages from us.",
    30005: "This number is unknown or no longer in service.",
    30006: "This number is a landline, or its carrier cannot be reached.",
    30007: "The carrier filtered the message as unwanted.",
    30008: "The carrier did not deliver the message and does not say why.",
    30032: "The toll-free number in TWILIO_FROM is not verified yet.",
    30034: "TWILIO_FROM is not registered for messages to the United States (A2P 10DLC).",
    30036: "The message waited too long at Twilio.",
}


class SmsChannel(Channel):
    """Asks by text message; takes replies at low risk, where the code says which message."""

    name = "sms"
    label = "SMS"
    contact_kind = "phone"
    contact_label = "Phone"
    settings = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM")
    proof = Proof.CODE
    example = "+44 7700 900123"

    @classmethod
    def read_address(cls, text: str) -> str:
        """E.164: people may write it with spaces, brackets and dashes, or 00 for the plus."""
        digits = re.sub(r"[\s().\-/\u2010-\u2015]", "", super().read_address(text))
        number = "+" + digits[2:] if digits.startswith("00") else digits
        if not E164.fullmatch(number):
            raise bad_address("This is not a phone number with its country code, like +44 7700 …")
        return number

    def new_code(self, message: Message) -> str:
        """Five random letters at low risk; none where the request itself must be read."""
        if not _may_reply(message):
            return ""
        return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))

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
        """Hand one text to Twilio, which has no idempotency key: a lost answer may repeat it."""
        text = compose(message, link=link, code=code)
        sid = _create(to, text)
        return Receipt({"messageId": sid, "segments": str(gsm7.segments(text))})

    def verify(self, request: HttpRequest) -> None:
        """Check Twilio's signature over the configured address and all that was posted.

        There is no time in it: repeats are recognised by the message's id.
        """
        posted = _posted(request)
        _check_signature(request, posted)
        accounts = posted.getlist("AccountSid")
        if any(account != settings.TWILIO_ACCOUNT_SID for account in accounts):
            raise Forged

    def parse(self, request: HttpRequest) -> list[Reply | Report]:
        """A text from a person, or Twilio's later word on one of ours."""
        posted = _posted(request)
        # A name that comes twice is not from Twilio as we know it, so it says nothing.
        told = {name: values[0] for name, values in posted.lists() if len(values) == 1}
        found = _report(told) if _is_status(told) else _reply(told)
        return [found] if found else []

    def acknowledge(self, request: HttpRequest, problem: str = "") -> Answer:
        """TwiML; the problem goes back as a text to the number that wrote."""
        answer = MessagingResponse()
        if problem:
            answer.message(_short(problem))
        return Answer(str(answer), "text/xml")

    def tell(self, reply: Reply, text: str) -> None:
        """Text the person who wrote."""
        _create(reply.sender, _short(text))

    def ask(self, reply: Reply, message: Message, fields: list[FormField]) -> None:
        """Ask why: a phone has no form, so the answer is the same reply with its reason."""
        again = f"NO {reply.code}" if reply.code else "NO, the code"
        _create(reply.sender, f"Why not? Please reply: {again} and your reason.")

    def say(self, note: Note, *, to: str) -> None:
        """One short text."""
        _create(to, _short(note.in_words))

    def check(self) -> Health:
        """Ask Twilio for the account, and for the number that sends."""
        account, time = _fetch("")
        kind, state = str(account.get("type")), str(account.get("status"))
        says = f"Twilio knows the account {one_line(str(account.get('friendly_name')), 80)}."
        troubles = []
        if state != "active":
            remedy = "Look at it in Twilio's console."
            troubles.append(Trouble(f"The account is {one_line(state, 40)}.", remedy))
        if kind == "Trial":
            trial = "It is a trial account: it only sends to numbers verified in Twilio's console."
            troubles.append(Trouble(trial, "Upgrade it.", is_fatal=False))
        return Health(says, (*troubles, *_check_number()), time)


# --- What we write --------------------------------------------------------------------------------


def compose(message: Message, *, link: str = "", code: str = "") -> str:
    """The text in at most two segments: the title gives way visibly, the link never does."""
    code = code if _may_reply(message) else ""
    behalf = gsm7.only_gsm7(_quotable(message.on_behalf, BEHALF_LIMIT))
    rest = _draw(message, "", link, code, behalf)
    if behalf and _room(rest) < TITLE_WORTH_READING:
        behalf, rest = "", _draw(message, "", link, code)  # what is asked matters more
    return _draw(message, _fitting(_quotable(message.title), rest), link, code, behalf)


def _may_reply(message: Message) -> bool:
    """Whether a reply may decide: else the link must be opened and the data be seen."""
    decisions = {choice.decision for choice in message.choices}
    harmless = message.risk == "low" and not message.deceptive and not message.second_factor
    return harmless and {"approved", "rejected"} <= decisions


def _draw(message: Message, title: str, link: str, code: str, behalf: str = "") -> str:
    context = {
        "message": message,
        "title": title,
        "behalf": behalf,
        "outcome": _outcome(message.outcome),
        "by": _moment(message.expires_at),
        "code": code,
        "link": link or message.url,
    }
    return render_to_string("deliveries/sms/message.txt", context).strip()


def _outcome(text: str) -> str:
    line = _harmless(text)
    places = PLACES_GSM7 if gsm7.is_gsm7(line) else PLACES_UCS2
    return gsm7.cut(line, places * 2 // 3)


def _room(rest: str) -> int:
    return (PLACES_GSM7 if gsm7.is_gsm7(rest) else PLACES_UCS2) - gsm7.length(rest)


def _fitting(title: str, rest: str) -> str:
    """As much of the title as two segments hold, in its own letters if that is worth reading."""
    for shown in (title, gsm7.only_gsm7(title)):
        places = PLACES_GSM7 if gsm7.is_gsm7(shown + rest) else PLACES_UCS2
        room = places - gsm7.length(rest, within=shown)
        if room >= min(TITLE_WORTH_READING, gsm7.length(shown, within=rest)):
            break
    return gsm7.cut(shown, max(room, 0), within=rest)


def _quotable(text: str, limit: int = TITLE_LIMIT) -> str:
    return _harmless(text, limit).replace('"', "'")


def _harmless(text: str, limit: int = TITLE_LIMIT) -> str:
    """One line in which a phone finds nothing to make a link of."""
    line = gsm7.fold(one_line(text, limit))
    line = re.sub(r"[^\W_]*://", "", line)
    line = re.sub(r"(?<=\S)[.\u3002\uff0e\uff61](?=[^\W\d_]{2})", "[.]", line)
    return re.sub(r"\b\d+(?:\.\d+){3}\b", lambda found: found[0].replace(".", "[.]"), line)


def _short(text: str) -> str:
    line = gsm7.fold(one_line(text, PLACES_GSM7))
    return gsm7.cut(line, PLACES_GSM7 if gsm7.is_gsm7(line) else PLACES_UCS2)


def _moment(iso: str) -> str:
    return datetime.fromisoformat(iso).strftime("%d %b %H:%M UTC") if iso else ""


# --- Calls to Twilio ------------------------------------------------------------------------------


def _create(to: str, text: str) -> str:
    """Hand over one text; its sid. Raises ChannelError."""
    if not all(getattr(settings, name) for name in SmsChannel.settings):
        raise ChannelError("No Twilio account is configured: set TWILIO_…", permanent=True)
    if not E164.fullmatch(to):
        raise ChannelError(SENTENCES[21211], permanent=True)
    client = Client(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, http_client=_Http())
    try:
        sid = client.messages.create(to=to, body=text, **_sender(), **_status_callback()).sid
    except (TwilioRestException, TwilioServiceException) as error:
        raise _refused(error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable() from error
    if not SID.fullmatch(str(sid)):
        raise _unreadable()
    return str(sid)


def _check_number() -> list[Trouble]:
    """What stands against the number in TWILIO_FROM; nothing is known of messaging services."""
    if not E164.fullmatch(settings.TWILIO_FROM):
        return []
    found, _ = _fetch("/IncomingPhoneNumbers", {"PhoneNumber": settings.TWILIO_FROM})
    numbers = found.get("incoming_phone_numbers")
    if not isinstance(numbers, list) or not numbers or not isinstance(numbers[0], dict):
        says = "TWILIO_FROM is not a number of this account."
        return [Trouble(says, "Take one from Twilio's console.")]
    ours = absolute(CALLBACK_PATH)
    if numbers[0].get("sms_url") != ours:
        says = "Replies by SMS do not reach us: the number's incoming messages go elsewhere."
        return [Trouble(says, f"Point them at {ours} (HTTP POST) in Twilio's console.")]
    return []


def _fetch(part: str, query: Mapping[str, str] | None = None) -> tuple[dict[str, Any], Any]:
    """A part of our account, and Twilio's clock. Raises ChannelError."""
    path = f"/2010-04-01/Accounts/{quote(settings.TWILIO_ACCOUNT_SID, safe='')}{part}.json"
    path += f"?{urlencode(query)}" if query else ""
    try:
        answer = _call("GET", path, None, {})
    except http.OutboundError as error:
        raise ChannelError(_unreachable(error)) from error
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ChannelError(f"Twilio answered {answer.status}, and nothing that can be read.")
    if not answer.is_success:
        code = said.get("code")
        known = SENTENCES.get(code if isinstance(code, int) else answer.status)
        raise ChannelError(known or f"Twilio answered {answer.status}.", permanent=True)
    return said, http.moment(answer.headers.get("date", ""))


def _sender() -> dict[str, str]:
    is_service = settings.TWILIO_FROM.startswith("MG")
    return {"messaging_service_sid" if is_service else "from_": settings.TWILIO_FROM}


def _status_callback() -> dict[str, str]:
    """Where Twilio reports to; it refuses (21609) whole messages for a name without a dot."""
    url = absolute(CALLBACK_PATH)
    host = urlsplit(url).hostname or ""
    return {"status_callback": url} if "." in host and "_" not in host else {}


def _refused(error: Any) -> ChannelError:
    code = error.code if isinstance(error.code, int) else error.status
    sentence = SENTENCES.get(code, f"Twilio refused the message (error {code}).")
    return ChannelError(sentence, permanent=400 <= error.status < 500)


def _unreadable() -> ChannelError:
    return ChannelError("Twilio's answer cannot be read: the message may have gone out or not.")


class _Http:
    """What the library calls its HTTP client: ours, which has one deadline for a whole call.

    Sends to TWILIO_API_URL, follows no redirect, uses no proxy and tries once.
    """

    def request(
        self,
        method: str,
        uri: str,
        *,
        data: Mapping[str, str],
        headers: Mapping[str, str],
        **_: Any,
    ) -> Response:
        """Post one form. Raises ChannelError where trying again later makes sense."""
        try:
            answer = _call("POST", urlsplit(uri).path, urlencode(data).encode(), headers)
        except http.OutboundError as error:
            raise ChannelError(_unreachable(error)) from error
        if answer.status in TRANSIENT or not 200 <= answer.status < 500:
            sentence = f"Twilio answered {answer.status}."
            raise ChannelError(sentence, retry_after=_retry_after(answer.headers))
        return Response(answer.status, answer.body.decode("utf-8", "replace"), answer.headers)


def _call(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> http.Response:
    base = settings.TWILIO_API_URL.rstrip("/")
    login = f"{settings.TWILIO_ACCOUNT_SID}:{settings.TWILIO_AUTH_TOKEN}".encode()
    return http.request(
        method,
        base + path,
        body=body,
        headers={**headers, "Authorization": f"Basic {base64.b64encode(login).decode()}"},
        timeout_total=TIMEOUT_SECONDS,
        allow_http=base.startswith("http://"),
        allow_hosts=[urlsplit(base).netloc],
    )


def _unreachable(error: http.OutboundError) -> str:
    if error.may_have_been_received:
        return "Twilio took the message but did not answer: it may have gone out or not."
    return "Twilio could not be reached."


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header (RFC 9110, section 10.2.3)."""
    told = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,9}", told):
        return float(told)
    try:
        return max((parsedate_to_datetime(told) - timezone.now()) / timedelta(seconds=1), 0.0)
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None


# --- What Twilio posts ----------------------------------------------------------------------------


def _posted(request: HttpRequest) -> MultiValueDict[str, str]:
    """The fields of the raw body. Raises Forged for anything that is not Twilio's shape."""
    try:
        if request.method == "POST" and request.content_type == "application/json":
            return _from_json(strict_json.loads(request.body))
        if request.method == "POST" and request.content_type == "application/x-www-form-urlencoded":
            return _from_form(request.body.decode())
    except (ValueError, InvalidInput, RequestDataTooBig, UnreadablePostError):
        raise Forged from None
    raise Forged


def _from_form(body: str) -> MultiValueDict[str, str]:
    posted: MultiValueDict[str, str] = MultiValueDict()
    pairs = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    for name, value in pairs:
        posted.appendlist(name, value)
    return posted


def _from_json(data: Any) -> MultiValueDict[str, str]:
    if not isinstance(data, dict):
        raise Forged
    return MultiValueDict({name: [value] for name, value in data.items() if isinstance(value, str)})


def _check_signature(request: HttpRequest, posted: MultiValueDict[str, str]) -> None:
    """HMAC-SHA1 over address and sorted fields, or over an address that names the body's hash.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    if not settings.TWILIO_AUTH_TOKEN:
        raise Forged
    query = request.META.get("QUERY_STRING", "")
    if request.content_type == "application/json":
        hashes = parse_qs(query).get("bodySHA256", [])
        if len(hashes) != 1 or not _same(hashes[0], hashlib.sha256(request.body).hexdigest()):
            raise Forged
        posted = MultiValueDict()
    validator = RequestValidator(settings.TWILIO_AUTH_TOKEN)
    given = request.headers.get("X-Twilio-Signature", "")
    address = absolute(request.path) + (f"?{query}" if query else "")
    good = [validator.compute_signature(each, posted) for each in _spellings(address)]
    if not any(_same(given, expected) for expected in good):
        raise Forged


def _spellings(address: str) -> Iterator[str]:
    """Twilio signs sometimes with the port and sometimes without it."""
    parts = urlsplit(address)
    without = re.sub(r":[0-9]+$", "", parts.netloc)
    yield address
    if without != parts.netloc:
        yield parts._replace(netloc=without).geturl()
    else:
        port = 443 if parts.scheme == "https" else 80
        yield parts._replace(netloc=f"{without}:{port}").geturl()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _is_status(told: dict[str, str]) -> bool:
    return told.get("MessageStatus", "received") != "received"


def _report(told: dict[str, str]) -> Report | None:
    """`queued`, `sending` and `sent` tell nothing that the receipt did not."""
    sid, status = told.get("MessageSid", ""), told["MessageStatus"].lower()
    if status in ("delivered", "read"):
        return Report(sid, delivered=True)
    if status not in ("undelivered", "failed", "canceled"):
        return None
    code = told.get("ErrorCode", "")
    unknown = f"The message was not delivered (Twilio error {code})." if code.isdecimal() else ""
    known = SENTENCES.get(int(code)) if unknown and len(code) < 9 else None
    return Report(sid, error=known or unknown or "The message was not delivered.")


# --- What people write ----------------------------------------------------------------------------

# Twilio answers these itself and keeps the books about who has opted out.
KEYWORDS = frozenset(
    {
        "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "ARRET",
        "START", "UNSTOP", "HELP", "INFO",
    }
)  # fmt: skip
YES = frozenset({"YES", "Y", "APPROVE", "APPROVED"})
NO = frozenset({"NO", "N", "REJECT", "REJECTED", "DENY", "DECLINE"})
# After a yes only manners: with a condition behind it, a yes is no clear yes.
MANNERS = frozenset({"", "PLEASE", "THANKS", "THANK YOU", "THX", "\N{THUMBS UP SIGN}"})

_QUOTES = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb"
_ANSWER = re.compile(
    rf"[\s{_QUOTES}(\[*.,:;-]*"
    r"(?P<word>[A-Za-z]+)"
    rf"[\s{_QUOTES}.,:;!()\[\]*/–—-]+"
    rf"(?P<code>[A-Za-z]{{{CODE_LENGTH}}})(?![^\W_])"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_PUNCTUATION = string.whitespace + _QUOTES + ".,:;!()[]*/–—-"


class Said(NamedTuple):
    """A text message read: `decision` is empty where it is not clear."""

    decision: str = ""
    code: str = ""
    comment: str = ""


def read(body: str) -> Said:
    """What a person's text decides: `YES CODE`, or `NO CODE reason`. Never guesses."""
    text = _legible(body)
    found = _ANSWER.fullmatch(text)
    code = found["code"].upper() if found else ""
    if not found or not set(code) <= set(CODE_LETTERS):
        return Said(comment=text)
    word, rest = found["word"].upper(), found["rest"].strip(_PUNCTUATION)
    if word in YES and rest.upper() in MANNERS:
        return Said("approved", code)
    if word in NO and not _takes_back(rest, code):
        return Said("rejected", code, rest)
    return Said(comment=text)


def _legible(body: str) -> str:
    """The text without control characters; full-width letters become ordinary ones."""
    text = unicodedata.normalize("NFKC", body)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc").strip()


def _takes_back(rest: str, code: str) -> bool:
    """Whether a no goes on to say yes, or quotes our question."""
    words = re.findall(r"[^\W_]+", rest.upper())
    return code in words or (bool(words) and words[0] in YES)


def _reply(told: dict[str, str]) -> Reply | None:
    sender, sid, body = told.get("From", ""), told.get("MessageSid", ""), told.get("Body")
    if not E164.fullmatch(sender) or not SID.fullmatch(sid) or body is None:
        return None
    if told.get("OptOutType") or body.strip(_PUNCTUATION).upper() in KEYWORDS:
        return None
    said = read(body)
    return Reply(
        action="decide" if said.decision else "say",
        sender=sender,
        code=said.code,
        decision=said.decision,
        comment=said.comment,
        event_id=sid,
    )
