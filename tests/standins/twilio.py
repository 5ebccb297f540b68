"""Twilio's Messages API on loopback, and what Twilio posts to us, signed by its documentation.

https://www.twilio.com/docs/messaging/api/message-resource,
https://www.twilio.com/docs/usage/security#validating-requests
"""

import base64
import hashlib
import hmac
import json
import re
import uuid
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.standins.server import Call, Post, Said, StandIn

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "auth-token-of-the-twilio-stand-in"
NUMBER = "+15005550006"
SERVICE = "MG" + "0123456789abcdef" * 2
PUBLIC = "https://approvals.example.com"
CALLBACK = "/webhooks/sms/callback"
ANN = "+447700900123"
FORM = "application/x-www-form-urlencoded"

GSM7 = re.compile(
    r"[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà"
    r"\f^{}\\\[~\]|€]*"
)
MESSAGES = {
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    21211: (400, "The 'To' number {To} is not a valid phone number."),
    21408: (400, "Permission to send an SMS has not been enabled for the region of {To}."),
    21602: (400, "Message body is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The From phone number {From} is not a valid sender for your account."),
    21609: (400, "The StatusCallback URL {StatusCallback} is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient {To}: {Body}"),
    21614: (400, "'To' number {To} is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
}


class Refusal(Exception):
    """Twilio's error code for a call it does not carry out."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Twilio(StandIn):
    """`messages` is what it took; `refused` maps a number to the error code it gets."""

    def __init__(self, public: str = PUBLIC) -> None:
        super().__init__()
        self.public = public
        self.messages: list[dict[str, str]] = []
        self.refused: dict[str, int] = {}
        self.account: dict[str, Any] = {
            "sid": ACCOUNT, "friendly_name": "Payments", "status": "active", "type": "Full",
        }  # fmt: skip
        self.numbers: dict[str, str] = {NUMBER: public + CALLBACK}  # and where texts to it go

    # --- what we call ---

    def handle(self, call: Call) -> Said:
        form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        try:
            if call.method == "GET":
                return Said(200, self._look_up(call))
            self._judge(call, form)
        except Refusal as refusal:
            return self.error(refusal.code, form)
        form |= {"MessageSid": new_sid("SM"), "NumSegments": str(count(form["Body"]))}
        self.messages.append(form)
        return Said(201, self._resource(form))

    def _look_up(self, call: Call) -> dict[str, Any]:
        """What our account is, or one of its numbers."""
        self._check_login(call)
        base = f"/2010-04-01/Accounts/{ACCOUNT}"
        if call.path == f"{base}.json":
            return self.account
        if call.path != f"{base}/IncomingPhoneNumbers.json":
            raise Refusal(20404)
        [wanted] = parse_qs(call.query)["PhoneNumber"]
        found = [
            {"phone_number": number, "sms_url": url}
            for number, url in self.numbers.items()
            if number == wanted
        ]
        return {"incoming_phone_numbers": found, "page": 0}

    def _check_login(self, call: Call) -> None:
        login = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {login}":
            raise Refusal(20003)

    def _judge(self, call: Call, form: dict[str, str]) -> None:
        self._check_login(call)
        known = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        if call.path != known or call.headers.get("content-type") != FORM:
            raise Refusal(20404)
        self._judge_form(form)

    def _judge_form(self, form: dict[str, str]) -> None:
        if "To" not in form:
            raise Refusal(21604)
        if not re.fullmatch(r"\+[1-9]\d{6,14}", form["To"]):
            raise Refusal(21211)
        if form.get("From") != NUMBER and form.get("MessagingServiceSid") != SERVICE:
            raise Refusal(21606)
        if not form.get("Body"):
            raise Refusal(21602)
        if len(form["Body"]) > 1600:
            raise Refusal(21617)
        if "StatusCallback" in form and not is_callback(form["StatusCallback"]):
            raise Refusal(21609)
        if form["To"] in self.refused:
            raise Refusal(self.refused[form["To"]])

    def error(self, code: int, form: dict[str, str] | None = None) -> Said:
        """The body of a refusal, which quotes what it likes of the call."""
        status, message = MESSAGES.get(code, (400, "Something else."))
        known = {"To": "", "From": "", "Body": "", "StatusCallback": "", **(form or {})}
        more = f"https://www.twilio.com/docs/errors/{code}"
        said = {"code": code, "message": message.format(**known), "more_info": more}
        return Said(status, {**said, "status": status})

    def _resource(self, form: dict[str, str]) -> dict[str, Any]:
        return {
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "body": form["Body"],
            "date_created": "Mon, 24 Nov 2025 10:00:00 +0000",
            "date_sent": None,
            "date_updated": "Mon, 24 Nov 2025 10:00:00 +0000",
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "num_media": "0",
            "num_segments": form["NumSegments"],
            "price": None,
            "price_unit": "USD",
            "sid": form["MessageSid"],
            "status": "queued",
            "subresource_uris": {},
            "to": form["To"],
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{form['MessageSid']}.json",
        }

    # --- what it posts to us ---

    def text(self, body: str, *, sender: str = ANN, sid: str = "", **more: str) -> Post:
        """A text message that somebody wrote to our number."""
        sid = sid or new_sid("SM")
        fields = {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": "0", "ToCity": "",
            "FromZip": "", "SmsSid": sid, "FromState": "", "SmsStatus": "received", "FromCity": "",
            "Body": body, "FromCountry": "GB", "To": NUMBER, "ToZip": "", "NumSegments": "1",
            "MessageSid": sid, "AccountSid": ACCOUNT, "From": sender, "ApiVersion": "2010-04-01",
        }  # fmt: skip
        return self.post(fields | more)

    def status(self, sid: str, status: str, error: int = 0) -> Post:
        """A later word on a message that we sent."""
        fields = {
            "SmsSid": sid, "SmsStatus": status, "MessageStatus": status, "To": ANN,
            "MessageSid": sid, "AccountSid": ACCOUNT, "From": NUMBER, "ApiVersion": "2010-04-01",
        }  # fmt: skip
        return self.post(fields | ({"ErrorCode": str(error)} if error else {}))

    def post(
        self,
        fields: dict[str, str],
        *,
        token: str = TOKEN,
        address: str = "",
        path: str = CALLBACK,
    ) -> Post:
        """A form, signed for `address`: our public one unless told otherwise."""
        signature = sign(address or self.public + path, fields, token)
        headers = {"X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": new_sid("IT")}
        return Post(path, urlencode(fields).encode(), FORM, headers)

    def json_post(self, data: Any, *, token: str = TOKEN, digest: str | None = None) -> Post:
        """JSON: the address names the hash of the body, and the signature is over the address."""
        body = json.dumps(data).encode()
        query = hashlib.sha256(body).hexdigest() if digest is None else digest
        path = f"{CALLBACK}?bodySHA256={query}"
        headers = {"X-Twilio-Signature": sign(self.public + path, {}, token)}
        return Post(path, body, "application/json", headers)


def sign(address: str, fields: dict[str, str], token: str = TOKEN) -> str:
    """Base64 of HMAC-SHA1 over the address and every field's name and value, sorted by name."""
    text = address + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def new_sid(prefix: str) -> str:
    """An identifier as Twilio makes them."""
    return prefix + uuid.uuid4().hex


def is_callback(url: str) -> bool:
    """Whether Twilio takes it: an absolute address with a real host name, no underscores in it."""
    host = urlsplit(url).hostname or ""
    return url.startswith(("http://", "https://")) and "." in host and "_" not in host


def count(text: str) -> int:
    """Segments, counted another way than the code under test counts them."""
    if GSM7.fullmatch(text):
        coded = re.sub(r"([\f^{}\\\[~\]|€])", "\x1b\\1", text)
        return _segments(coded, 160, 153, "\x1b")
    coded = text.encode("utf-16-be").decode("utf-16-be")
    units = "".join("\x1b." if ord(character) > 0xFFFF else "." for character in coded)
    return _segments(units, 70, 67, "\x1b")


def _segments(coded: str, alone: int, joined: int, lead: str) -> int:
    if len(coded) <= alone:
        return 1
    number = 0
    while coded:
        end = joined - 1 if coded[:joined].endswith(lead) and len(coded) > joined else joined
        coded = coded[end:]
        number += 1
    return number
