"""Postmark's and Mailgun's APIs on loopback, and what the two post to us: fates and answers.

https://postmarkapp.com/developer/api/email-api, …/developer/webhooks/…,
https://documentation.mailgun.com/docs/mailgun/user-manual/: shapes and signatures as documented.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pytest_django import Settings

from tests.standins.server import Call, Post, Said, StandIn

SECRET = "hitl:secret-of-the-mail-webhooks"
REPLY_ADDRESS = "approvals@in.example.com"
TRACKING, INBOUND = "/webhooks/email/tracking", "/webhooks/email/inbound"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Mail:
    """One mail that a provider took, as its receiver sees it; headers in lower case."""

    id: str
    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]

    @property
    def reply_to(self) -> str:
        return self.headers.get("reply-to", "")


class Mailbox(StandIn):
    """What the providers have in common. `mails` is what one took."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Mail] = []

    def to(self, mailbox: str) -> Mail:
        """The newest mail to that mailbox."""
        return [mail for mail in self.mails if mail.to == mailbox][-1]


@dataclass(frozen=True)
class Letter:
    """A mail that somebody writes to us. `spf` and `dkim` are what the provider finds out."""

    to: str
    text: str | None = "Approve"
    sender: str = "Ann Approver <ann@example.com>"
    subject: str = "Re: Approve by 24 Nov 17:00 UTC: Refund order A-1009"
    html: str | None = None
    envelope: str | None = None
    spf: str = "pass"
    dkim: str = "pass"
    message_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachment: bytes = b""

    @property
    def address(self) -> str:
        return self.sender.rpartition("<")[2].rstrip(">")

    @property
    def mail_from(self) -> str:
        return self.address if self.envelope is None else self.envelope

    @property
    def own_headers(self) -> list[tuple[str, str]]:
        message_id = self.message_id or f"<{uuid.uuid4()}@mail.example.com>"
        given = [("Message-ID", message_id), ("In-Reply-To", "<1@hitl.example.com>")]
        return [*given, ("Date", "Mon, 23 Nov 2026 17:00:00 +0000"), *self.headers]


def authorised(secret: str = SECRET) -> dict[str, str]:
    """The header that a browser makes of https://user:password@…"""
    return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}


# --- Postmark -------------------------------------------------------------------------------------


