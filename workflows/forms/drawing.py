"""A schema and data → the form as plain dataclasses, with errors and answers put in place."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hitl.lib.errors import FieldError
from hitl.lib.text import has_deceptive, one_line, visible
from workflows.forms import model, states
from workflows.forms.chosen import ON, One, Some
from workflows.forms.hints import hint_of
from workflows.forms.model import ABSENT
from workflows.forms.plan import Branch, Leaf, Part, plan
from workflows.forms.reading import CONTROLS
from workflows.forms.tree import Tree, tree
from workflows.forms.written import json_text, number_text
from workflows.json_schema import formats

_LABEL_LIMIT = 200
_RADIO_LIMIT = 4
# The browser's own check of addresses is stricter than ours; where it would refuse what the data
# holds, the field is a plain one, else an untouched form could not be sent.
_BROWSER_EMAIL = re.compile(r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9.-]+")
_SPECIAL_INPUTS = {"date": "date", "email": "email", "uri": "url"}

Post = Mapping[str, Sequence[str]]


def build(
    schema: dict[str, Any] | None,
    data: Any,
    *,
    errors: Iterable[FieldError] = (),
    submitted: Post | None = None,
) -> model.Form:
    """The form for a normal schema (`json_schema.normalise`) and the data it is about.

    `errors` have pointers into the data; one that fits no field goes to the nearest part above.
    `submitted` shows again what somebody posted. Without a schema everything is in `extra`.
    """
    if schema is None:
        return model.Form("", "", (), tree(data), tuple(visible(one.message) for one in errors))
    whole = plan(schema, data)
    drawer = _Drawer(_placed(whole, errors), submitted or {})
    own = tuple(drawer.errors.pop("", ()))
    nodes = drawer.children(whole) if isinstance(whole, Branch) else (drawer.node(whole),)
    return model.Form(
        title=one_line(str(schema.get("title", "")), _LABEL_LIMIT),
        help=visible(str(schema.get("description", ""))),
        nodes=nodes,
        extra=_extra(whole),
        errors=own,
    )


def _placed(whole: Part, errors: Iterable[FieldError]) -> dict[str, list[str]]:
    places = set(_places(whole))
    placed: dict[str, list[str]] = {}
    for error in errors:
        place = error.pointer
        while place and place not in places:
            place = place.rpartition("/")[0]
        below = error.pointer[len(place) :]
        message = visible(error.message)
        where = f"{one_line(below, _LABEL_LIMIT)}: " if below and place else ""
        placed.setdefault(place, []).append(where + message)
    return placed


def _places(part: Part) -> Iterable[str]:
    yield part.pointer
    if isinstance(part, Branch):
        for child in part.children:
            yield from _places(child)


def _extra(part: Part) -> Tree | None:
    beside = part.extra if isinstance(part, Branch) else {}
    return tree(beside, root=part.pointer) if beside else None


class _Drawer:
    def __init__(self, errors: dict[str, list[str]], submitted: Post) -> None:
        self.errors = errors
        self._submitted = submitted

    def children(self, part: Branch) -> tuple[model.Node, ...]:
        """The nodes of what is inside."""
        return tuple(self.node(child) for child in part.children)

    def node(self, part: Part) -> model.Node:
        """One node of the form."""
        if isinstance(part, Leaf):
            return self._leaf(part)
        head = (part.pointer, part.key, _label(part), _help(part), self.children(part))
        error = self._error(part)
        if part.is_list:
            return model.ArrayField(*head, error=error)
        is_set = isinstance(part.original, dict)
        return model.Group(*head, extra=_extra(part), is_set=is_set, error=error)

    def _error(self, part: Part) -> str:
        return " ".join(self.errors.get(part.pointer, ()))

    def _leaf(self, leaf: Leaf) -> model.Field:
        shown = _original(leaf)
        common: dict[str, Any] = {
            "name": leaf.name,
            "pointer": leaf.pointer,
            "key": one_line(leaf.key, _LABEL_LIMIT),
            "label": _label(leaf),
            "help": _help(leaf),
            "error": self._error(leaf),
            "is_set": leaf.original is not ABSENT,
            "is_null": leaf.original is None,
            "original": shown,
            "is_deceptive": any(has_deceptive(text) for text in _texts(leaf.original)),
        }
        if leaf.kind == "shown":
            inside = leaf.original if isinstance(leaf.original, dict | list) else None
            below = None if inside is None else tree(inside, root=leaf.pointer)
            return model.Field(**common, widget="shown", value=shown, tree=below)
        common["hint"] = visible(hint_of(leaf))
        common["is_required"] = _is_demanded(leaf)
        return self._input(leaf, common)

    def _input(self, leaf: Leaf, common: dict[str, Any]) -> model.Field:
        control = CONTROLS[leaf.kind]
        values = list(self._submitted.get(leaf.name, ())) or control.drawn(leaf)
        chosen = self._submitted.get(leaf.state_name, ())
        state = states.choices(leaf, chosen[-1] if chosen else None)
        common |= {"states": state, "state_name": leaf.state_name if state else ""}
        if leaf.kind == "checkbox":
            return model.Field(**common, widget="checkbox", value=ON, is_checked=ON in values)
        if isinstance(control, One | Some):
            answers = control.values(leaf)
            options = tuple(
                model.Choice(value, label, value in values) for value, label in answers.items()
            )
            return model.Field(**common, widget=_choice_widget(leaf, options), choices=options)
        return model.Field(**common, **_written(leaf, values[-1]))


def _label(part: Part) -> str:
    return one_line(str(part.schema.get("title") or part.key), _LABEL_LIMIT)


def _help(part: Part) -> str:
    return visible(str(part.schema.get("description", "")))


def _original(leaf: Leaf) -> str:
    value = leaf.original
    if value is ABSENT:
        return ""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    return "" if leaf.kind == "shown" and isinstance(value, dict | list) else json_text(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from (text for child in value.values() for text in _texts(child))
    elif isinstance(value, list):
        yield from (text for child in value for text in _texts(child))


def _is_demanded(leaf: Leaf) -> bool:
    """Whether an empty control is an error, so that the browser may say so at once."""
    if not leaf.is_required or leaf.is_nullable or leaf.kind in ("checkbox", "choices"):
        return False
    return leaf.kind in ("number", "json") or not states.has_empty_value(leaf)


def _choice_widget(leaf: Leaf, options: tuple[model.Choice, ...]) -> model.Widget:
    if leaf.kind == "choices":
        return "checkboxes"
    wished = leaf.schema.get("x-widget")
    if wished in ("radio", "select"):
        return "radio" if wished == "radio" else "select"
    return "radio" if len(options) <= _RADIO_LIMIT else "select"


def _written(leaf: Leaf, value: str) -> dict[str, Any]:
    if leaf.kind in ("area", "lines", "json"):
        syntax = "" if leaf.kind == "area" else leaf.kind
        return {"widget": "textarea", "value": value, "syntax": syntax}
    if leaf.kind == "number":
        whole = leaf.schema["type"] in ("integer", ["integer"])
        mode = "numeric" if whole and leaf.schema.get("minimum", -1) >= 0 else "decimal"
        return {"widget": "text", "value": value, "input_mode": mode}
    return {"widget": "text", "value": value, "input_type": _input_type(leaf, value)}


def _input_type(leaf: Leaf, value: str) -> str:
    """A special input only where the browser leaves this very value alone."""
    name = str(leaf.schema.get("format", ""))
    special = _SPECIAL_INPUTS.get(name)
    if special is None or (value and not formats.CHECKS[name](value)):
        return "text"
    if special == "date":
        return "text" if value.startswith("0000") else "date"
    if special == "email":
        return "email" if not value or _BROWSER_EMAIL.fullmatch(value) else "text"
    return special if value.isascii() else "text"
