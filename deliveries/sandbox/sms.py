"""Plays Twilio: takes text messages for any number, and posts what people text back.

https://www.twilio.com/docs/messaging/api/message-resource,
https://www.twilio.com/docs/usage/security#validating-requests
"""

import base64
import binascii
import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from django.urls import reverse

from deliveries.models import SandboxMessage
from deliveries.sandbox import books, outages
from deliveries.sandbox.books import Kind, Post, Refusal
from deliveries.sandbox.outages import Outage
from hitl.accounts.models import User
from hitl.lib.text import one_line
from hitl.lib.urls import absolute

CHANNEL = "sms"
FORM = "application/x-www-form-urlencoded"
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
TEXT_LIMIT = 1600
SUBJECT_LIMIT = 300
# Twilio's codes and the HTTP status each comes with.
UNKNOWN_LOGIN, NOT_FOUND, BAD_NUMBER, NO_BODY, OPTED_OUT = 20003, 20404, 21211, 21602, 21610
STATUSES = {UNKNOWN_LOGIN: 401, NOT_FOUND: 404}

Data = dict[str, Any]


def address(user: User) -> str:
    """The person's phone: in an area code that does not exist, so it can be nobody's."""
    return f"+1555{books.number(user, 7)}"


# --- The API --------------------------------------------------------------------------------------


def create(sid: str, form: Mapping[str, str], login: str) -> tuple[int, Data]:
    """Take one text message: the status and body of Twilio's answer."""
    try:
        _check_login(sid, login)
        to, body = form.get("To", ""), form.get("Body", "")
        if not E164.fullmatch(to):
            raise Refusal(BAD_NUMBER)
        if not 0 < len(body) <= TEXT_LIMIT:
            raise Refusal(NO_BODY)
        if outages.current(CHANNEL) == Outage.REFUSE:
            raise Refusal(OPTED_OUT)
        return 201, _resource(_keep(Kind.MESSAGE, to, body))
    except Refusal as refusal:
        return _error(int(refusal.code))


def show(sid: str, part: str, login: str) -> tuple[int, Data]:
    """The account itself, or the numbers it has: what a check of the account asks for."""
    try:
        _check_login(sid, login)
    except Refusal as refusal:
        return _error(int(refusal.code))
    number = {"phone_number": books.account(CHANNEL)["TWILIO_FROM"], "sms_url": _callback()}
    parts: dict[str, Data] = {
        "": {"sid": sid, "friendly_name": "Sandbox", "status": "active", "type": "Full"},
        "IncomingPhoneNumbers": {"incoming_phone_numbers": [number]},
    }
    return (200, parts[part]) if part in parts else _error(NOT_FOUND)


def _check_login(sid: str, login: str) -> None:
    account = books.account(CHANNEL)
    given = _basic(login)
    expected = f"{account['TWILIO_ACCOUNT_SID']}:{account['TWILIO_AUTH_TOKEN']}"
    if not books.is_same(given, expected):
        raise Refusal(UNKNOWN_LOGIN)
    if sid != account["TWILIO_ACCOUNT_SID"]:
        raise Refusal(NOT_FOUND)


def _basic(header: str) -> str:
    try:
        return base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _error(code: int) -> tuple[int, Data]:
    status = STATUSES.get(code, 400)
    return status, {"code": code, "message": "Refused by the sandbox.", "status": status}


def _resource(row: SandboxMessage) -> Data:
    return {
        "sid": row.provider_id,
        "account_sid": books.account(CHANNEL)["TWILIO_ACCOUNT_SID"],
        "to": row.recipient,
        "from": books.account(CHANNEL)["TWILIO_FROM"],
        "body": row.text,
        "status": "queued",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "num_media": "0",
    }


# --- What people do -------------------------------------------------------------------------------


def write(recipient: str, text: str) -> Post:
    """The receiver texts back: it is kept, and posted to us with Twilio's signature."""
    row = _keep(Kind.REPLY, recipient, text)
    account = books.account(CHANNEL)
    fields = {
        "AccountSid": account["TWILIO_ACCOUNT_SID"],
        "ApiVersion": "2010-04-01",
        "Body": text,
        "From": recipient,
        "MessageSid": row.provider_id,
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsMessageSid": row.provider_id,
        "SmsSid": row.provider_id,
        "SmsStatus": "received",
        "To": account["TWILIO_FROM"],
    }
    signed = _sign(_callback(), fields, account["TWILIO_AUTH_TOKEN"])
    return Post(_path(), urlencode(fields).encode(), FORM, {"X-Twilio-Signature": signed})


def take_answer(recipient: str, answer: bytes) -> None:
    """Do what we answered: TwiML may hold texts to send back."""
    try:
        root = ElementTree.fromstring(answer)  # noqa: S314 - our own view made it
    except ElementTree.ParseError:
        return
    for message in root.iter("Message"):
        _keep(Kind.MESSAGE, recipient, "".join(message.itertext()))


def _path() -> str:
    return reverse("channel-callback", args=[CHANNEL])


def _callback() -> str:
    return absolute(_path())


def _sign(url: str, fields: Mapping[str, str], token: str) -> str:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _keep(kind: Kind, recipient: str, text: str) -> SandboxMessage:
    return SandboxMessage.objects.create(
        channel=CHANNEL,
        recipient=recipient,
        kind=kind,
        provider_id=f"SM{uuid.uuid4().hex}",
        subject=one_line(text.partition("\n")[0], SUBJECT_LIMIT),
        text=text,
    )
