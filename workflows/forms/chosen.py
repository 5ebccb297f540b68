"""The controls people choose with: a box, one of several, some of several.

Options travel as their number in the list, so that 1, "1" and true stay three different values.
"""

from collections.abc import Hashable
from typing import Any

from hitl.lib import canonical
from hitl.lib.text import one_line
from workflows.forms.controls import Control, accepts, cleared, fault
from workflows.forms.model import ABSENT
from workflows.forms.plan import Leaf

LEFT_OUT, NULL, KEEP, ON = "", "null", "keep", "on"
_LABEL_LIMIT = 200


class Box(Control):
    """True or false. A hidden empty value in front tells an unticked box from no box."""

    def drawn(self, leaf: Leaf) -> list[str]:
        return ["", ON] if leaf.original else [""]

    def meaning(self, values: list[str]) -> Hashable:
        return ON in values

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        return ON in values


class One(Control):
    """One of the options; or nothing, null, or what is there now, where these are possible."""

    def drawn(self, leaf: Leaf) -> list[str]:
        index = _index(leaf.original, leaf.options)
        if index is not None:
            return [str(index)]
        if leaf.original is ABSENT:
            return [LEFT_OUT]
        return [NULL if leaf.original is None and leaf.is_nullable else KEEP]

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        chosen = values[-1]
        if chosen == LEFT_OUT and leaf.is_required:
            raise fault("This field is required.")
        if chosen not in self.values(leaf) or chosen == KEEP:
            raise fault("Choose one of the options.")
        if chosen == LEFT_OUT:
            return ABSENT
        return None if chosen == NULL else leaf.options[int(chosen)]

    def values(self, leaf: Leaf) -> dict[str, str]:
        """The possible answers: value → label, in the order they are shown."""
        answers = {str(index): label for index, label in enumerate(labels(leaf))}
        if leaf.original is ABSENT or not leaf.is_required:
            answers = {LEFT_OUT: "Not set", **answers}
        if leaf.is_nullable and None not in leaf.options:
            answers[NULL] = "None (null)"
        if self.drawn(leaf) == [KEEP]:
            answers[KEEP] = f"{shown(leaf.original)} (as it is)"
        return answers


class Some(Control):
    """Some of the options; the order of those that were there stays."""

    def drawn(self, leaf: Leaf) -> list[str]:
        entries = leaf.original if isinstance(leaf.original, list) else []
        return ["", *(str(_index(entry, leaf.options)) for entry in entries)]

    def meaning(self, values: list[str]) -> Hashable:
        return frozenset(values) - {""}

    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        chosen = frozenset(values) - {""}
        if not chosen <= self.values(leaf).keys():
            raise fault("Choose from the options.")
        if not chosen and not is_explicit and not accepts(leaf, []):
            return cleared(leaf)
        kept = [value for value in self.drawn(leaf) if value in chosen]
        added = [value for value in self.values(leaf) if value in chosen and value not in kept]
        return [leaf.options[int(value)] for value in kept + added]

    def values(self, leaf: Leaf) -> dict[str, str]:
        """The possible answers: value → label."""
        return {str(index): label for index, label in enumerate(labels(leaf))}


def labels(leaf: Leaf) -> list[str]:
    """What the options are called; their own value where the schema gives no name."""
    if leaf.kind == "choice" and leaf.options == [True, False]:
        return ["Yes", "No"]
    schema = leaf.schema["items"] if leaf.kind == "choices" else leaf.schema
    given = schema.get("x-labels", [])
    named = [*given, *[""] * len(leaf.options)]
    return [
        one_line(name, _LABEL_LIMIT) if name else shown(option)
        for name, option in zip(named, leaf.options, strict=False)
    ]


def shown(value: Any) -> str:
    """A value on one line."""
    text = value if isinstance(value, str) else canonical.dumps(value).decode()
    return one_line(text, _LABEL_LIMIT) or "(empty)"


def _index(value: Any, options: list[Any]) -> int | None:
    """Where the value is among the options, by canonical form: 1 is not true."""
    if value is ABSENT:
        return None
    wanted = canonical.dumps(value)
    return next(
        (index for index, option in enumerate(options) if canonical.dumps(option) == wanted), None
    )
