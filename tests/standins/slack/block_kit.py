"""Block Kit's published rules, as strictly as Slack reads them: `check` names every violation.

Lengths are counted in UTF-16 units with &, < and > as entities, whichever way Slack counts.
Sources: https://docs.slack.dev/reference/block-kit and https://docs.slack.dev/reference/views
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

MESSAGE_BLOCKS = {"header", "section", "context", "divider", "actions", "rich_text"}
MODAL_BLOCKS = {*MESSAGE_BLOCKS, "input"}
TOTAL = 12_000  # measured by people who asked; msg_blocks_too_long
RICH_TEXT_PARTS = {"rich_text_section", "rich_text_quote", "rich_text_preformatted"}


def length(text: str) -> int:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return len(escaped.encode("utf-16-le")) // 2


def check(blocks: Any, *, surface: str = "message") -> list[str]:
    """What Slack would complain about; nothing for blocks that it takes."""
    most = 50 if surface == "message" else 100
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= most:
        return [f"between 1 and {most} blocks"]
    found = [
        f"/blocks/{number}: {problem}"
        for number, block in enumerate(blocks)
        for problem in _block(block, surface)
    ]
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    return found + (["block_id must be unique"] if len(ids) != len(set(ids)) else [])


def is_too_long(blocks: Any) -> bool:
    return length(json.dumps(blocks, ensure_ascii=False)) > TOTAL


def check_view(view: Any) -> list[str]:
    if not isinstance(view, dict) or view.get("type") != "modal":
        return ["type must be modal"]
    found = [*check(view.get("blocks"), surface="modal")]
    for name, is_required in (("title", True), ("submit", False), ("close", False)):
        if is_required or name in view:
            found += [f"{name}: {each}" for each in _text(view.get(name), 24, ("plain_text",))]
    found += _limited(view, {"private_metadata": 3000, "callback_id": 255, "external_id": 255})
    has_input = any(block.get("type") == "input" for block in view.get("blocks") or [])
    if has_input and "submit" not in view:
        found.append("submit is required with inputs")
    if length(json.dumps(view)) > 250_000:
        found.append("view_too_large")
    unknown = set(view) - {
        "type", "title", "submit", "close", "blocks", "private_metadata", "callback_id",
        "external_id", "clear_on_close", "notify_on_close",
    }  # fmt: skip
    return found + [f"unknown {name}" for name in unknown]


def _block(block: Any, surface: str) -> Iterator[str]:
    if not isinstance(block, dict):
        yield "not an object"
        return
    allowed = MESSAGE_BLOCKS if surface == "message" else MODAL_BLOCKS
    kind = block.get("type")
    if kind not in allowed:
        yield f"unsupported type {kind!r}"
        return
    yield from _limited(block, {"block_id": 255})
    yield from _KINDS[str(kind)](block)


def _header(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"text"})
    yield from _text(block.get("text"), 150, ("plain_text",))


def _section(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"text", "fields", "accessory", "expand"})
    if "text" not in block and "fields" not in block:
        yield "text or fields"
    if "text" in block:
        yield from _text(block["text"], 3000)
    if "fields" in block:
        yield from _many(block["fields"], 10)
        for field in block["fields"]:
            yield from _text(field, 2000)


def _context(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"elements"})
    yield from _many(block.get("elements"), 10)
    for element in block.get("elements") or []:
        yield from _text(element, 3000)


def _divider(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, set())


def _actions(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"elements"})
    yield from _many(block.get("elements"), 25)
    elements = block.get("elements") or []
    for element in elements:
        yield from _button(element)
    ids = [element.get("action_id") for element in elements]
    if len(ids) != len(set(ids)):
        yield "action_id must be unique in its block"


def _button(element: Any) -> Iterator[str]:
    if element.get("type") != "button":
        yield f"unsupported element {element.get('type')!r}"
        return
    yield from _keys(element, {"text", "action_id", "url", "value", "style", "confirm"})
    yield from _text(element.get("text"), 75, ("plain_text",))
    yield from _limited(element, {"action_id": 255, "value": 2000, "url": 3000})
    if element.get("style", "primary") not in ("primary", "danger"):
        yield "style"
    if "url" in element and urlsplit(element["url"]).scheme not in ("http", "https"):
        yield "url"
    if "confirm" in element:
        yield from _confirm(element["confirm"])


def _confirm(confirm: Any) -> Iterator[str]:
    yield from _keys(confirm, {"title", "text", "confirm", "deny", "style"}, typed=False)
    yield from _text(confirm.get("title"), 100, ("plain_text",))
    yield from _text(confirm.get("text"), 300)
    yield from _text(confirm.get("confirm"), 30, ("plain_text",))
    yield from _text(confirm.get("deny"), 30, ("plain_text",))


def _rich_text(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"elements"})
    yield from _many(block.get("elements"), 100)
    for part in block.get("elements") or []:
        if part.get("type") not in RICH_TEXT_PARTS:
            yield f"unsupported rich text {part.get('type')!r}"
        for element in part.get("elements") or []:
            if element.get("type") != "text" or not element.get("text"):
                yield "rich text element"


def _input(block: dict[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"label", "element", "hint", "optional", "dispatch_action"})
    yield from _text(block.get("label"), 2000, ("plain_text",))
    if "hint" in block:
        yield from _text(block["hint"], 2000, ("plain_text",))
    element = block.get("element")
    if not isinstance(element, dict) or element.get("type") not in _INPUTS:
        yield "unsupported input"
        return
    yield from _limited(element, {"action_id": 255})
    if "placeholder" in element:
        yield from _text(element["placeholder"], 150, ("plain_text",))
    yield from _INPUTS[element["type"]](element)


def _text_input(element: dict[str, Any]) -> Iterator[str]:
    yield from _keys(
        element,
        {"action_id", "initial_value", "multiline", "min_length", "max_length", "placeholder"},
    )
    most = element.get("max_length", 3000)
    if not 1 <= most <= 3000:
        yield "max_length"
    if "initial_value" in element and not 1 <= length(element["initial_value"]) <= most:
        yield "initial_value"
    if "\n" in element.get("initial_value", "") and not element.get("multiline"):
        yield "initial_value of several lines in an input of one"


def _number_input(element: dict[str, Any]) -> Iterator[str]:
    yield from _keys(element, {"action_id", "initial_value", "is_decimal_allowed", "placeholder"})
    if not isinstance(element.get("is_decimal_allowed"), bool):
        yield "is_decimal_allowed"
    if "initial_value" in element:
        try:
            float(element["initial_value"])
        except ValueError:
            yield "initial_value is not a number"


def _select(element: dict[str, Any]) -> Iterator[str]:
    yield from _keys(element, {"action_id", "placeholder", "options", "initial_option"})
    yield from _options(element.get("options"), 100)
    if "initial_option" in element and element["initial_option"] not in element["options"]:
        yield "initial_option must be one of the options"


def _checkboxes(element: dict[str, Any]) -> Iterator[str]:
    yield from _keys(element, {"action_id", "options", "initial_options"})
    yield from _options(element.get("options"), 10)
    if "initial_options" in element:
        yield from _many(element["initial_options"], 10)
        if any(option not in element["options"] for option in element["initial_options"]):
            yield "initial_options must be among the options"


def _options(options: Any, most: int) -> Iterator[str]:
    yield from _many(options, most)
    for option in options or []:
        yield from _keys(option, {"text", "value", "description"}, typed=False)
        yield from _text(option.get("text"), 75)
        yield from _limited(option, {"value": 150})
    values = [option.get("value") for option in options or []]
    if len(values) != len(set(values)):
        yield "option values must be unique"


_KINDS = {
    "header": _header,
    "section": _section,
    "context": _context,
    "divider": _divider,
    "actions": _actions,
    "rich_text": _rich_text,
    "input": _input,
}
_INPUTS = {
    "plain_text_input": _text_input,
    "number_input": _number_input,
    "static_select": _select,
    "checkboxes": _checkboxes,
}


def _text(text: Any, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"text object of {' or '.join(kinds)}"
        return
    extra = {"plain_text": {"emoji"}, "mrkdwn": {"verbatim"}}[text["type"]]
    yield from _keys(text, {"text", *extra})
    words = text.get("text")
    if not isinstance(words, str) or not words.strip():
        yield "must be more than 0 characters"
    elif length(words) > most:
        yield f"must be less than {most + 1} characters"


def _many(values: Any, most: int) -> Iterator[str]:
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        yield f"between 1 and {most} items"


def _limited(of: dict[str, Any], limits: dict[str, int]) -> Iterator[str]:
    for name, most in limits.items():
        value = of.get(name, "x")
        if not isinstance(value, str) or not 1 <= length(value) <= most:
            yield f"{name} of 1 to {most} characters"


def _keys(of: dict[str, Any], known: set[str], *, typed: bool = True) -> Iterator[str]:
    always = {"type", "block_id"} if typed else set()
    for name in set(of) - known - always:
        yield f"unknown property {name}"
