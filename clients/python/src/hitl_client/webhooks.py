"""Webhooks as hitl sends them: Standard Webhooks 1.0, checked before anything is read.

`verify` fails closed and in constant time. Messages come at least once and in no promised order:
remember `id` to drop doubles, and discard what has a lower `seq` than you have seen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hitl_client.errors import HitlError
from hitl_client.models import instant
from hitl_client.vocabulary import EventType, WorkflowStatus

TOLERANCE_SECONDS = 300
_DIGITS = re.compile(r"[0-9]{1,12}", re.ASCII)
_ID = re.compile(r"[!-~]{1,256}", re.ASCII)


class NotGenuine(HitlError):
    """Not from the server, changed on its way, or too old. Answer 401 and do nothing."""


@dataclass(frozen=True)
class WebhookEvent:
    """A genuine message. `data` is all of it; tests (`webhook.test`) have no workflow.

    What was too large to send is null and named in `omitted`, like `/workflow/actionData`.
    """

    id: str
    type: EventType
    timestamp: datetime
    data: dict[str, Any]

    @property
    def workflow_id(self) -> str | None:
        """Of which request it tells."""
        return self.data.get("workflowId")

    @property
    def seq(self) -> int | None:
        """The number of the event within the request."""
        return self.data.get("seq")

    @property
    def status(self) -> WorkflowStatus | None:
        """Where the request stood after the event."""
        found = self.data.get("status")
        return WorkflowStatus(found) if isinstance(found, str) else None

    @property
    def workflow(self) -> dict[str, Any]:
        """The request after the event, under the names of the API."""
        return self.data.get("workflow") or {}

    @property
    def omitted(self) -> list[str]:
        """JSON pointers into `data` of what did not fit."""
        return self.data.get("omitted") or []


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> WebhookEvent:
    """The event in `body`, exactly as it arrived, if one signature fits one of the secrets.

    `secrets` are `whsec_…`, or public keys `whpk_…` (Ed25519, needs `hitl-client[ed25519]`); while
    a secret is being rotated give both. `tolerance` is how far, in seconds, the sender's clock may
    be from ours. Raises NotGenuine, or ValueError for a secret that is none.
    """
    keys = [_key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("give the endpoint's secret, whsec_… or whpk_…")
    message_id, stamp, signatures = _headers(headers)
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance:
        raise NotGenuine("The message is too old, or a clock is wrong.")
    content = f"{message_id}.{stamp}.".encode() + bytes(body)
    # No shortcut: how long this takes says nothing about which signature fitted.
    if not sum([key.fits(content, signatures) for key in keys]):
        raise NotGenuine("No signature fits.")
    return _event(body, message_id)


class _Secret:
    version = "v1"

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def fits(self, content: bytes, signatures: list[tuple[str, bytes]]) -> bool:
        expected = hmac.digest(self.raw, content, hashlib.sha256)
        found = [
            hmac.compare_digest(expected, raw)
            for version, raw in signatures
            if version == self.version
        ]
        return any(found)


class _PublicKey:
    version = "v1a"

    def __init__(self, raw: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            message = "whpk_… needs cryptography: pip install 'hitl-client[ed25519]'"
            raise ImportError(message) from None
        self.key = Ed25519PublicKey.from_public_bytes(raw)

    def fits(self, content: bytes, signatures: list[tuple[str, bytes]]) -> bool:
        return any(self._is_good(content, raw) for version, raw in signatures if version == "v1a")

    def _is_good(self, content: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


def _key(secret: str) -> _Secret | _PublicKey:
    kind, _, text = secret.strip().partition("_")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if kind == "whsec" and len(raw) >= 24:
        return _Secret(raw)
    if kind == "whpk" and len(raw) == 32:
        return _PublicKey(raw)
    raise ValueError("a webhook secret is whsec_… or whpk_… and base64, as it was shown")


def _headers(headers: Mapping[str, str]) -> tuple[str, str, list[tuple[str, bytes]]]:
    """Id, timestamp and decoded signatures. Raises NotGenuine for anything malformed."""
    found = {str(name).lower(): str(value) for name, value in headers.items()}
    message_id, stamp = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id) or "." in message_id or not _DIGITS.fullmatch(stamp):
        raise NotGenuine("webhook-id or webhook-timestamp is missing or malformed.")
    signatures = []
    for each in found.get("webhook-signature", "").split()[:20]:
        version, _, text = each.partition(",")
        try:
            signatures.append((version, base64.b64decode(text, validate=True)))
        except (binascii.Error, ValueError):
            continue
    return message_id, stamp, signatures


def _event(body: bytes, message_id: str) -> WebhookEvent:
    """Standard or CloudEvents: the same `data` under two sets of names."""
    try:
        content = json.loads(body)
        time_of_it = content["timestamp"] if "timestamp" in content else content["time"]
        event = WebhookEvent(
            message_id, EventType(content["type"]), instant(time_of_it), content["data"]
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NotGenuine("The body is genuine, but no message of hitl.") from None
    if not isinstance(event.data, dict):
        raise NotGenuine("The body is genuine, but no message of hitl.")
    return event
