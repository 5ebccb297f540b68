"""Caught messages as the pages draw them: plain structures, every text still to be escaped."""

import re
from collections.abc import Iterator
from typing import Any

from deliveries.channels.slack.preview import preview, preview_view
from deliveries.models import SandboxMessage
from deliveries.sandbox import slack, sms, telegram

Kind = SandboxMessage.Kind
Drawn = dict[str, Any]

_URL = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")
_CODE = re.compile(r"\bReply YES ([A-Z]{5})\b")


def draw(row: SandboxMessage) -> Drawn:
    """One message: the row itself, and what its channel makes of it."""
    return {"row": row, "is_ours": row.kind != Kind.REPLY, **_DRAWERS[row.channel](row)}


def _slack(row: SandboxMessage) -> Drawn:
    return {"blocks": preview(row.payload["blocks"])}


def _sms(row: SandboxMessage) -> Drawn:
    return {"pieces": list(_linked(row.text))}


def _telegram(row: SandboxMessage) -> Drawn:
    quoted = SandboxMessage.objects.filter(pk=row.payload.get("quoted")).first()
    return {
        "pieces": list(_styled(row.text, row.payload.get("entities", []))),
        "buttons": list(telegram.buttons(row.payload)),
        "quoted": quoted.subject if quoted else "",
    }


_DRAWERS = {slack.CHANNEL: _slack, sms.CHANNEL: _sms, telegram.CHANNEL: _telegram}


def modal(row: SandboxMessage) -> Drawn:
    """An open form of Slack's, with what is wrong with it."""
    return preview_view(row.payload["view"], row.payload.get("errors"))


def confirmation(row: SandboxMessage, action_id: str) -> Drawn | None:
    """The question that Slack asks before a button counts; None where it asks nothing."""
    buttons = slack.buttons(row.payload["blocks"])
    asked = next((part.get("confirm") for part in buttons if part["action_id"] == action_id), None)
    if not asked:
        return None
    words = {name: asked[name]["text"] for name in ("title", "text", "confirm", "deny")}
    return {"action_id": action_id, **words}


def suggestions(text: str) -> list[str]:
    """Answers that a phone would offer below a message."""
    found = _CODE.search(text)
    return [f"YES {found[1]}", f"NO {found[1]} not now"] if found else []


def _linked(text: str) -> Iterator[Drawn]:
    """The text in pieces, of which addresses are links."""
    end = 0
    for found in _URL.finditer(text):
        yield {"text": text[end : found.start()]}
        yield {"text": found[0], "url": found[0]}
        end = found.end()
    yield {"text": text[end:]}


def _styled(text: str, entities: list[Drawn]) -> Iterator[Drawn]:
    """Telegram's entities count UTF-16 units; ours never nest."""
    raw = text.encode("utf-16-le", "surrogatepass")
    end, after_block = 0, False
    for entity in sorted(entities, key=lambda each: int(each["offset"])):
        start = max(2 * entity["offset"], end)
        is_block = entity["type"] == "pre"
        yield from _linked(_between(raw[end:start], after_block, is_block))
        end, after_block = start + 2 * entity["length"], is_block
        part = raw[start:end].decode("utf-16-le", "replace")
        # Telegram links nothing in fixed-width text; here the address of this server is worth it.
        url = part if entity["type"] == "code" and _URL.fullmatch(part) else ""
        yield {"text": part, "style": entity["type"], "url": url}
    yield from _linked(_between(raw[end:], after_block, False))


def _between(raw: bytes, after_block: bool, before_block: bool) -> str:
    """Text beside a block has a line of its own anyway."""
    text = raw.decode("utf-16-le", "replace")
    text = text.removeprefix("\n") if after_block else text
    return text.removesuffix("\n") if before_block else text
