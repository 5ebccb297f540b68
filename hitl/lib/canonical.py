"""Canonical JSON (RFC 8785) and its SHA-256: the bytes that approver, executor and receipt share.

Invariant: for everything `strict_json` accepts, `dumps(loads(dumps(x))) == dumps(x)`.
"""

import hashlib
import json
import re
from typing import Any, NoReturn

import rfc8785

# Integers that every reader of JSON agrees on end here (RFC 8785, section 3.2.2.3).
_TOO_LARGE = 2**53
# From here on, the order by code points is not that by UTF-16 units; and half a pair is no text.
_ORDERED_OTHERWISE = re.compile("[\ud800-\U0010ffff]")


def dumps(value: Any) -> bytes:
    """The one canonical UTF-8 form of a JSON value.

    Raises ValueError for what has none; `strict_json.check` says beforehand what and where.
    """
    return _plain(value) or rfc8785.dumps(value)


def _plain(value: Any) -> bytes | None:
    """The same at a quarter of the cost, for values whose canonical form `json` writes as well.

    Those without fractions, without rare characters, and that read back as what they were: which
    a name that is no text, or a large number, does not.
    """
    try:
        text = _WRITER.encode(value)
        if not text.isascii() and _ORDERED_OTHERWISE.search(text):
            return None
        return text.encode() if _READER.decode(text) == value else None
    except (ValueError, TypeError, RecursionError):
        return None


def _integer(text: str) -> int:
    number = int(text)
    return number if -_TOO_LARGE < number < _TOO_LARGE else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


_WRITER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
)
_READER = json.JSONDecoder(parse_float=_refuse, parse_int=_integer, parse_constant=_refuse)


def loads(text: str | bytes) -> Any:
    """Read back what `dumps` wrote. For our own stored text only: input goes to `strict_json`."""
    return json.loads(text)


def fingerprint(value: Any) -> str:
    """`sha256:` and 64 hex digits over the canonical bytes of the value."""
    return fingerprint_bytes(dumps(value))


def fingerprint_bytes(raw: bytes) -> str:
    """The same over bytes that are canonical already, without reading them again."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
