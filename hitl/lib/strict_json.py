"""JSON that every reader reads alike, or a refusal that names the place and the remedy.

Invariant: what `loads` accepts has one canonical form (RFC 8785), and that form reads back equal.
Nothing here recurses, so no input, however nested, exhausts the stack.
"""

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from hitl.lib import pointer
from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.json_place import place_of

MAX_BYTES = 262_144
MAX_DEPTH = 32
MAX_ERRORS = 20
SAFE_INTEGER = 2**53 - 1
# From here on the canonical form has an exponent, so it reads back as a float again.
_FIRST_EXPONENT = 1e21

_SEND_AS_STRING = "Send it as a string."


class TooLarge(InvalidInput):
    """The document has more bytes than we take."""

    code = "too-large"
    status = 413
    title = "The request is too large"


class _Refused(NamedTuple):
    """Stands in the parsed value where something must be refused, until the walk finds its path."""

    message: str


class _Place(NamedTuple):
    """A linked path: cheap to carry along, turned into a pointer only when something is wrong."""

    parent: "_Place | None"
    token: str | int

    def pointer(self) -> str:
        tokens: list[str] = []
        here: _Place | None = self
        while here is not None:
            tokens.append(pointer.printable(str(here.token)))
            here = here.parent
        return pointer.join("", *reversed(tokens))


def loads(raw: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Parse one JSON document. Raises TooLarge, or InvalidInput with a pointer for each refusal."""
    if len(raw) > max_bytes:
        raise TooLarge(f"The document has {len(raw)} bytes; the limit is {max_bytes}.")
    text = _decode(raw)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(place_of(text, error.pos), _syntax_sentence(error)) from None
    except RecursionError:
        place = place_of(text, len(text), max_depth)
        raise _invalid(place, _too_deep(max_depth)) from None
    check(value, max_depth=max_depth)
    return value


def check(value: Any, *, max_depth: int = MAX_DEPTH) -> None:
    """Hold a value that is already parsed to the same rules. Raises InvalidInput."""
    errors: list[FieldError] = []
    for error in _refusals(value, max_depth):
        errors.append(error)
        if len(errors) == MAX_ERRORS:
            break
    if errors:
        raise InvalidInput(_sentence(errors), errors)


def _sentence(errors: list[FieldError]) -> str:
    first = errors[0]
    return f"At {first.pointer}: {first.message}" if first.pointer else first.message


def _invalid(place: str, message: str) -> InvalidInput:
    error = FieldError(place, message)
    return InvalidInput(_sentence([error]), [error])


def _decode(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _invalid("", "The document starts with a byte order mark. Send UTF-8 without one.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:4]:
        raise _invalid("", "The document is UTF-16 or UTF-32. Send it as UTF-8.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        message = f"Byte {error.start} is not valid UTF-8. Send the document as UTF-8."
        raise _invalid(place_of(before, len(before)), message) from None


def _syntax_sentence(error: json.JSONDecodeError) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    if not error.doc.strip():
        return "The document is empty. Send one JSON value."
    return f"This is not JSON ({where}: {error.msg}). Check quotes, commas and brackets there."


def _too_deep(max_depth: int) -> str:
    return (
        f"Nested deeper than {max_depth} levels. Flatten the data, or send this part as a string."
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                members[key] = _Refused("This key appears more than once. Send it once.")
            seen.add(key)
    return members


def _integer(literal: str) -> int | _Refused:
    if len(literal) > 17 or abs(int(literal)) > SAFE_INTEGER:
        return _Refused(_UNSAFE)
    return int(literal)


def _fraction(literal: str) -> float | _Refused:
    number = float(literal)
    if not math.isfinite(number):
        return _Refused(f"This number is too large for a JSON number. {_SEND_AS_STRING}")
    if repr(number) != literal and not _same_number(literal, number):
        return _Refused(
            f"JSON readers disagree on this number (many read {number!r}). {_SEND_AS_STRING}"
        )
    return number


def _same_number(literal: str, number: float) -> bool:
    if number == 0:
        # Decimal refuses the exponents that float takes for zero, and the digits decide alone.
        return not literal.lower().partition("e")[0].strip("-0.")
    return Decimal(literal) == Decimal(repr(number))


def _constant(literal: str) -> _Refused:
    return _Refused(f"{literal} is not JSON. Leave it out, or send null or a string.")


_UNSAFE = f"This whole number is beyond ±{SAFE_INTEGER}, where readers round. {_SEND_AS_STRING}"
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)


def _refusals(value: Any, max_depth: int) -> Iterator[FieldError]:
    """Walk the value in document order, without recursion, and yield what is to be refused."""
    todo: list[tuple[Any, int, _Place | None]] = [(value, 1, None)]
    while todo:
        item, depth, place = todo.pop()
        fault = _fault(item)
        if fault is None and isinstance(item, dict | list):
            if depth > max_depth:
                fault = _too_deep(max_depth)
            else:
                children = _children(item)
                yield from _key_faults(item, place)
                todo += [(child, depth + 1, _Place(place, key)) for key, child in children]
        if fault is not None:
            yield FieldError(place.pointer() if place else "", fault)


def _children(item: dict[Any, Any] | list[Any]) -> list[tuple[Any, Any]]:
    """What lies inside, last first, because the walk takes from the end."""
    pairs = item.items() if isinstance(item, dict) else enumerate(item)
    return list(pairs)[::-1]


def _key_faults(item: dict[Any, Any] | list[Any], place: _Place | None) -> Iterator[FieldError]:
    for key in item if isinstance(item, dict) else ():
        fault = _text_fault(key) if isinstance(key, str) else "A key is not text. Make it a string."
        if fault is not None:
            yield FieldError(_Place(place, key).pointer(), fault)


def _fault(item: Any) -> str | None:
    """Why this one value, looked at without its children, is refused; None if it is not."""
    match item:
        case _Refused(message):
            return message
        case str():
            return _text_fault(item)
        case None | bool() | dict() | list():
            return None
        case int():
            return _UNSAFE if abs(item) > SAFE_INTEGER else None
        case float():
            return _float_fault(item)
    return f"A {type(item).__name__} is not a JSON value."


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "The text contains U+0000, which databases refuse. Remove it."
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "The text contains half a surrogate pair. Send the whole character, or none."
    return None


def _float_fault(number: float) -> str | None:
    if not math.isfinite(number):
        return "NaN and infinity are not JSON. Leave the number out, or send null or a string."
    if SAFE_INTEGER < abs(number) < _FIRST_EXPONENT and number.is_integer():
        return _UNSAFE
    return None
