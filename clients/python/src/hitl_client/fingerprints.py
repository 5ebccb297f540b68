"""Approved bytes and their SHA-256: what is not what people approved never reaches the caller."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from hitl_client.errors import FingerprintMismatch


@dataclass(frozen=True)
class Approved:
    """`raw` is exactly what was approved, `data` what it says."""

    raw: bytes
    data: Any
    fingerprint: str


def fingerprint(raw: bytes) -> str:
    """The fingerprint of canonical bytes, as the server writes it: `sha256:…`."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def checked(raw: bytes, expected: str | None) -> Approved:
    """What these bytes say. Raises FingerprintMismatch unless they are the approved ones."""
    found = fingerprint(raw)
    if expected is None or not hmac.compare_digest(found.encode(), expected.encode()):
        raise FingerprintMismatch(
            f"The data has {found}, but {expected or 'nothing'} was approved. Do nothing with it."
        )
    return Approved(raw, json.loads(raw), found)
