"""Canonical JSON (RFC 8785) and its SHA-256: the bytes that approver, executor and receipt share.

Invariant: for everything `strict_json` accepts, `dumps(loads(dumps(x))) == dumps(x)`.
"""

import hashlib
import json
from typing import Any

import rfc8785


def dumps(value: Any) -> bytes:
    """The one canonical UTF-8 form of a JSON value.

    Raises ValueError for what has none; `strict_json.check` says beforehand what and where.
    """
    return rfc8785.dumps(value)


def loads(text: str | bytes) -> Any:
    """Read back what `dumps` wrote. For our own stored text only: input goes to `strict_json`."""
    return json.loads(text)


def fingerprint(value: Any) -> str:
    """`sha256:` and 64 hex digits over the canonical bytes of the value."""
    return fingerprint_bytes(dumps(value))


def fingerprint_bytes(raw: bytes) -> str:
    """The same over bytes that are canonical already, without reading them again."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
