"""The modals that ask for a reason or for edits, and what people put in.

Invariant: a value that Slack's inputs cannot hold unchanged (too long, with hidden characters, a
choice of too many) cannot be edited here: it is shown, missing in what comes back, and to be left
as it is. Names travel percent-encoded in block and action ids.
Limits: https://docs.slack.dev/reference/views and .../block-kit/block-elements
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    ContextBlock,
    InputBlock,
    InputInteractiveElement,
    NumberInputElement,
    Option,
    PlainTextInputElement,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from deliveries.channels.base import ChannelError, FormField, Message, Reply
from deliveries.channels.slack import wording
from hitl.lib.text import visible

REASON, EDITS = "hitl_reason", "hitl_edits"
COMMENT = "comment"
INPUT_LIMIT = 3000
OPTION_VALUE_LIMIT = 150
OPTIONS_LIMIT = 100
BLOCKS_LIMIT = 90
VIEW_BUDGET = 100_000  # Slack refuses views over 250 kB
_ID_PART = 230
_FIELD = re.compile("f[0-9]+:(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?")
_CHECKED = ("true", "on", "yes", "1")


def reason(reply: Reply, message: Message) -> View:
    """Asks why not."""
    why = _comment("Why not?", "The agent is told.", optional=False)
    return _view(REASON, "Reject this request", "Reject", reply, [*_head(message), why])


def edits(reply: Reply, message: Message, fields: list[FormField]) -> View:
    """Asks for other values. Raises ChannelError where none of them can be edited in Slack."""
    blocks = list(_inputs(fields))
    if not any(isinstance(block, InputBlock) for block in blocks):
        raise ChannelError(
            "Nothing in this request can be edited in Slack: open it in the dashboard.",
            permanent=True,
        )
    comment = _comment("Comment", "Kept with the decision.", optional=True)
    blocks = [*_head(message), *blocks, comment]
    return _view(EDITS, "Edit, then approve", "Approve with edits", reply, blocks)


def _view(name: str, title: str, submit: str, reply: Reply, blocks: list[Block]) -> View:
    return View(
        type="modal",
        callback_id=name,
        title=wording.plain(title),
        submit=wording.plain(submit),
        close=wording.plain("Cancel"),
        # The reference and where the button is: what a click would have told, and nothing else.
        private_metadata=json.dumps({"reference": reply.reference, "place": reply.place}),
        blocks=blocks,
    )


def _head(message: Message) -> Iterator[Block]:
    yield SectionBlock(text=wording.plain(wording.line(message.title, 300, "(no title)")))
    digest = message.fingerprint.removeprefix("sha256:")[:12]
    yield ContextBlock(elements=[wording.plain(f"Fingerprint: {wording.line(digest, 75, 'none')}")])


def _comment(label: str, hint: str, *, optional: bool) -> InputBlock:
    element = PlainTextInputElement(action_id=COMMENT, multiline=True, max_length=INPUT_LIMIT)
    return InputBlock(
        block_id=COMMENT,
        label=wording.plain(label),
        hint=wording.plain(hint),
        element=element,
        optional=optional,
    )


def _inputs(fields: list[FormField]) -> Iterator[Block]:
    room = VIEW_BUDGET
    for number, field in enumerate(fields):
        block = _input(number, field)
        room -= wording.measure(json.dumps(block.to_dict(), ensure_ascii=False))
        if room < 0 or number >= BLOCKS_LIMIT:
            more = f"{len(fields) - number} more values are left as they are."
            yield ContextBlock(elements=[wording.plain(f"{more} Open the request to change them.")])
            return
        yield block


def _input(number: int, field: FormField) -> Block:
    ids = _ids(number, field.name)
    element = None if field.read_only or ids is None else _element(field, ids[1])
    if ids is None or element is None:
        return _shown(field)
    return InputBlock(
        block_id=ids[0],
        label=wording.plain(_label(field)),
        hint=wording.plain(wording.line(field.help, 300)) if field.help.strip() else None,
        element=element,
        # A checkbox that must be filled is one that must be ticked.
        optional=not field.required or field.kind == "flag",
    )


def _label(field: FormField) -> str:
    return wording.line(field.label if field.label.strip() else field.name, 150, "Value")


def _shown(field: FormField) -> Block:
    parts = [f"{_label(field)}: {wording.lines(field.value, 300)}"]
    if not field.read_only:
        parts.append("Cannot be edited here: open the request to change it.")
    return ContextBlock(elements=[wording.plain(part) for part in parts])


def _element(field: FormField, action_id: str) -> InputInteractiveElement | None:
    match field.kind:
        case "flag":
            return _checkbox(field, action_id)
        case "choice" if field.choices:
            return _select(field, action_id)
        case "number" if not field.value or _NUMBER.fullmatch(field.value):
            return NumberInputElement(
                action_id=action_id, is_decimal_allowed=True, initial_value=field.value or None
            )
        case _:
            return _text_input(field, action_id)


def _text_input(field: FormField, action_id: str) -> PlainTextInputElement | None:
    is_faithful = visible(field.value) == field.value and "\r" not in field.value
    if not is_faithful or wording.measure(field.value) > INPUT_LIMIT:
        return None
    return PlainTextInputElement(
        action_id=action_id,
        initial_value=field.value or None,
        multiline=field.kind == "long" or "\n" in field.value,
        max_length=INPUT_LIMIT,
    )


def _select(field: FormField, action_id: str) -> StaticSelectElement | None:
    labels = dict(field.choices)
    options = {value: _option(value, label) for value, label in labels.items()}
    has_room = len(options) <= OPTIONS_LIMIT and None not in options.values()
    if not has_room or (field.value and field.value not in options):
        return None
    return StaticSelectElement(
        action_id=action_id,
        placeholder=wording.plain("Choose"),
        options=[option for option in options.values() if option],
        initial_option=options.get(field.value),
    )


def _option(value: str, label: str) -> Option | None:
    """Values are percent-encoded: Slack hands some characters back as entities."""
    encoded = _encoded(value)
    if encoded is None or len(encoded) >= OPTION_VALUE_LIMIT:
        return None
    return Option(text=wording.plain(wording.line(label, 75, "(empty)")), value=f"={encoded}")


def _encoded(text: str) -> str | None:
    try:
        return quote(text)
    except UnicodeEncodeError:  # half a character, which UTF-8 cannot carry
        return None


def _checkbox(field: FormField, action_id: str) -> CheckboxesElement | None:
    """Ticked, it comes back as the field's own value for it, or as browsers call it."""
    ticked = field.choices[0] if field.choices else ("on", "Yes")
    option = _option(*ticked)
    if option is None:
        return None
    is_ticked = field.value == ticked[0] or field.value.lower() in _CHECKED
    return CheckboxesElement(
        action_id=action_id,
        options=[option],
        initial_options=[option] if is_ticked else None,
    )


