"""What the page tells about deciding agrees with the gate, and comes from the data alone."""

from typing import Any

import pytest
from django.http import QueryDict

from events.types import Source
from hitl.accounts.models import Agent, Team, User
from hitl.lib.errors import InvalidInput, NotFound
from tests.workflows.factories import REFUND, ActionTypeFactory, decide, make_workflow
from workflows import decision_form
from workflows.errors import NotYours
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


def post(**values: str) -> QueryDict:
    query = QueryDict(mutable=True)
    query.update(values)
    return query


@pytest.mark.parametrize("who", ["approver", "colleague", "manager", "viewer", "stranger"])
@pytest.mark.parametrize("asked", ["anybody", "approver"])
@pytest.mark.parametrize("owner", ["", "approver", "manager"])
def test_the_hindrance_says_what_the_gate_would_say(
    request: pytest.FixtureRequest, agent: Agent, approver: User, colleague: User, who: str,
    asked: str, owner: str,
) -> None:  # fmt: skip
    person: User = request.getfixturevalue(who)
    if owner:
        agent.owner = request.getfixturevalue(owner)
        agent.save()
    named = [] if asked == "anybody" else [colleague.email, approver.email]
    workflow = make_workflow(agent, approvers=named)
    hindrance = decision_form.hindrance(workflow, person)
    said = ""
    try:
        decide(workflow, person)
    except NotYours as error:
        said = error.detail
    assert hindrance == said


def test_context_has_what_pages_draw(agent: Agent, approver: User) -> None:
    context = decision_form.context(make_workflow(agent), user=approver)
    assert context["can_edit"] is True
    assert context["editing"] is False
    assert context["silence"] == "the request times out and nothing runs"
    assert context["fingerprint"].startswith("sha256:")
    assert len(context["fingerprint_short"]) < 24


def test_a_decided_request_is_not_edited(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    workflow.refresh_from_db()
    assert decision_form.context(workflow, user=approver, editing=True)["editing"] is False


def test_errors_of_fields_and_of_ours_are_told_apart(agent: Agent, approver: User) -> None:
    form = {"fields": [{"name": "comment", "type": "integer"}]}
    workflow = make_workflow(agent, action_data={"comment": 1}, ui_schema=form)
    sent = post(**{"f/comment": "x", "decision": "modified"})
    with pytest.raises(InvalidInput) as caught:
        decision_form.review(workflow, sent)
    assert [error.pointer for error in caught.value.errors] == ["/responseData/comment"]
    context = decision_form.context(
        workflow, user=approver, post=sent, error=caught.value, editing=True
    )
    assert context["comment_error"] == ""
    assert next(context["form"].fields()).error


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({}, "/decision"),
        ({"decision": "nonsense"}, "/decision"),
        ({"decision": "rejected"}, "/comment"),
        ({"decision": "rejected", "comment": " "}, "/comment"),
        ({"decision": "approved", "comment": "x" * 5001}, "/comment"),
        ({"decision": "modified", "f/amount": "x"}, "/responseData/amount"),
    ],
)
def test_a_form_that_is_not_right_names_the_place(
    agent: Agent, approver: User, values: dict[str, str], pointer: str
) -> None:
    workflow = make_workflow(agent)
    sent = post(fingerprint=workflow.fingerprint, **values)
    with pytest.raises(InvalidInput) as caught:
        decision_form.submit(workflow.pk, user=approver, post=sent, source=Source.DASHBOARD)
    assert caught.value.errors[0].pointer == pointer


def test_a_request_that_is_not_there(approver: User) -> None:
    for decision in ("approved", "modified"):
        with pytest.raises(NotFound):
            decision_form.submit(
                approver.pk, user=approver, post=post(decision=decision), source=Source.DASHBOARD
            )


def test_what_is_carried_to_the_confirmation_is_the_form_alone() -> None:
    sent = QueryDict("f/a=1&f/list=&f/list=x&decision=modified&comment=c&fingerprint=f&step=edit")
    assert decision_form.carried(sent) == [("f/a", "1"), ("f/list", ""), ("f/list", "x")]


def labels(workflow: Workflow) -> list[tuple[str, str]]:
    return [(one.label, one.value) for one in decision_form.highlights(workflow)]


def test_highlights_follow_the_form_and_use_its_labels(agent: Agent) -> None:
    assert labels(make_workflow(agent)) == [
        ("Amount", "120"),
        ("Currency", "EUR"),
        ("Note to the customer", "Damaged in transit"),
        ("Order", "A-1009"),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, 2], []),
        ("text", []),
        ({}, []),
        ({"a": {"b": 1}, "c": [1], "d": None, "e": "", "f": False}, []),
        ({"on": True}, [("on", "yes")]),
        ({"text": "x" * 500}, [("text", "x" * 79 + "…")]),
        ({"lines": "a\nb"}, [("lines", "a b")]),
    ],
)
def test_highlights_are_plain_values_in_one_line(
    agent: Agent, data: Any, expected: list[tuple[str, str]]
) -> None:
    assert labels(make_workflow(agent, action_data=data, ui_schema=None)) == expected


@pytest.mark.parametrize(
    ("executor", "config", "target"),
    [
        ("agent", {}, ""),
        ("http", {"url": "https://user:pass@pay.example:8443/x?token=1"}, "pay.example:8443"),
        ("function", {"function": "echo"}, "echo"),
    ],
)
def test_what_an_approval_sets_off(
    agent: Agent, approver: User, team: Team, executor: str, config: Any, target: str
) -> None:
    ActionTypeFactory(team=team, name="payments.refund", executor=executor, executor_config=config)
    found = decision_form.happening(make_workflow(agent))
    assert (found.by, found.target) == (executor, target)


def test_the_words_are_not_the_agents(agent: Agent) -> None:
    workflow = make_workflow(agent, name="Harmless", reason="Nothing happens.")
    found = decision_form.happening(workflow)
    assert "Harmless" not in (found.actor, found.target)
    assert workflow.action_data == REFUND
