"""Slack's request signature, version v0, made and checked on raw bytes.

Our own check instead of the SDK's, which decodes the body, reads the timestamp with `int()` and
compares text: odd headers make it raise. Here every failure is the same Forged, also in DEBUG.
Protocol: https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

import hashlib
import hmac
import re
import time

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

from deliveries.channels.base import Forged

TIMESTAMP = "X-Slack-Request-Timestamp"
SIGNATURE = "X-Slack-Signature"
TOLERANCE_SECONDS = 300
_DIGITS = re.compile("[0-9]{1,12}", re.ASCII)


def sign(body: bytes, *, secret: str, timestamp: str) -> str:
    """The signature header of a body, as Slack makes it."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def check(request: HttpRequest) -> None:
    """Compare signature and age of a request, before anything in it is read. Raises Forged."""
    timestamp = request.headers.get(TIMESTAMP, "")
    if not _DIGITS.fullmatch(timestamp):
        raise Forged
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        raise Forged
    given = request.headers.get(SIGNATURE, "").encode("utf-8", "surrogatepass")
    body = _raw(request)
    expected = [sign(body, secret=each, timestamp=timestamp).encode() for each in secrets()]
    # All of them are compared: no early way out tells which one matched.
    matches = [hmac.compare_digest(each, given) for each in expected]
    if True not in matches:
        raise Forged


def secrets() -> list[str]:
    """The signing secrets in force: two while one is being replaced, none when there is none."""
    return [part for piece in settings.SLACK_SIGNING_SECRET.split(",") if (part := piece.strip())]


def _raw(request: HttpRequest) -> bytes:
    try:
        return request.body
    except (RequestDataTooBig, UnreadablePostError):
        raise Forged from None
