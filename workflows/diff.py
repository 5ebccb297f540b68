"""What an edit changed: as a patch for machines and as rows for people. Pure functions.

Both compare canonical forms, so 10 and 10.0 are no change, and "10" and 10 are one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

import jsonpatch

from hitl.lib import canonical, pointer
from hitl.lib.text import one_line, visible

Kind = Literal["changed", "type", "added", "removed", "same"]

# Matching is quadratic at worst: beyond these sizes the whole old and new stand side by side.
MAX_WORDS = 800
MAX_ALIGNED = 300
_LABEL_LIMIT = 120
_ABSENT = object()
_WORDS = re.compile(r"\S+\s*|\s+")
_TYPES = {
    str: "text",
    bool: "true or false",
    int: "number",
    float: "number",
    dict: "object",
    list: "list",
    type(None): "null",
}


class Segment(NamedTuple):
    """A run of words that both texts have, or only one of them."""

    op: Literal["same", "removed", "added"]
    text: str


@dataclass(frozen=True)
class DiffRow:
    """One value that is not as it was. Texts are fit to be shown; None means there was none."""

    pointer: str
    label: str
    old: str | None
    new: str | None
    kind: Kind
    old_type: str = ""
    new_type: str = ""
    segments: tuple[Segment, ...] = ()
    """Word by word, for a text that became another text; empty where that says nothing."""


def patch(old: Any, new: Any) -> list[dict[str, Any]]:
    """The RFC 6902 operations that turn `old` into `new`; empty when nothing changed."""
    before, after = _canonical(old), _canonical(new)
    if canonical.dumps(before) == canonical.dumps(after):
        return []
    operations: list[dict[str, Any]] = jsonpatch.make_patch(before, after).patch
    # The record of an edit has to be right, even where the library should take true for 1.
    whole = [{"op": "replace", "path": "", "value": after}]
    return operations if _leads_to(after, before, operations) else whole


def _leads_to(after: Any, before: Any, operations: list[dict[str, Any]]) -> bool:
    try:
        result = jsonpatch.apply_patch(before, operations)
    except jsonpatch.JsonPatchException:
        return False
    return canonical.dumps(result) == canonical.dumps(after)


def rows(
    old: Any, new: Any, *, schema: dict[str, Any] | None = None, unchanged: bool = False
) -> list[DiffRow]:
    """One row for each value that differs, in the order of the data; labels from `schema`.

    With `unchanged`, the values that are as they were follow.
    """
    found = list(_compare(_canonical(old), _canonical(new), _Where("", (), schema or {})))
    changed = [row for row in found if row.kind != "same"]
    return changed + [row for row in found if row.kind == "same"] if unchanged else changed


def _canonical(value: Any) -> Any:
    return canonical.loads(canonical.dumps(value))


class _Where(NamedTuple):
    pointer: str
    labels: tuple[str, ...]
    schema: dict[str, Any]

    def field(self, name: str) -> "_Where":
        child = self.schema.get("properties", {}).get(name, {})
        label = one_line(str(child.get("title") or name), _LABEL_LIMIT)
        return _Where(pointer.join(self.pointer, name), (*self.labels, label), child)

    def entry(self, index: int) -> "_Where":
        child = self.schema.get("items", {})
        return _Where(pointer.join(self.pointer, index), (*self.labels, str(index + 1)), child)


def _compare(old: Any, new: Any, where: _Where) -> Iterator[DiffRow]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_objects(old, new, where)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, where)
    elif _has_parts(old) or _has_parts(new):
        # What was inside a thing that is gone, or is inside a new one, is listed, not summed up.
        yield from _whole(old, "removed", where)
        yield from _whole(new, "added", where)
    else:
        yield _row(old, new, where)


def _compare_objects(old: dict[str, Any], new: dict[str, Any], where: _Where) -> Iterator[DiffRow]:
    names = dict.fromkeys([*where.schema.get("x-order", ()), *old, *new])
    for name in names:
        if name in old or name in new:
            yield from _compare(old.get(name, _ABSENT), new.get(name, _ABSENT), where.field(name))


def _compare_lists(old: list[Any], new: list[Any], where: _Where) -> Iterator[DiffRow]:
    before = [canonical.dumps(entry) for entry in old]
    after = [canonical.dumps(entry) for entry in new]
    blocks = [(0, len(old), 0, len(new))]
    if len(old) != len(new) and max(len(old), len(new)) <= MAX_ALIGNED:
        matcher = SequenceMatcher(None, before, after, autojunk=False)
        blocks = [block[1:] for block in matcher.get_opcodes()]
    for start, end, new_start, new_end in blocks:
        for step in range(max(end - start, new_end - new_start)):
            one = old[start + step] if start + step < end else _ABSENT
            other = new[new_start + step] if new_start + step < new_end else _ABSENT
            index = start + step if other is _ABSENT else new_start + step
            yield from _compare(one, other, where.entry(index))


def _has_parts(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _whole(value: Any, kind: Literal["removed", "added"], where: _Where) -> Iterator[DiffRow]:
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from _whole(child, kind, where.field(name))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from _whole(child, kind, where.entry(index))
    elif value is not _ABSENT:
        gone = kind == "removed"
        yield _row(value if gone else _ABSENT, _ABSENT if gone else value, where)


def _row(old: Any, new: Any, where: _Where) -> DiffRow:
    kind = _kind(old, new)
    texts = kind == "changed" and isinstance(old, str)
    return DiffRow(
        pointer=where.pointer,
        label=" › ".join(where.labels),
        old=_shown(old),
        new=_shown(new),
        kind=kind,
        old_type=_TYPES.get(type(old), ""),
        new_type=_TYPES.get(type(new), ""),
        segments=tuple(_segments(old, new)) if texts else (),
    )


def _kind(old: Any, new: Any) -> Kind:
    if old is _ABSENT:
        return "added"
    if new is _ABSENT:
        return "removed"
    if _TYPES[type(old)] != _TYPES[type(new)]:
        return "type"
    return "same" if canonical.dumps(old) == canonical.dumps(new) else "changed"


def _shown(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    return visible(value if isinstance(value, str) else canonical.dumps(value).decode())


def _segments(old: str, new: str) -> Iterator[Segment]:
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if max(len(before), len(after)) > MAX_WORDS:
        return
    matcher = SequenceMatcher(None, before, after)
    if not any(block.size for block in matcher.get_matching_blocks()):
        return
    for op, start, end, new_start, new_end in matcher.get_opcodes():
        if op == "equal":
            yield Segment("same", visible("".join(before[start:end])))
            continue
        if end > start:
            yield Segment("removed", visible("".join(before[start:end])))
        if new_end > new_start:
            yield Segment("added", visible("".join(after[new_start:new_end])))
