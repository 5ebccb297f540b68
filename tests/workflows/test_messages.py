"""What a message says comes from the stored data: in the form's order, honest, and short."""

import datetime as dt
from typing import Any

import pytest

from deliveries.channels.base import Message
from deliveries.channels.email import compose
from hitl.accounts.models import Agent
from tests.workflows.factories import REFUND, make_workflow
from workflows import messages
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


def approval(agent: Agent, **changes: Any) -> Message:
    return messages.approval(make_workflow(agent, **changes))


def facts(agent: Agent, data: Any, form: Any = None) -> list[tuple[str, str, str]]:
    message = approval(agent, action_data=data, ui_schema=form)
    return [(fact.label, fact.value, fact.path) for fact in message.facts]


def test_says_what_who_by_when_and_what_silence_means(agent: Agent) -> None:
    workflow = make_workflow(agent, reason="Broken on arrival", timeout_seconds=3600)
    message = messages.approval(workflow)
    assert message.subject.startswith("Approve by ")
    assert message.subject.endswith("UTC: Refund order A-1009")
    assert (message.title, message.agent, message.team) == (
        "Refund order A-1009",
        "refund-bot",
        "Payments",
    )
    assert (message.action_type, message.risk) == ("payments.refund", "medium")
    assert message.fingerprint == workflow.fingerprint
    assert dt.datetime.fromisoformat(message.expires_at) == workflow.expires_at
    assert message.on_timeout == "the request times out and nothing runs"
    assert message.reason == "Broken on arrival"
    assert message.url == f"http://testserver/workflows/{workflow.pk}/"
    assert message.thread == str(workflow.pk)


@pytest.mark.parametrize(
    ("timeout_action", "said"),
    [("reject", "times out and nothing runs"), ("hold", "stays open until somebody decides")],
)
def test_silence_is_put_in_words(agent: Agent, timeout_action: str, said: str) -> None:
    assert said in approval(agent, timeout_action=timeout_action).on_timeout


def test_editing_is_offered_only_where_there_is_a_form(agent: Agent) -> None:
    with_form, without = approval(agent), approval(agent, ui_schema=None)
    assert [choice.decision for choice in with_form.choices] == ["approved", "rejected", "modified"]
    assert [choice.decision for choice in without.choices] == ["approved", "rejected"]


def test_facts_follow_the_form_then_the_rest(agent: Agent) -> None:
    form = {"fields": [{"name": "z", "label": "Last letter"}, {"name": "b"}]}
    assert [fact[0] for fact in facts(agent, {"a": "1", "b": "2", "z": "3"}, form)] == [
        "Last letter",
        "b",
        "a",
    ]


def test_the_agents_label_never_stands_alone(agent: Agent) -> None:
    form = {"fields": [{"name": "cc", "label": "Recipient"}, {"name": "to", "label": "To"}]}
    assert facts(agent, {"cc": "x@example.com", "to": "y@example.com"}, form) == [
        ("Recipient", "x@example.com", "cc"),
        ("To", "y@example.com", ""),
    ]


def test_nested_data_is_flattened_with_its_place(agent: Agent) -> None:
    data = {"items": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}], "tags": ["x", "y"], "o": {}}
    assert facts(agent, data) == [
        ("items › 1 › n", "1", ""),
        ("items › 1 › sku", "A", ""),
        ("items › 2 › n", "2", ""),
        ("items › 2 › sku", "B", ""),
        ("o", "(empty)", ""),
        ("tags", "x, y", ""),
    ]


def test_labels_reach_into_groups_and_lists(agent: Agent) -> None:
    form = {
        "type": "object",
        "properties": {
            "items": {
                "title": "Lines",
                "type": "array",
                "items": {"type": "object", "properties": {"sku": {"title": "Article"}}},
            }
        },
    }
    assert facts(agent, {"items": [{"sku": "A"}]}, form) == [
        ("Lines › 1 › Article", "A", "items › 1 › sku")
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "(nothing)"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1, "1"),
        (12.5, "12.5"),
        ("", "(empty)"),
        ([], "(empty list)"),
        ({}, "(empty)"),
        ([True, None, 2], "yes, (nothing), 2"),
        ("true", "true"),
    ],
)
def test_every_kind_of_value_has_words(agent: Agent, value: Any, said: str) -> None:
    assert facts(agent, {"value": value}) == [("value", said, "")]


