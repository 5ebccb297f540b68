"""Our own Block Kit as plain structures, for a page that shows roughly what Slack would.

Knows the blocks that `blocks.py` and `forms.py` draw, and the little markup they use. The template
`deliveries/slack/_preview.html` escapes everything.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

_MARKUP = re.compile(
    r"\*(?P<bold>[^*\n]+)\*"
    r"|<!date\^(?P<seconds>[0-9]+)\^[^|>]*\|(?P<fallback>[^>]*)>"
    r"|<(?P<url>https?://[^|>]+)\|(?P<label>[^>]*)>"
)
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))

Piece = dict[str, Any]


def preview(blocks: list[dict[str, Any]]) -> list[Piece]:
    """One structure a block: `kind`, and what that kind shows. Texts are lists of pieces."""
    return [{"kind": block.get("type", ""), **_block(block)} for block in blocks]


def preview_view(view: dict[str, Any], errors: Mapping[str, str] | None = None) -> Piece:
    """A modal: `title`, `submit`, `close` and its blocks; `errors` stand at inputs by block id."""
    labels = {name: _words(view.get(name)) for name in ("title", "submit", "close")}
    blocks = preview(view.get("blocks", []))
    for piece in blocks:
        piece["error"] = (errors or {}).get(piece.get("block_id", ""), "")
    return labels | {"blocks": blocks}


def _block(block: dict[str, Any]) -> Piece:
    match block.get("type"):
        case "header":
            return {"text": _pieces(block["text"])}
        case "section":
            fields = [_pieces(field) for field in block.get("fields", [])]
            return {"text": _pieces(block.get("text")), "fields": fields}
        case "context":
            return {"elements": [_pieces(element) for element in block["elements"]]}
        case "rich_text":
            parts = [part for quote in block["elements"] for part in quote["elements"]]
            return {"text": [{"text": part["text"]} for part in parts]}
        case "actions":
            return {"buttons": [_button(element) for element in block["elements"]]}
        case "input":
            return _input(block)
        case _:
            return {}


def _button(element: dict[str, Any]) -> Piece:
    return {
        "label": _words(element["text"]),
        "style": element.get("style", ""),
        "url": element.get("url", ""),
        "action_id": element["action_id"],
        "value": element.get("value", ""),
        "confirm": _words(element.get("confirm", {}).get("text")),
    }


def _input(block: dict[str, Any]) -> Piece:
    element = block["element"]
    chosen = [element.get("initial_option"), *element.get("initial_options", [])]
    values = [option["value"] for option in chosen if option]
    return {
        "label": _words(block["label"]),
        "hint": _words(block.get("hint")),
        "block_id": block["block_id"],
        "action_id": element["action_id"],
        "input": element["type"],
        "is_long": bool(element.get("multiline")),
        "is_required": not block.get("optional", False),
        "value": element.get("initial_value", ""),
        "options": [
            {
                "value": option["value"],
                "label": _words(option["text"]),
                "is_chosen": option["value"] in values,
            }
            for option in element.get("options", [])
        ],
    }


def _words(text: dict[str, Any] | None) -> str:
    return "".join(piece["text"] for piece in _pieces(text))


def _pieces(text: dict[str, Any] | None) -> list[Piece]:
    """A text object in pieces: plain words, bold ones, instants (`when`) and links (`url`)."""
    if not text:
        return []
    if text.get("type") != "mrkdwn":
        return [{"text": text["text"]}]
    pieces: list[Piece] = []
    end = 0
    for found in _MARKUP.finditer(text["text"]):
        pieces += [{"text": _unescape(text["text"][end : found.start()])}, _piece(found)]
        end = found.end()
    pieces.append({"text": _unescape(text["text"][end:])})
    return [piece for piece in pieces if piece["text"]]


def _piece(found: re.Match[str]) -> Piece:
    if found["bold"]:
        return {"text": _unescape(found["bold"]), "is_bold": True}
    if found["seconds"]:
        when = dt.datetime.fromtimestamp(int(found["seconds"]), dt.UTC)
        return {"text": _unescape(found["fallback"]), "when": when}
    return {"text": _unescape(found["label"]), "url": _unescape(found["url"])}


def _unescape(text: str) -> str:
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text
