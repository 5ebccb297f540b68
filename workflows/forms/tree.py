"""Data without a form, as a tidy tree of rows: bounded, every cut with its count, nothing hidden.

Rows are given out level by level, so that no long list in front pushes a field out of sight.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hitl.lib import canonical, pointer
from hitl.lib.text import has_deceptive, one_line, visible

MAX_DEPTH = 8
MAX_ROWS = 500
MAX_CHILDREN = 100
MAX_TEXT = 4000
_LABEL_LIMIT = 200


@dataclass(frozen=True)
class Row:
    """One value, or one object or list with what is in it. All texts are fit to be shown."""

    label: str
    pointer: str
    kind: str
    """text, number, boolean, null, object or list."""
    value: str
    """The text or number; for objects and lists how much is in them."""
    children: tuple["Row", ...] = ()
    more: int = 0
    """Fields or entries in it that are not shown."""
    cut: int = 0
    """Characters of the text that are not shown."""
    is_deceptive: bool = False

    @property
    def is_container(self) -> bool:
        """Whether it is an object or a list, shown with its children."""
        return self.kind in ("object", "list")

    @property
    def is_multiline(self) -> bool:
        """Whether the value needs a block of its own."""
        return "\n" in self.value


@dataclass(frozen=True)
class Tree:
    """The top rows, and how many there are beyond them."""

    rows: tuple[Row, ...]
    more: int = 0


def tree(data: Any, *, root: str = "") -> Tree:
    """The data as rows; `root` is the pointer of the data in a larger whole.

    A value that is no object or list becomes a single row without a label.
    """
    if not isinstance(data, dict | list):
        return Tree((_row(data, "", root, {}),))
    counts = _share_out(data, root)
    whole = _row(data, "", root, counts)
    return Tree(whole.children, whole.more)


def _share_out(data: Any, root: str) -> dict[str, int]:
    """How many children of each object or list are shown, by pointer; nearest levels first."""
    counts: dict[str, int] = {}
    left = MAX_ROWS
    todo = deque([(data, root, 0)])
    while todo:
        value, place, depth = todo.popleft()
        count = min(len(value), MAX_CHILDREN, left) if depth < MAX_DEPTH else 0
        counts[place] = count
        left -= count
        for token, child in _first(value, count):
            if isinstance(child, dict | list):
                todo.append((child, pointer.join(place, token), depth + 1))
    return counts


def _first(value: Any, count: int) -> Iterable[tuple[str | int, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return [pair for pair, _ in zip(pairs, range(count), strict=False)]


def _row(value: Any, label: str, place: str, counts: dict[str, int]) -> Row:
    if isinstance(value, dict | list):
        return _container(value, label, place, counts)
    if isinstance(value, str):
        return _text(value, label, place)
    kind = "null" if value is None else "boolean" if isinstance(value, bool) else "number"
    return Row(
        label=one_line(label, _LABEL_LIMIT),
        pointer=place,
        kind=kind,
        value=canonical.dumps(value).decode(),
        is_deceptive=has_deceptive(label),
    )


def _text(value: str, label: str, place: str) -> Row:
    return Row(
        label=one_line(label, _LABEL_LIMIT),
        pointer=place,
        kind="text",
        value=visible(value[:MAX_TEXT]),
        cut=max(0, len(value) - MAX_TEXT),
        is_deceptive=has_deceptive(value) or has_deceptive(label),
    )


def _container(
    value: dict[str, Any] | list[Any], label: str, place: str, counts: dict[str, int]
) -> Row:
    count = counts.get(place, 0)
    children = tuple(
        _row(child, _label(token), pointer.join(place, token), counts)
        for token, child in _first(value, count)
    )
    return Row(
        label=one_line(label, _LABEL_LIMIT),
        pointer=place,
        kind="object" if isinstance(value, dict) else "list",
        value=_amount(value),
        children=children,
        more=len(value) - count,
        is_deceptive=has_deceptive(label),
    )


def _label(token: str | int) -> str:
    return str(token + 1) if isinstance(token, int) else token


def _amount(value: dict[str, Any] | list[Any]) -> str:
    one, many = ("field", "fields") if isinstance(value, dict) else ("entry", "entries")
    return f"{len(value)} {one if len(value) == 1 else many}" if value else f"no {many}"