class Postmark(Mailbox):
    """One server of an account, with its token; `inactive` are mailboxes it no longer sends to."""

    name = "postmark"
    token = "11111111-2222-3333-4444-555555555555"

    def __init__(self) -> None:
        super().__init__()
        self.inactive: set[str] = set()

    def settings(self) -> dict[str, Any]:
        return {"POSTMARK_SERVER_TOKEN": self.token, "POSTMARK_API_URL": self.url}

    def handle(self, call: Call) -> Said:
        if call.headers.get("x-postmark-server-token") != self.token:
            return self.error(401, 10, "Request does not contain a valid Server token.")
        if call.path != "/email" or call.headers.get("content-type") != "application/json":
            return self.error(404, 0, "Not found.")
        given = json.loads(call.body)
        if given["To"] in self.inactive:
            words = (
                "You tried to send to recipient(s) that have been marked as inactive. Found "
                f"inactive addresses: {given['To']}. Inactive recipients are ones that have "
                "generated a hard bounce, a spam complaint, or a manual suppression."
            )
            return self.error(422, 406, words)
        if "@" not in given["To"] or "@" not in given["From"]:
            return self.error(422, 300, f"Invalid 'To' address: '{given['To']}'.")
        return self._take(given)

    def _take(self, given: dict[str, Any]) -> Said:
        headers = {each["Name"].lower(): each["Value"] for each in given.get("Headers", [])}
        if given.get("ReplyTo"):
            headers["reply-to"] = given["ReplyTo"]
        mail = Mail(
            str(uuid.uuid4()), given["To"], given["Subject"], given["TextBody"],
            given.get("HtmlBody", ""), headers,
        )  # fmt: skip
        self.mails.append(mail)
        answer = {"To": given["To"], "SubmittedAt": "2026-11-23T17:00:00Z", "MessageID": mail.id}
        return Said(200, {**answer, "ErrorCode": 0, "Message": "OK"})

    def error(self, status: int, code: int, message: str) -> Said:
        """An error in Postmark's shape."""
        return Said(status, {"ErrorCode": code, "Message": message})

    def post(self, path: str, data: Any, secret: str = SECRET) -> Post:
        """JSON with the login that stands in the address it was given; nothing else proves it."""
        return Post(path, json.dumps(data).encode(), "application/json", authorised(secret))

    def delivered(self, mail_id: str) -> Post:
        data = {
            "MessageID": mail_id, "Recipient": "ann@example.com", "ServerID": 23,
            "DeliveredAt": "2026-11-23T17:00:05Z", "Details": "250 2.0.0 OK", "Tag": "",
            "Metadata": {}, "RecordType": "Delivery", "MessageStream": "outbound",
        }  # fmt: skip
        return self.post(TRACKING, data)

    def bounced(
        self, mail_id: str, why: str = "550 5.1.1 no such user", kind: str = "HardBounce"
    ) -> Post:
        data = {
            "RecordType": "Bounce", "ID": 692560173, "Type": kind, "TypeCode": 1,
            "Name": "Hard bounce", "Tag": "", "MessageID": mail_id, "Metadata": {}, "ServerID": 23,
            "MessageStream": "outbound", "Email": "ann@example.com",
            "Description": "The server was unable to deliver your message (ex: unknown user).",
            "Details": why, "From": "approvals@hitl.example.com", "DumpAvailable": True,
            "BouncedAt": "2026-11-23T17:00:09.9070259Z", "Inactive": True, "CanActivate": True,
            "Subject": "Approve by …", "Content": "Full dump of bounce",
        }  # fmt: skip
        return self.post(TRACKING, data)

    def complained(self, mail_id: str) -> Post:
        data = {
            "RecordType": "SpamComplaint", "ID": 42, "Type": "SpamComplaint", "TypeCode": 512,
            "Name": "Spam complaint", "MessageID": mail_id, "Metadata": {}, "ServerID": 23,
            "Description": "", "Details": "", "Email": "ann@example.com", "Inactive": True,
            "BouncedAt": "2026-11-23T18:00:00Z", "DumpAvailable": True, "CanActivate": False,
        }  # fmt: skip
        return self.post(TRACKING, data)

    def opened(self, mail_id: str) -> Post:
        data = {
            "RecordType": "Open", "MessageStream": "outbound", "Metadata": {}, "FirstOpen": True,
            "Recipient": "ann@example.com", "MessageID": mail_id, "Platform": "WebMail",
            "ReceivedAt": "2026-11-23T17:01:00.7914330Z", "UserAgent": "Mozilla/5.0", "Geo": {},
        }  # fmt: skip
        return self.post(TRACKING, data)

    def inbound(self, letter: Letter) -> Post:
        name, _, _ = letter.sender.rpartition(" <")
        person = {"Email": letter.address, "Name": name, "MailboxHash": ""}
        token = letter.to.partition("+")[2].partition("@")[0]
        checks = [("Return-Path", f"<{letter.mail_from}>")]
        if letter.spf:
            said = f"{letter.spf} (sender SPF authorized) identity=mailfrom; client-ip=192.0.2.9;"
            checks.append(("Received-SPF", f"{said} envelope-from={letter.mail_from};"))
        headers = [*checks, ("X-Spam-Status", "No"), *letter.own_headers]
        data = {
            "FromName": name, "MessageStream": "inbound", "From": letter.address,
            "FromFull": person, "To": letter.to, "Cc": "", "CcFull": [], "Bcc": "", "BccFull": [],
            "ToFull": [{"Email": letter.to, "Name": "", "MailboxHash": token}],
            "OriginalRecipient": letter.to, "Subject": letter.subject, "ReplyTo": "",
            "MessageID": str(uuid.uuid4()), "MailboxHash": token, "Tag": "",
            "Date": "Mon, 23 Nov 2026 17:00:00 +0000", "TextBody": letter.text or "",
            "HtmlBody": letter.html or "", "StrippedTextReply": "",
            "Headers": [{"Name": key, "Value": value} for key, value in headers],
            "Attachments": _attached(letter),
        }  # fmt: skip
        return self.post(INBOUND, data)


def _attached(letter: Letter) -> list[dict[str, Any]]:
    content = base64.b64encode(letter.attachment).decode()
    about = {"Name": "photo.jpg", "ContentType": "image/jpeg", "ContentID": "", "Content": content}
    return [about | {"ContentLength": len(letter.attachment)}] if content else []


# --- Mailgun --------------------------------------------------------------------------------------


