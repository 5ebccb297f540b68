"""What a template needs to write an ordinary HTML form: plain, frozen dataclasses.

Everything shown (labels, helps, errors, trees) is made visible already; `value` alone is raw,
because it has to come back as it was. Templates escape all of it, as always.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from workflows.forms.tree import Tree

Widget = Literal["text", "textarea", "select", "radio", "checkbox", "checkboxes", "shown"]


@dataclass(frozen=True)
class Choice:
    """One option: of a select, of radio buttons, of checkboxes."""

    value: str
    label: str
    is_selected: bool = False


@dataclass(frozen=True)
class Field:
    """One input, or one value shown because it cannot be changed (`widget` is "shown").

    How each widget is written:
    * text: `<input type={input_type} name value>`
    * textarea: `<textarea name>{textarea_value}</textarea>` with nothing added around it
    * select, radio: one control named `name` with `choices`
    * checkbox, checkboxes: first a hidden input `name` with an empty value (else "nothing
      ticked" cannot be told from "not in the form"); checkbox has the value "on", checkboxes
      one box for each of `choices`
    * where `states` is not empty, also a select named `state_name` with them
    """

    name: str
    pointer: str
    key: str
    label: str
    help: str
    widget: Widget
    value: str = ""
    input_type: str = "text"
    input_mode: str = ""
    syntax: Literal["", "lines", "json"] = ""
    """What a textarea holds that is not simply text: one entry a line, or JSON."""
    hint: str = ""
    """What is permitted, in words, e.g. "0 to 500"."""
    choices: tuple[Choice, ...] = ()
    states: tuple[Choice, ...] = ()
    state_name: str = ""
    is_required: bool = False
    """Whether leaving it empty is an error; safe to turn into the HTML attribute."""
    is_checked: bool = False
    is_set: bool = True
    """Whether the data has this field at all."""
    is_null: bool = False
    error: str = ""
    original: str = ""
    """The value in the data, made visible; "" where there is none."""
    is_deceptive: bool = False
    """Whether the value hides characters or imitates others: warn, and show `original`."""
    tree: Tree | None = None
    """For an object or list that is only shown."""
    kind: Literal["field"] = "field"

    @property
    def read_only(self) -> bool:
        """Whether it is shown only, and taken from no post."""
        return self.widget == "shown"

    @property
    def textarea_value(self) -> str:
        """The value with the line break that HTML drops after the opening tag."""
        return "\n" + self.value


@dataclass(frozen=True)
class Group:
    """An object: a fieldset. `extra` is what the data has beside the schema, shown only."""

    pointer: str
    key: str
    label: str
    help: str
    children: "tuple[Node, ...]"
    extra: Tree | None = None
    is_set: bool = True
    error: str = ""
    kind: Literal["group"] = "group"


@dataclass(frozen=True)
class ArrayField:
    """A list of objects, each existing one a group to edit."""

    pointer: str
    key: str
    label: str
    help: str
    items: "tuple[Node, ...]"
    error: str = ""
    kind: Literal["list"] = "list"


Node = Field | Group | ArrayField


@dataclass(frozen=True)
class Form:
    """The whole form. `errors` belong to no field in particular."""

    title: str
    help: str
    nodes: tuple[Node, ...]
    extra: Tree | None = None
    errors: tuple[str, ...] = ()

    def fields(self) -> Iterator[Field]:
        """All fields, in the order they are shown."""
        yield from _fields(self.nodes)

    @property
    def is_editable(self) -> bool:
        """Whether there is anything in it to change."""
        return any(not field.read_only for field in self.fields())

    @property
    def error_count(self) -> int:
        """How many places need attention."""
        return len(self.errors) + sum(bool(node.error) for node in _all(self.nodes))


def _fields(nodes: tuple[Node, ...]) -> Iterator[Field]:
    for node in _all(nodes):
        if isinstance(node, Field):
            yield node


def _all(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, Group):
            yield from _all(node.children)
        elif isinstance(node, ArrayField):
            yield from _all(node.items)


class _Absent:
    """The one value that says: the data has no such field (null is a value)."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