def _ids(number: int, name: str) -> tuple[str, str] | None:
    """A block id and an action id that together carry the name, or None for endless names."""
    encoded = _encoded(name)
    if encoded is None or len(encoded) > 2 * _ID_PART:
        return None
    return f"f{number}:{encoded[:_ID_PART]}", f"v:{encoded[_ID_PART:]}"


@dataclass(frozen=True)
class Filled:
    """A modal as somebody submitted it."""

    name: str
    reference: str
    place: dict[str, str]
    comment: str
    values: dict[str, list[str]]


def read(view: dict[str, Any]) -> Filled:
    """What somebody put in. Whatever is not ours or not whole is left out."""
    known = _metadata(view.get("private_metadata"))
    place = known.get("place")
    comment, values = "", {}
    for block_id, action_id, state in _states(view):
        if block_id == COMMENT:
            comment = "".join(_given(state))
        elif (found := _FIELD.fullmatch(block_id)) and action_id.startswith("v:"):
            name = unquote(found[1] + action_id.removeprefix("v:"))
            values[name] = _given(state)
    return Filled(
        name=str(view.get("callback_id")),
        reference=str(known.get("reference", ""))[:200],
        place={str(k): str(v) for k, v in place.items()} if isinstance(place, dict) else {},
        comment=comment.strip(),
        values=values,
    )


def _metadata(given: Any) -> dict[str, Any]:
    try:
        parsed = json.loads(given) if isinstance(given, str) else {}
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _states(view: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    state = view.get("state")
    values = state.get("values") if isinstance(state, dict) else None
    for block_id, actions in (values if isinstance(values, dict) else {}).items():
        for action_id, each in (actions if isinstance(actions, dict) else {}).items():
            if isinstance(each, dict):
                yield block_id, action_id, each


def _given(state: dict[str, Any]) -> list[str]:
    """One input's value as a browser would post it: nothing for what is not ticked or chosen."""
    match state:
        case {"selected_options": list(chosen)}:
            return [value for option in chosen if (value := _decoded(option)) is not None]
        case {"selected_option": option}:
            value = _decoded(option)
            return [] if value is None else [value]
        case {"value": str(value)}:
            return [value]
        case {"value": None}:
            return [""]
        case _:
            return []


def _decoded(option: Any) -> str | None:
    value = option.get("value") if isinstance(option, dict) else None
    if not isinstance(value, str) or not value.startswith("="):
        return None
    return unquote(value[1:])


def errors(view: dict[str, Any], problem: str) -> dict[str, str]:
    """Where to show a problem: at the comment, else at whatever input there is."""
    blocks = view.get("blocks")
    inputs = [
        str(block.get("block_id"))
        for block in (blocks if isinstance(blocks, list) else [])
        if isinstance(block, dict) and block.get("type") == "input"
    ]
    place = COMMENT if COMMENT in inputs or not inputs else inputs[0]
    return {place: wording.line(problem, 500, "This could not be done.")}
