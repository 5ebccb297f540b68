"""A posted form → data, exactly typed. What nobody changed stays the very value it was.

Invariants: nothing is taken from the post for a locked place, a place outside of the schema, or a
name the plan does not have; a control that is missing from the post was not changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hitl.lib import canonical, strict_json
from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.text import one_line
from workflows import json_schema
from workflows.forms.chosen import Box, One, Some
from workflows.forms.controls import Control
from workflows.forms.model import ABSENT
from workflows.forms.plan import Branch, Kind, Leaf, Part, plan
from workflows.forms.states import settle
from workflows.forms.written import Area, Json, Lines, Number, Text

MAX_ERRORS = 50

CONTROLS: dict[Kind, Control] = {
    "text": Text(),
    "area": Area(),
    "number": Number(),
    "lines": Lines(),
    "json": Json(),
    "checkbox": Box(),
    "choice": One(),
    "choices": Some(),
}


def parse(
    schema: dict[str, Any] | None, original_data: Any, post: Mapping[str, Sequence[str]]
) -> Any:
    """The data that a post of `build(schema, original_data)` means.

    `post` maps each name to all its values (Django: `dict(request.POST.lists())`). Raises
    InvalidInput with pointers into the data. Whether the result fits the schema is for
    `json_schema.check_edit` to say: data that never fitted must survive being looked at.
    """
    if schema is None:
        return original_data
    reader = _Reader(post)
    data = reader.part(plan(schema, original_data))
    if reader.errors:
        raise InvalidInput(reader.sentence, reader.errors[:MAX_ERRORS])
    if data is not original_data:
        _check(schema, original_data, data)
    return data


def _check(schema: dict[str, Any], original: Any, data: Any) -> None:
    strict_json.check(data)
    size = len(canonical.dumps(data))
    if size > strict_json.MAX_BYTES:
        limit = strict_json.MAX_BYTES
        raise strict_json.TooLarge(f"The data would have {size} bytes; the limit is {limit}.")
    # JSON textareas can be about objects with locked fields in them.
    json_schema.check_locked(schema, original, data)


class _Reader:
    def __init__(self, post: Mapping[str, Sequence[str]]) -> None:
        self._post = post
        self.errors: list[FieldError] = []
        self.sentence = ""

    def part(self, part: Part) -> Any:
        if isinstance(part, Leaf):
            return self._leaf(part)
        values = [self.part(child) for child in part.children]
        unchanged = all(
            value is child.original for value, child in zip(values, part.children, strict=True)
        )
        if unchanged:
            return part.original
        return values if part.is_list else self._members(part, values)

    def _members(self, part: Branch, values: list[Any]) -> dict[str, Any]:
        members = dict(part.original) if isinstance(part.original, dict) else {}
        for child, value in zip(part.children, values, strict=True):
            members[child.key] = value
        return {key: value for key, value in members.items() if value is not ABSENT}

    def _leaf(self, leaf: Leaf) -> Any:
        values = list(self._post.get(leaf.name, ()))
        if leaf.kind == "shown" or not values:
            return leaf.original
        states = self._post.get(leaf.state_name, ())
        try:
            return settle(leaf, CONTROLS[leaf.kind], values, states[-1] if states else None)
        except InvalidInput as error:
            self._note(leaf, error)
            return leaf.original

    def _note(self, leaf: Leaf, error: InvalidInput) -> None:
        label = one_line(str(leaf.schema.get("title") or leaf.key), 120)
        self.sentence = self.sentence or f"{label}: {error}"
        self.errors += [
            FieldError(leaf.pointer + one.pointer, one.message, one.code) for one in error.errors
        ]
