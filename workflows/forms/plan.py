"""Which part of the data gets which control: decided once, the same for drawing and for reading.

Invariant: the same schema and data always give the same plan, and a plan never has more inputs
than web frameworks accept in one post; what would not fit becomes one JSON textarea.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from hitl.lib import canonical, pointer
from workflows.forms.model import ABSENT

Kind = Literal["shown", "text", "area", "number", "checkbox", "choice", "choices", "lines", "json"]

# Django takes 1000 values in a post. Lists and boxes share these; plain fields (200 at most, with
# two values each) come on top.
MAX_INPUTS = 500
MAX_ITEMS = 50
MAX_BOXES = 50
LONG_TEXT = 120
_LINE_END = re.compile("[\r\n]")


@dataclass(frozen=True)
class Leaf:
    """One control for one value."""

    pointer: str
    key: str
    schema: dict[str, Any]
    original: Any
    kind: Kind
    is_required: bool
    """Whether the object around it must have it."""

    @property
    def name(self) -> str:
        """The name of the HTML control: the pointer, in characters that no browser touches."""
        return "f" + quote(self.pointer, safe="/~")

    @property
    def state_name(self) -> str:
        """The name of the control that tells empty, null and absent apart."""
        return "s" + quote(self.pointer, safe="/~")

    @property
    def is_nullable(self) -> bool:
        """Whether null is permitted by type."""
        return "null" in types_of(self.schema)

    @property
    def options(self) -> list[Any]:
        """The values to choose from, for the kinds that have them."""
        if self.kind == "choices":
            return list(self.schema["items"]["enum"])
        return options_of(self.schema) or [True, False]


@dataclass(frozen=True)
class Branch:
    """An object with fields of its own, or a list of such objects."""

    pointer: str
    key: str
    schema: dict[str, Any]
    original: Any
    children: "tuple[Leaf | Branch, ...]"

    @property
    def is_list(self) -> bool:
        """Whether the children are the entries of a list."""
        return isinstance(self.original, list)

    @property
    def extra(self) -> dict[str, Any]:
        """What the data has here beside the schema."""
        if not isinstance(self.original, dict):
            return {}
        known = self.schema.get("properties", {})
        return {key: value for key, value in self.original.items() if key not in known}


Part = Leaf | Branch


def plan(schema: dict[str, Any], original: Any) -> Part:
    """The parts for a normal schema and the data it is drawn from."""
    return _Planner().part(schema, original, "", "", True)


def types_of(schema: dict[str, Any]) -> list[str]:
    """The types a schema permits; none means any."""
    given = schema.get("type", [])
    return [given] if isinstance(given, str) else list(given)


def options_of(schema: dict[str, Any]) -> list[Any]:
    """The values a schema permits, where it lists them."""
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


class _Planner:
    def __init__(self) -> None:
        self._left = MAX_INPUTS

    def part(
        self, schema: dict[str, Any], original: Any, place: str, key: str, required: bool
    ) -> Part:
        if schema.get("readOnly") is True:
            return Leaf(place, key, schema, original, "shown", required)
        if _is_group(schema, original):
            return self._group(schema, original, place, key)
        if _is_list(schema, original) and self._fits(schema, original):
            return self._list(schema, original, place, key)
        kind = _kind(schema, original)
        boxes = len(schema["items"]["enum"]) if kind == "choices" else 0
        if boxes > min(MAX_BOXES, self._left):
            kind, boxes = "json", 0
        self._left -= boxes + 2
        return Leaf(place, key, schema, original, kind, required)

    def _group(self, schema: dict[str, Any], original: Any, place: str, key: str) -> Branch:
        present = isinstance(original, dict)
        required = schema.get("required", []) if present else []
        children = (
            self.part(
                schema["properties"][name],
                original.get(name, ABSENT) if present else ABSENT,
                pointer.join(place, name),
                name,
                name in required,
            )
            for name in _order(schema)
        )
        return Branch(place, key, schema, original, tuple(children))

    def _list(self, schema: dict[str, Any], original: list[Any], place: str, key: str) -> Branch:
        children = (
            self.part(schema["items"], entry, pointer.join(place, index), str(index + 1), True)
            for index, entry in enumerate(original)
        )
        return Branch(place, key, schema, original, tuple(children))

    def _fits(self, schema: dict[str, Any], original: list[Any]) -> bool:
        needed = len(original) * _weight(schema["items"])
        return len(original) <= MAX_ITEMS and needed <= self._left // 2


def _order(schema: dict[str, Any]) -> Iterator[str]:
    names = dict.fromkeys([*schema.get("x-order", ()), *schema["properties"]])
    return (name for name in names if name in schema["properties"])


def _weight(schema: dict[str, Any]) -> int:
    """At least as many inputs as one object of this schema has, lists in it not counted."""
    return 2 + sum(_weight(child) for child in schema.get("properties", {}).values())


def _is_group(schema: dict[str, Any], original: Any) -> bool:
    fits = isinstance(original, dict) or original is ABSENT or original is None
    plain = not schema.keys() & {"enum", "const", "anyOf", "oneOf"}
    return bool(schema.get("properties")) and schema.get("x-widget") != "json" and fits and plain


def _is_list(schema: dict[str, Any], original: Any) -> bool:
    items = schema.get("items", {})
    return (
        isinstance(original, list)
        and bool(original)
        and schema.get("x-widget") != "json"
        and not schema.keys() & {"enum", "const", "anyOf", "oneOf"}
        and all(_is_group(items, entry) and entry is not None for entry in original)
    )


def _kind(schema: dict[str, Any], original: Any) -> Kind:
    types = [name for name in types_of(schema) if name != "null"]
    widget = schema.get("x-widget")
    if widget == "json" or schema.keys() & {"anyOf", "oneOf"}:
        return "json"
    if options_of(schema):
        return "choice"
    if types == ["boolean"]:
        is_box = isinstance(original, bool) and widget not in ("select", "radio")
        return "checkbox" if is_box else "choice"
    if types == ["string"]:
        return _text_kind(schema, original)
    if types in (["number"], ["integer"]):
        return "number" if _is_number(original) or _is_missing(original) else "json"
    if types == ["array"]:
        return _array_kind(schema.get("items", {}), original)
    return "shown" if types_of(schema) == ["null"] and original is None else "json"


def _text_kind(schema: dict[str, Any], original: Any) -> Kind:
    if not isinstance(original, str) and not _is_missing(original):
        return "json"
    text = original if isinstance(original, str) else ""
    # A line end in an <input> is lost the moment the browser reads the page.
    wide = schema.get("x-widget") == "textarea" or len(text) > LONG_TEXT
    return "area" if wide or _LINE_END.search(text) else "text"


def _array_kind(items: dict[str, Any], original: Any) -> Kind:
    if not isinstance(original, list) and not _is_missing(original):
        return "json"
    entries = original if isinstance(original, list) else []
    if items.get("readOnly") is True or items.keys() & {"anyOf", "oneOf", "const"}:
        return "json"
    if "enum" in items:
        options = {canonical.dumps(option) for option in items["enum"]}
        chosen = [canonical.dumps(entry) for entry in entries]
        return "choices" if set(chosen) <= options and len(set(chosen)) == len(chosen) else "json"
    if types_of(items) == ["string"]:
        return "lines" if all(_is_line(entry) for entry in entries) else "json"
    if types_of(items) in (["number"], ["integer"]):
        return "lines" if all(_is_number(entry) for entry in entries) else "json"
    return "json"


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not _LINE_END.search(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    return value is ABSENT or value is None
