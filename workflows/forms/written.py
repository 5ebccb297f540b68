"""The controls people write into: texts, numbers, one entry a line, JSON."""

import json
import re
from collections.abc import Hashable
from typing import Any

from hitl.lib import canonical, strict_json
from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.text import HIDDEN
from workflows.forms.controls import Control, accepts, cleared, fault
from workflows.forms.model import ABSENT
from workflows.forms.plan import Leaf, types_of

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LINE_END = re.compile("\r\n|\r|\n")


def unify(text: str) -> str:
    """The text with one kind of line end: browsers send CRLF whatever they were given."""
    return _LINE_END.sub("\n", text)


class Text(Control):
    """A text on one line: what is posted is what it is, to the character."""

    def drawn(self, leaf: Leaf) -> list[str]:
        return [leaf.original if isinstance(leaf.original, str) else ""]

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        text = self.text(leaf, values[-1])
        if not text and not is_explicit and not accepts(leaf, ""):
            return cleared(leaf)
        return text

    def text(self, leaf: Leaf, posted: str) -> str:
        """The text itself; around dates, addresses and the like white space means nothing."""
        return posted.strip() if "format" in leaf.schema else posted


class Area(Text):
    """A text of several lines."""

    def meaning(self, values: list[str]) -> Hashable:
        return unify(values[-1])

    def text(self, leaf: Leaf, posted: str) -> str:
        """The text with the line ends of the original, if it had only that kind."""
        old = leaf.original if isinstance(leaf.original, str) else ""
        ends = set(_LINE_END.findall(old))
        end = ends.pop() if len(ends) == 1 else "\n"
        return super().text(leaf, unify(posted)).replace("\n", end)


class Number(Control):
    """A number, written the same way everywhere in the world."""

    def drawn(self, leaf: Leaf) -> list[str]:
        is_missing = leaf.original is ABSENT or leaf.original is None
        return ["" if is_missing else number_text(leaf.original)]

    def meaning(self, values: list[str]) -> Hashable:
        return values[-1].strip()

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        literal = values[-1].strip()
        if not literal and is_explicit:
            raise fault("Write a number, or choose that there is none.")
        return read_number(literal, leaf.schema) if literal else cleared(leaf)


class Lines(Control):
    """A list of texts or numbers, one a line; blank lines are nothing."""

    def drawn(self, leaf: Leaf) -> list[str]:
        entries = leaf.original if isinstance(leaf.original, list) else []
        return ["\n".join(one if isinstance(one, str) else number_text(one) for one in entries)]

    def meaning(self, values: list[str]) -> Hashable:
        return tuple(line for line in unify(values[-1]).split("\n") if line.strip())

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        lines = [line for line in unify(values[-1]).split("\n") if line.strip()]
        if not lines and not is_explicit and not accepts(leaf, []):
            return cleared(leaf)
        items = leaf.schema["items"]
        if types_of(items) == ["string"]:
            return lines
        return [_entry(index, line, items) for index, line in enumerate(lines)]


class Json(Control):
    """Whatever has no control of its own, as JSON; nothing written is nothing there."""

    def drawn(self, leaf: Leaf) -> list[str]:
        return ["" if leaf.original is ABSENT else json_text(leaf.original)]

    def meaning(self, values: list[str]) -> Hashable:
        return unify(values[-1]).strip()

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        text = values[-1].strip()
        if not text and leaf.is_required and leaf.original is not ABSENT:
            raise fault("This field is required. Write JSON, for example null.")
        if not text:
            return ABSENT
        # Half a surrogate pair is for the strict reader to refuse, not for the codec to crash on.
        raw = text.encode("utf-8", "surrogatepass")
        # Indented for reading it is longer; the size of the result is judged at the end.
        return strict_json.loads(raw, max_bytes=4 * strict_json.MAX_BYTES)


def number_text(number: float) -> str:
    """The number as canonical JSON writes it, whatever the locale."""
    return canonical.dumps(number).decode()


def read_number(literal: str, schema: dict[str, Any]) -> Any:
    """The number a person wrote. Raises InvalidInput."""
    if not _NUMBER.fullmatch(literal):
        example = "12" if types_of(schema) == ["integer"] else "1234.5"
        raise fault(f"Write a number like {example}: digits, a point for decimals, no separators.")
    number = strict_json.loads(literal.encode())
    whole = int(number) if float(number).is_integer() else None
    if whole is None and "number" not in types_of(schema):
        raise fault("Must be a whole number.")
    return number if whole is None or abs(whole) > strict_json.SAFE_INTEGER else whole


def json_text(value: Any) -> str:
    """The value as JSON for people to edit; what hides is written as an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _entry(index: int, line: str, items: dict[str, Any]) -> Any:
    try:
        return read_number(line.strip(), items)
    except InvalidInput as error:
        message = f"Line {index + 1}: {error.errors[0].message}"
        raise InvalidInput(message, [FieldError(f"/{index}", message)]) from None
