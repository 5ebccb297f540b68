"""Draws a `Message` in Block Kit.

Invariants: title, risk, deadline, what silence means and the fingerprint are always there, however
much else has to be left out, and leaving out is told. Markup stands in our own words only. The
agent's words come last, boxed and labelled, below the buttons: they can imitate nothing above them.
Limits: https://docs.slack.dev/reference/block-kit/blocks
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    LinkButtonElement,
    MarkdownTextObject,
    PlainTextObject,
    RichTextBlock,
    SectionBlock,
    TextObject,
)
from slack_sdk.models.blocks.block_elements import RichTextElementParts, RichTextQuoteElement

from deliveries.channels.base import Choice, Fact, Message, Note
from deliveries.channels.slack import wording

APPROVE, REJECT, EDIT, OPEN = "hitl_approve", "hitl_reject", "hitl_edit", "hitl_open"
ACTIONS = {"approved": APPROVE, "rejected": REJECT, "modified": EDIT}
HIGH = "high"
RISKS = {"low": "Low", "medium": "Medium", HIGH: "High: approve after signing in"}

# Slack refuses messages whose blocks add up to more than about 13,000 characters
# (msg_blocks_too_long, not documented); nobody decides well on half as much either.
BUDGET = 9000
FACT_BLOCKS = 24
FACTS_A_BLOCK = 10
LABEL_LIMIT = 150
VALUE_LIMIT = 800
SHORT = 60
REASON_LIMIT = 1000
FALLBACK_LIMIT = 300
NOTICE_LIMIT, PROGRESS_LIMIT = 600, 300
TEXT_LIMIT = 2000
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,1000}")

Drawn = list[dict[str, Any]]


def asking(message: Message, key: str) -> Drawn:
    """The message that asks, with buttons that carry nothing but `key`."""
    return _draw(message, _buttons(message, key))


def telling(message: Message) -> Drawn:
    """The message that tells the outcome, with nothing to press."""
    return _draw(message, [])


def note(said: Note) -> Drawn:
    """A few words outside of any request, with one button where there is a link."""
    drawn: list[Block] = [SectionBlock(text=wording.plain(wording.lines(said.text, TEXT_LIMIT)))]
    if said.url:
        drawn.append(ActionsBlock(elements=[_link(said.label, said.url, "primary")]))
    return _dump(drawn)


def fallback(message: Message) -> str:
    """What notifications and screen readers say. Slack reads markup here, so it is escaped."""
    said = message.outcome or message.subject or message.title
    if message.outcome:
        said = f"{said} ({message.title})"
    return wording.escape(wording.line(said, FALLBACK_LIMIT, "A request waits for an answer"))


def _draw(message: Message, buttons: list[ButtonElement]) -> Drawn:
    head = _dump(_head(message))
    tail = _dump(_tail(message, buttons))
    return head + _dump(_facts(message, BUDGET - _size(head + tail))) + tail


def _dump(blocks: Iterable[Block]) -> Drawn:
    return [block.to_dict() for block in blocks]


def _size(drawn: Drawn | dict[str, Any]) -> int:
    return wording.measure(json.dumps(drawn, ensure_ascii=False))


def _head(message: Message) -> Iterator[Block]:
    yield HeaderBlock(text=wording.plain(wording.line(message.title, 150, "(no title)")))
    if message.outcome:
        yield SectionBlock(text=wording.plain(wording.lines(message.outcome, 600)))
    else:
        yield from _standing(message)
    if message.deceptive:
        yield SectionBlock(
            text=wording.plain(
                "⚠ Some text in this request hides characters or mixes alphabets that look alike. "
                "What is hidden is written out, like ⟦U+202E⟧."
            )
        )


def _standing(message: Message) -> Iterator[Block]:
    """What has happened to it so far, for whom the receiver answers, and how far it is."""
    if message.kind == "reminder":
        yield _context("A reminder: this request still waits for an answer.")
    if message.notice:
        yield SectionBlock(text=wording.plain(wording.lines(message.notice, NOTICE_LIMIT)))
    if message.on_behalf:
        yield _context(f"You are asked in place of {wording.line(message.on_behalf, 150)}.")
    if message.progress:
        yield _context(f"So far: {wording.line(message.progress, PROGRESS_LIMIT)}")


def _tail(message: Message, buttons: list[ButtonElement]) -> Iterator[Block]:
    if not message.outcome:
        yield from _stakes(message)
    yield _identity(message, link=not buttons)
    if buttons:
        yield ActionsBlock(elements=buttons)
    if message.reason.strip():
        yield from _agents_words(message.reason)


def _stakes(message: Message) -> Iterator[Block]:
    yield SectionBlock(fields=[_risk(message.risk), *_deadline(message.expires_at)])
    if message.on_timeout:
        silence = wording.line(message.on_timeout, 200)
        yield _context(f"If nobody answers by then, {silence}.")
    if message.second_factor and message.choices:
        yield _context("An answer takes your second factor: open the request to give it.")


def _risk(risk: str) -> TextObject:
    if risk in RISKS:
        return _marked(f"*Risk*\n{RISKS[risk]}")
    return wording.plain(f"Risk\n{wording.line(risk, 75, 'unknown')}")


def _deadline(expires_at: str) -> list[TextObject]:
    if not expires_at:
        return []
    instant = wording.moment(expires_at)
    if instant is None:
        return [wording.plain(f"Answer by\n{wording.line(expires_at, 75)}")]
    return [_marked(f"*Answer by*\n{wording.date_mark(instant)}")]


def _marked(ours: str) -> MarkdownTextObject:
    """Markup: for words of our own only."""
    return MarkdownTextObject(text=ours, verbatim=True)


def _context(ours: str) -> ContextBlock:
    return ContextBlock(elements=[wording.plain(ours)])


def _identity(message: Message, *, link: bool) -> ContextBlock:
    """Who asks, for whom, and the digest: an element each, so that none can pose as another."""
    digest = message.fingerprint.removeprefix("sha256:")[:12]
    parts: list[TextObject] = [
        wording.plain(f"Team: {wording.line(message.team, 80)}"),
        wording.plain(f"Agent: {wording.line(message.agent, 80)}"),
        wording.plain(f"Action: {wording.line(message.action_type, 100)}"),
        wording.plain(f"Fingerprint: {wording.line(digest, 75, 'none')}"),
    ]
    if link and _LINK.fullmatch(message.url):
        parts.append(_marked(f"<{wording.escape(message.url)}|Open in the dashboard>"))
    return ContextBlock(elements=parts)


def _agents_words(words: str) -> Iterator[Block]:
    said = RichTextElementParts.Text(text=wording.lines(words, REASON_LIMIT))
    yield _context("The agent’s own words. Nobody has checked them:")
    yield RichTextBlock(elements=[RichTextQuoteElement(elements=[said])])


def _facts(message: Message, room: int) -> Iterator[Block]:
    """As many facts as there is room for, in order; then how many are left out."""
    group: list[TextObject] = []
    blocks = number = 0
    for fact in message.facts:
        drawn = _fact(fact)
        room -= _size(drawn.to_dict()) + 60
        if room < 0 or blocks >= FACT_BLOCKS:
            break
        number += 1
        if _is_short(fact) and len(group) < FACTS_A_BLOCK:
            group.append(drawn)
            continue
        if group:
            yield SectionBlock(fields=group)
            group, blocks = [], blocks + 1
        if _is_short(fact):
            group.append(drawn)
        else:
            yield SectionBlock(text=drawn)
            blocks += 1
    if group:
        yield SectionBlock(fields=group)
    left_out = len(message.facts) - number + max(message.facts_left_out, 0)
    if left_out:
        yield _context(f"{left_out} more values are not shown here: open the request to see all.")


def _fact(fact: Fact) -> PlainTextObject:
    label = fact.label if not fact.path else f"{fact.label} ({fact.path})"
    value = wording.barred(fact.value, VALUE_LIMIT)
    return wording.plain(f"{wording.line(label, LABEL_LIMIT)}\n{value}")


def _is_short(fact: Fact) -> bool:
    """Whether it fits in half the width, beside another."""
    return "\n" not in fact.value and max(len(fact.value), len(fact.label + fact.path)) <= SHORT


def _buttons(message: Message, key: str) -> list[ButtonElement]:
    """A button a choice; where the risk is high, approving is a link to where people sign in.

    Where an answer takes a second factor, so does every answer: the link is all there is.
    """
    if not message.choices:
        return []
    pressable = list(_pressable(message, _offered(message), key))
    if not _LINK.fullmatch(message.url):
        return pressable
    if message.page_only:
        return [_link("Open to decide", message.url, "primary"), *pressable]
    return [*pressable, _link("Open in dashboard", message.url)]


def _offered(message: Message) -> list[Choice]:
    if message.second_factor:
        return []
    is_high = message.risk == HIGH
    return [choice for choice in message.choices if not is_high or choice.decision == "rejected"]


def _pressable(message: Message, offered: list[Choice], key: str) -> Iterator[ButtonElement]:
    for decision, choice in {choice.decision: choice for choice in offered}.items():
        if decision in ACTIONS:
            yield ButtonElement(
                text=wording.plain(wording.line(choice.label, 75, decision)),
                action_id=ACTIONS[decision],
                value=key,
                style=choice.style if choice.style in ("primary", "danger") else None,
                confirm=_confirm(message) if ACTIONS[decision] == APPROVE else None,
            )


def _confirm(message: Message) -> ConfirmObject | None:
    """One more tap before what cannot be taken back, unless little is at stake."""
    if message.risk == "low":
        return None
    title = wording.line(message.title, 200, "This request")
    return ConfirmObject(
        title=wording.plain("Approve this request?"),
        text=wording.plain(f"{title}\nIt is carried out exactly as shown."),
        confirm=wording.plain("Approve"),
        deny=wording.plain("Not yet"),
    )


def _link(label: str, url: str, style: str | None = None) -> LinkButtonElement:
    return LinkButtonElement(text=wording.plain(label), url=url, action_id=OPEN, style=style)