@pytest.mark.parametrize("data", ["just text", 7, [1, 2], None])
def test_data_need_not_be_an_object(agent: Agent, data: Any) -> None:
    workflow = Workflow(action_data=data)
    found = list(messages._facts(workflow.action_data, {}, messages._Place()))
    assert [fact.label for fact in found] == ["Data"]


def test_what_does_not_fit_is_counted(agent: Agent) -> None:
    message = approval(agent, action_data={f"k{n:02}": n for n in range(25)}, ui_schema=None)
    assert (len(message.facts), message.facts_left_out) == (messages.FACTS, 5)


def test_long_and_tall_values_are_cut_visibly(agent: Agent) -> None:
    found = facts(agent, {"long": "x" * 600, "tall": "\n" * 5000 + "Approved by the CFO"})
    assert found[0][1] == "x" * 500 + "… (100 more characters)"
    assert found[1][1].count("\n") < messages.VALUE_LINES
    assert "more characters" in found[1][1]
    assert "CFO" not in found[1][1]


def test_prose_is_cut_too(agent: Agent) -> None:
    reason = approval(agent, reason="line\n" * 100).reason
    assert reason.count("\n") < messages.REASON_LINES
    assert "more characters" in reason


def test_what_fits_is_left_alone(agent: Agent) -> None:
    text = "two\nlines\n"
    assert approval(agent, reason=text).reason == text


def test_subject_is_one_short_line(agent: Agent) -> None:
    workflow = make_workflow(agent)
    workflow.name = "Refund\r\nBcc: eve@example.com\0" + "x" * 150
    message = messages.approval(workflow)
    for line in (message.subject, message.title):
        assert len(line) <= 120
        assert not set(line) & set("\r\n\0")


HIDDEN = "pay\u202egnp.exe"
MIXED = "p\u0430ypal.com"  # the second letter is Cyrillic


@pytest.mark.parametrize(
    "changes",
    [
        {"name": HIDDEN},
        {"reason": MIXED},
        {"action_data": {"to": HIDDEN}, "ui_schema": None},
        {"action_data": {MIXED: 1}, "ui_schema": None},
        {"action_data": {"a": [{"b": [MIXED]}]}, "ui_schema": None},
        {"ui_schema": {"fields": [{"name": "note", "label": HIDDEN}]}},
    ],
)
def test_hiding_and_imitating_text_is_flagged(agent: Agent, changes: dict[str, Any]) -> None:
    message = approval(agent, **changes)
    assert message.deceptive
    assert "\u202e" not in str(message)


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200b", "\U000e0041", "\ufe00", "\u3164"])
def test_nothing_hidden_leaves_in_a_message(agent: Agent, char: str) -> None:
    """Wherever an agent may write; channels draw what stands in the message and nothing else."""
    hidden = f"pay{char}pal"
    agent.name = hidden
    agent.save()
    message = approval(
        agent,
        name=hidden,
        reason=hidden,
        action_type=hidden,
        action_data={hidden: {hidden: [hidden]}, "note": hidden},
        ui_schema={"title": hidden, "description": hidden, "fields": [
            {"name": "note", "label": hidden, "help": hidden}
        ]},
    )  # fmt: skip
    mail = compose.request(message, to="ann@example.com", key="1", link="https://x.example/l/1/")
    drawn = f"{message}{mail.subject}{mail.body}{mail.alternatives[0][0]!s}"
    assert char not in drawn
    assert drawn.count(f"U+{ord(char):04X}") > 8


def test_ordinary_text_is_not_flagged(agent: Agent) -> None:
    data = {**REFUND, "note": "Grüße aus Kraków, 東京 und Αθήνα 👍🏽"}
    assert not approval(agent, action_data=data).deceptive
