"""Empty, null and absent: three things an empty text control could mean, told apart.

Most forms need no such control: it is drawn only where an empty one could mean two things, and a
post without it means what the text says.
"""

from typing import Any, Literal

from workflows.forms.controls import Control, accepts, fault
from workflows.forms.model import ABSENT, Choice
from workflows.forms.plan import Leaf

State = Literal["value", "null", "absent"]
LABELS: dict[State, str] = {
    "value": "Has this value",
    "null": "Is null (no value)",
    "absent": "Is left out",
}
_EMPTY: dict[str, Any] = {"text": "", "area": "", "lines": [], "choices": []}


def state_of(value: Any) -> State:
    """Which of the three a value is."""
    if value is ABSENT:
        return "absent"
    return "null" if value is None else "value"


def states_of(leaf: Leaf) -> list[State]:
    """The states a person may choose between; empty where there is nothing to choose."""
    if leaf.kind not in (*_EMPTY, "number"):
        return []
    empties: list[State] = []
    if leaf.is_nullable or leaf.original is None:
        empties.append("null")
    if not leaf.is_required or leaf.original is ABSENT:
        empties.append("absent")
    return ["value", *empties] if len(empties) + has_empty_value(leaf) > 1 else []


def has_empty_value(leaf: Leaf) -> bool:
    """Whether an empty control can be a value: the empty text, the empty list."""
    return leaf.kind in _EMPTY and accepts(leaf, _EMPTY[leaf.kind])


def choices(leaf: Leaf, chosen: str | None) -> tuple[Choice, ...]:
    """The control; `chosen` is what was posted, if anything."""
    current = chosen if chosen in states_of(leaf) else state_of(leaf.original)
    return tuple(Choice(one, LABELS[one], one == current) for one in states_of(leaf))


def settle(leaf: Leaf, control: Control, values: list[str], chosen: str | None) -> Any:
    """The value that text and state mean together. Raises InvalidInput."""
    before = state_of(leaf.original)
    is_unchanged = control.is_unchanged(leaf, values)
    if chosen not in states_of(leaf) or chosen == before:
        return leaf.original if is_unchanged else control.read(leaf, values)
    if chosen == "value":
        return control.read(leaf, values, is_explicit=True)
    if not is_unchanged and any(value.strip() for value in values):
        raise fault("Either write a value, or choose that there is none: this says both.")
    return None if chosen == "null" else ABSENT
