"""What the server's strict JSON can hold, checked where a mistake is made and can be named.

The server refuses the same things; nothing gets through that it would read differently.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from hitl_client.errors import NotJson

SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32
# From here on a float is written with an exponent, and read back as a float.
_FIRST_EXPONENT = 1e21


def dumps(value: Any) -> bytes:
    """The value as JSON in UTF-8. Raises NotJson with the place of what is none."""
    check(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def check(value: Any, place: str = "", depth: int = 1) -> None:
    """Raise NotJson for the first thing that the server would refuse, with its JSON pointer."""
    fault = _fault(value)
    if fault is None and depth > MAX_DEPTH and isinstance(value, (Mapping, list, tuple)):
        fault = f"Nested deeper than {MAX_DEPTH} levels."
    if fault:
        raise NotJson(place, fault)
    for key, child in _children(value):
        if isinstance(value, Mapping) and not isinstance(key, str):
            raise NotJson(place, f"The key {key!r} is not text.")
        where = f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if isinstance(key, str):
            check_text(key, where)
        check(child, where, depth + 1)


def check_text(text: str, place: str) -> None:
    """Raise NotJson for text that has no UTF-8, or that databases refuse."""
    fault = _text_fault(text)
    if fault:
        raise NotJson(place, fault)


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def _fault(value: Any) -> str | None:
    if value is None or isinstance(value, (bool, dict, list, tuple)):
        return None
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, int):
        return _UNSAFE if abs(value) > SAFE_INTEGER else None
    if isinstance(value, float):
        return _float_fault(value)
    return f"A {type(value).__name__} is not a JSON value. Send text or a number in its place."


def _float_fault(number: float) -> str | None:
    if not math.isfinite(number):
        return "NaN and infinity are not JSON. Send null or text."
    if SAFE_INTEGER < abs(number) < _FIRST_EXPONENT and number.is_integer():
        return _UNSAFE
    return None


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "The text contains U+0000. Remove it."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "The text contains half a surrogate pair."
    return None


_UNSAFE = f"A whole number beyond ±{SAFE_INTEGER} is rounded by many readers. Send it as text."
