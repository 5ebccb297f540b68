"""Workflow → `Message`: what a channel shows, drawn from the stored data and never from prose."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.urls import reverse

from deliveries.channels.base import Choice, Fact, Message
from hitl.lib.text import has_deceptive, one_line, visible
from hitl.lib.urls import absolute
from workflows import cases, links
from workflows.models import TimeoutAction, Workflow

FACTS = 20
LABEL_LIMIT = 120
VALUE_LIMIT, VALUE_LINES = 500, 12
REASON_LIMIT, REASON_LINES = 1000, 15
SUBJECT_LIMIT = 120

SILENCE = {
    TimeoutAction.ESCALATE: "the next person is asked",
    TimeoutAction.REJECT: "the request times out and nothing runs",
    TimeoutAction.HOLD: "the request stays open until somebody decides",
    TimeoutAction.APPROVE: "the request is approved",
}


class _Place(NamedTuple):
    """Where in the data we are: the names there, and the form's titles for them."""

    names: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()

    def below(self, name: str, title: Any = None) -> "_Place":
        title = name if title is None else str(title)
        return _Place((*self.names, name), (*self.titles, title))


def approval(workflow: Workflow, *, kind: str = "approval") -> Message:
    """The message that asks for a decision on the data as it stands; kind `reminder`: again."""
    facts = list(_facts(workflow.current_data, workflow.ui_schema or {}, _Place()))
    return Message(
        kind=kind,
        subject=_subject(workflow, kind),
        title=one_line(workflow.name, SUBJECT_LIMIT),
        team=workflow.team.name,
        agent=one_line(workflow.agent.name, 80),
        action_type=visible(workflow.action_type),
        risk=str(workflow.risk),
        facts=facts[:FACTS],
        facts_left_out=max(0, len(facts) - FACTS),
        reason=_shorten(visible(workflow.reason), REASON_LIMIT, REASON_LINES),
        fingerprint=workflow.current_fingerprint,
        expires_at=workflow.expires_at.astimezone(dt.UTC).isoformat(),
        on_timeout=SILENCE[TimeoutAction(workflow.timeout_action)],
        url=absolute(reverse("workflow", args=[workflow.pk])),
        thread=str(workflow.pk),
        choices=_choices(workflow),
        deceptive=is_deceptive(workflow),
        login_needed=not links.is_enough(workflow),
        second_factor=cases.wants_second_factor(workflow),
    )


def is_deceptive(workflow: Workflow) -> bool:
    """Whether some text a person is to judge by hides characters or imitates other letters."""
    texts = (workflow.name, workflow.reason, workflow.agent.name, workflow.action_type)
    return any(map(has_deceptive, texts)) or any(
        map(
            has_deceptive,
            _texts([workflow.action_data, workflow.proposed_data, workflow.ui_schema]),
        )
    )


def _texts(value: Any) -> Iterator[str]:
    """Every text in the data, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _subject(workflow: Workflow, kind: str) -> str:
    by = workflow.expires_at.astimezone(dt.UTC).strftime("%d %b %H:%M UTC")
    again = "Reminder: approve" if kind == "reminder" else "Approve"
    return one_line(f"{again} by {by}: {workflow.name}", SUBJECT_LIMIT)


def _choices(workflow: Workflow) -> list[Choice]:
    choices = [Choice("approved", "Approve", "primary"), Choice("rejected", "Reject", "danger")]
    if workflow.ui_schema:
        choices.append(Choice("modified", "Edit, then approve"))
    return choices


def _facts(data: Any, schema: dict[str, Any], place: _Place) -> Iterator[Fact]:
    """The data flattened to labelled lines: in the form's order, then in the canonical one."""
    if isinstance(data, dict) and data:
        fields = schema.get("properties", {})
        known = [name for name in schema.get("x-order", []) if name in data]
        for name in dict.fromkeys([*known, *sorted(data)]):
            field = fields.get(name, {})
            yield from _facts(data[name], field, place.below(name, field.get("title")))
    elif isinstance(data, list) and any(isinstance(item, dict | list) for item in data):
        items = schema.get("items") or {}
        for number, item in enumerate(data, 1):
            yield from _facts(item, items, place.below(str(number)))
    else:
        yield _fact(data, place)


def _fact(value: Any, place: _Place) -> Fact:
    label = one_line(" › ".join(place.titles), LABEL_LIMIT) or "Data"
    path = one_line(" › ".join(place.names), LABEL_LIMIT)
    # The form's titles are the agent's words: where they differ, the data's own name stands by.
    return Fact(
        label=label,
        value=_shorten(_text(value), VALUE_LIMIT, VALUE_LINES),
        path="" if path.casefold() == label.casefold() else path,
    )


def _text(value: Any) -> str:
    match value:
        case None:
            return "(nothing)"
        case bool():
            return "yes" if value else "no"
        case str():
            return visible(value) or "(empty)"
        case list():
            return ", ".join(_text(item) for item in value) or "(empty list)"
        case dict():
            return "(empty)"
    return str(value)


def _shorten(text: str, limit: int, lines: int) -> str:
    """At most so many characters and lines, telling how much is missing."""
    if len(text) <= limit and text.count("\n") < lines:
        return text
    kept = "\n".join(text[:limit].splitlines()[:lines])
    return f"{kept}… ({len(text) - len(kept)} more characters)"
