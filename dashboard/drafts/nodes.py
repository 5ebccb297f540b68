"""The parts of a draft: each knows the name its fields are posted under, and their faults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from hitl.lib.errors import FieldError, InvalidInput

Judged = TypeVar("Judged")

# Fields that hold lists of parts, which the form's buttons make longer and shorter.
_LISTS = frozenset({"stages", "blocks", "places", "reminders", "steps", "rules"})
# What the formats say to whoever writes data, said to whoever fills in a form.
_IN_A_FORM = {
    "Write a text.": "Write something here.",
    "Write a list.": "Choose at least one.",
    "Name at least one.": "Choose at least one.",
    "It asks the agent's owner: set allowOwner to true.": "It asks the agent’s owner: tick “The "
    "agent’s owner may decide, too” below.",
    'Write a whole number from 1 to 100, or "all".': "Write a whole number from 1 to 100, or all.",
}


@dataclass
class Node:
    """One part. `prefix` names its fields (`stages.0`); `errors` are its fields' faults."""

    prefix: str = field(default="", init=False)
    errors: dict[str, str] = field(default_factory=dict, init=False)
    # The field that the page puts the cursor in, after a button has made this part.
    has_focus: bool = field(default=False, init=False)

    def parts(self) -> Iterator[tuple[str, "Node"]]:
        """The parts within, by the names of their fields."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Node):
                yield each.name, value
            elif isinstance(value, list):
                for number, item in enumerate(value):
                    if isinstance(item, Node):
                        yield f"{each.name}.{number}", item

    def lists(self) -> Iterator[list[Any]]:
        """Every list of parts within, at any depth."""
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in _LISTS:
                yield value
        for _, part in self.parts():
            yield from part.lists()

    def number(self, prefix: str = "") -> None:
        """Give every part the name of its place, as it is now."""
        self.prefix = prefix
        for name, part in self.parts():
            part.number(f"{prefix}.{name}" if prefix else name)

    def walk(self) -> Iterator["Node"]:
        """The part and everything within."""
        yield self
        for _, part in self.parts():
            yield from part.walk()

    def found(self, prefix: str) -> "Node | None":
        """The part of that name."""
        return next((node for node in self.walk() if node.prefix == prefix), None)


class Written:
    """Where each part of a document was typed, and the faults that were found on the way."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[Node, str]] = {}
        self.faults: list[FieldError] = []

    def note(self, place: str, node: Node, name: str) -> None:
        """The part of the document at a place (a pointer) was typed in this field."""
        self.places[place] = (node, name)

    def fault(self, place: str, message: str) -> None:
        """Something that cannot even be written as a document."""
        self.faults.append(FieldError(place, message))

    def judged(self, judge: Callable[[], Judged]) -> Judged:
        """What a format makes of what was written, or InvalidInput with everybody's faults."""
        told = {fault.pointer for fault in self.faults}
        try:
            judgement = judge()
        except InvalidInput as error:
            others = [each for each in error.errors if each.pointer not in told]
            raise InvalidInput(error.detail, [*self.faults, *others]) from None
        if self.faults:
            raise InvalidInput(self.faults[0].message, self.faults)
        return judgement

    def show(self, faults: list[FieldError]) -> list[FieldError]:
        """Put the faults to their fields; those that belong to no field are returned."""
        homeless = []
        for fault in faults:
            home = self._home(fault.pointer)
            if home is None:
                homeless.append(fault)
            else:
                node, name = home
                node.errors.setdefault(name, _IN_A_FORM.get(fault.message, fault.message))
        return homeless

    def _home(self, place: str) -> tuple[Node, str] | None:
        while place not in self.places:
            if not place:
                return None
            place = place.rpartition("/")[0]
        return self.places[place]