class Mailgun(Mailbox):
    """One domain of an account, with the key of its API and the one it signs posts with."""

    name = "mailgun"
    key = "key-0123456789abcdef0123456789abcdef"
    signing_key = "signing-key-of-the-mailgun-stand-in"
    domain = "hitl.example.com"

    def settings(self) -> dict[str, Any]:
        return {
            "MAILGUN_API_KEY": self.key,
            "MAILGUN_WEBHOOK_SIGNING_KEY": self.signing_key,
            "MAILGUN_API_URL": f"{self.url}/v3",
        }

    def handle(self, call: Call) -> Said:
        login = "Basic " + base64.b64encode(f"api:{self.key}".encode()).decode()
        if call.headers.get("authorization") != login:
            return Said(401, raw=b"Forbidden")
        if call.path != f"/v3/{self.domain}/messages":
            return Said(404, {"message": "Domain not found"})
        given = _form(call)
        if "@" not in given.get("to", ""):
            words = "to parameter is not a valid address. please check documentation"
            return Said(400, {"message": words})
        headers = {name[2:].lower(): value for name, value in given.items() if name[:2] == "h:"}
        mail_id = headers.get("message-id") or f"<{uuid.uuid4()}@{self.domain}>"
        html = given.get("html", "")
        self.mails.append(
            Mail(mail_id, given["to"], given["subject"], given["text"], html, headers)
        )
        return Said(200, {"id": mail_id, "message": "Queued. Thank you."})

    def signature(self, key: str = "") -> dict[str, str]:
        """Time, token and the HMAC of both: the rest of a post is not signed."""
        token, moment = uuid.uuid4().hex + uuid.uuid4().hex[:18], str(int(time.time()))
        signed = hmac.new((key or self.signing_key).encode(), (moment + token).encode(), "sha256")
        return {"timestamp": moment, "token": token, "signature": signed.hexdigest()}

    def tracking(self, event: dict[str, Any], *, key: str = "", secret: str = SECRET) -> Post:
        """One event, signed."""
        body = json.dumps({"signature": self.signature(key), "event-data": event}).encode()
        return Post(TRACKING, body, "application/json", authorised(secret))

    def event(self, mail_id: str, event: str, **more: Any) -> dict[str, Any]:
        """What all events of Mailgun's have in common."""
        names = {"to": "ann@example.com", "message-id": mail_id.strip("<>"), "from": "hitl"}
        return {
            "event": event, "id": hashlib.sha256(mail_id.encode()).hexdigest()[:22],
            "timestamp": time.time(), "log-level": "info", "recipient": "ann@example.com",
            "recipient-domain": "example.com", "message": {"headers": names, "size": 111},
            "flags": {"is-test-mode": False}, "tags": [], "user-variables": {}, **more,
        }  # fmt: skip

    def delivered(self, mail_id: str) -> Post:
        status = {"code": 250, "message": "OK", "attempt-no": 1, "description": ""}
        return self.tracking(self.event(mail_id, "delivered", **{"delivery-status": status}))

    def bounced(
        self, mail_id: str, why: str = "550 5.1.1 no such user", severity: str = "permanent"
    ) -> Post:
        status = {"code": 550, "message": why, "attempt-no": 1, "description": ""}
        more = {"severity": severity, "reason": "bounce", "delivery-status": status}
        return self.tracking(self.event(mail_id, "failed", **more))

    def complained(self, mail_id: str) -> Post:
        return self.tracking(self.event(mail_id, "complained"))

    def opened(self, mail_id: str) -> Post:
        return self.tracking(self.event(mail_id, "opened", ip="192.0.2.9"))

    def inbound(self, letter: Letter) -> Post:
        checks = []
        if letter.spf:
            checks.append(("X-Mailgun-Spf", letter.spf.title()))
        if letter.dkim:
            checks.append(("X-Mailgun-Dkim-Check-Result", letter.dkim.title()))
        headers = [
            *checks, ("From", letter.sender), ("To", letter.to), ("Subject", letter.subject),
            *letter.own_headers,
        ]  # fmt: skip
        fields = {
            "recipient": letter.to, "sender": letter.mail_from, "from": letter.sender,
            "subject": letter.subject, "body-plain": letter.text or "",
            "message-headers": json.dumps(headers), "Content-Type": "text/plain",
        } | ({"body-html": letter.html} if letter.html else {}) | self.signature()  # fmt: skip
        return Post(INBOUND, urlencode(fields).encode(), FORM, authorised())


def _form(call: Call) -> dict[str, str]:
    """The fields of a form, in either of the ways in which it can be posted."""
    kind = call.headers["content-type"]
    if kind == FORM:
        return dict(parse_qsl(call.body.decode()))
    parsed = BytesParser(policy=default).parsebytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + call.body
    )
    return {
        str(part.get_param("name", header="content-disposition")): part.get_content().rstrip("\n")
        for part in parsed.iter_parts()
        if isinstance(part, EmailMessage)
    }


# --- Either ---------------------------------------------------------------------------------------

MailProvider = Postmark | Mailgun


@contextlib.contextmanager
def configured(provider: MailProvider, settings: Settings, patience: float = 5.0) -> Iterator[None]:
    """The provider running, and our settings as its customer's."""
    settings.SANDBOX = False
    settings.EMAIL_URL = ""
    settings.EMAIL_PROVIDER = provider.name
    settings.EMAIL_BACKEND = f"anymail.backends.{provider.name}.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "hitl <approvals@hitl.example.com>"
    common = {"REQUESTS_TIMEOUT": patience, "WEBHOOK_SECRET": [SECRET]}
    settings.ANYMAIL = common | provider.settings()
    with provider.running():
        yield
