"""What every kind of control has in common: what an untouched one posts, what a changed one means.

A control never guesses: an answer that does not say clearly what it means is refused.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any

from hitl.lib.errors import FieldError, InvalidInput
from workflows import json_schema
from workflows.forms.model import ABSENT
from workflows.forms.plan import Leaf


class Control(ABC):
    """One kind of control; has no state of its own."""

    @abstractmethod
    def drawn(self, leaf: Leaf) -> list[str]:
        """The values a browser posts for it when nobody touches it."""

    @abstractmethod
    def read(self, leaf: Leaf, values: list[str], *, is_explicit: bool = False) -> Any:
        """The value that a changed post means, or ABSENT. Raises InvalidInput.

        Pointers in the error are below the control's own place. `is_explicit` says that the
        person chose "has a value", so that an empty text is one.
        """

    def meaning(self, values: list[str]) -> Hashable:
        """Posts of the same meaning are the same answer."""
        return values[-1] if values else ""

    def is_unchanged(self, leaf: Leaf, values: list[str]) -> bool:
        """Whether the post says what was drawn."""
        return self.meaning(values) == self.meaning(self.drawn(leaf))


def fault(message: str, place: str = "") -> InvalidInput:
    """A refusal of one control's answer."""
    return InvalidInput(message, [FieldError(place, message)])


def accepts(leaf: Leaf, value: Any) -> bool:
    """Whether the schema takes this value: decides what an emptied control may mean."""
    return bool(json_schema.validator(leaf.schema).is_valid(value))


def cleared(leaf: Leaf) -> Any:
    """What a control means that was emptied and has no empty value of its own."""
    if leaf.is_nullable:
        return None
    if not leaf.is_required:
        return ABSENT
    raise fault("This field is required.")
