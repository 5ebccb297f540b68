"""Workflow → `Message`: what a channel shows, drawn from the stored data and never from prose."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from deliveries.channels.base import Choice, Fact, Message
from hitl.lib.text import one_line, visible
from hitl.lib.urls import absolute
from workflows.models import TimeoutAction, Workflow

FACTS = 20
VALUE_LIMIT = 500
REASON_LIMIT = 1000
SUBJECT_LIMIT = 120

SILENCE = {
    TimeoutAction.REJECT: "the request times out and nothing runs",
    TimeoutAction.HOLD: "the request stays open until somebody decides",
    TimeoutAction.APPROVE: "the request is approved",
}


def approval(workflow: Workflow) -> Message:
    """The message that asks for a decision."""
    facts = list(_facts(workflow.action_data, _titles(workflow.ui_schema)))
    return Message(
        kind="approval",
        subject=_subject(workflow),
        title=one_line(visible(workflow.name), SUBJECT_LIMIT),
        team=workflow.team.name,
        agent=one_line(visible(workflow.agent.name), 80),
        action_type=workflow.action_type,
        risk=str(workflow.risk),
        facts=facts[:FACTS],
        facts_left_out=max(0, len(facts) - FACTS),
        reason=_shorten(visible(workflow.reason), REASON_LIMIT),
        fingerprint=workflow.fingerprint,
        expires_at=workflow.expires_at.astimezone(dt.UTC).isoformat(),
        on_timeout=SILENCE[TimeoutAction(workflow.timeout_action)],
        url=absolute(reverse("workflow", args=[workflow.pk])),
        thread=str(workflow.pk),
        choices=_choices(workflow),
    )


def _subject(workflow: Workflow) -> str:
    by = workflow.expires_at.astimezone(dt.UTC).strftime("%d %b %H:%M UTC")
    return one_line(f"Approve by {by}: {visible(workflow.name)}", SUBJECT_LIMIT)


def _choices(workflow: Workflow) -> list[Choice]:
    choices = [Choice("approved", "Approve", "primary"), Choice("rejected", "Reject", "danger")]
    if workflow.ui_schema:
        choices.append(Choice("modified", "Edit, then approve"))
    return choices


def _titles(schema: dict[str, Any] | None) -> dict[str, str]:
    """Top-level labels of the form, by property."""
    properties = (schema or {}).get("properties", {})
    return {name: str(part.get("title", name)) for name, part in properties.items()}


def _facts(data: Any, titles: dict[str, str], path: tuple[str, ...] = ()) -> Iterator[Fact]:
    """The data flattened to labelled lines, in the order of the canonical form."""
    if isinstance(data, dict) and data:
        for name, value in data.items():
            label = titles.get(name, name) if not path else name
            yield from _facts(value, titles, (*path, visible(label)))
    elif isinstance(data, list) and data and any(isinstance(item, dict | list) for item in data):
        for number, item in enumerate(data, 1):
            yield from _facts(item, titles, (*path, str(number)))
    else:
        yield Fact(label=" › ".join(path) or "Data", value=_shorten(_text(data), VALUE_LIMIT))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "(empty list)"
    words = {None: "(nothing)", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else _plain(value)


def _plain(value: Any) -> str:
    return "(empty)" if value == {} else str(value)


def _shorten(text: str, limit: int) -> str:
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]}… ({left_out} more characters)"
