"""The page of one request: what it shows, to whom, and that looking decides nothing."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.models import Agent, Team, User
from hitl.lib.db import database_now
from tests.dashboard.browser import logged_in, page_of, text
from tests.workflows.factories import (
    REFUND,
    ActionTypeFactory,
    decide,
    make_executing,
    make_overdue,
    make_workflow,
)
from tests.workflows.policy_samples import stage
from tests.workflows.test_deciding import adopt
from workflows import executions, receipts, services
from workflows.models import Decision, ExecutionAttempt, Status, Workflow

pytestmark = pytest.mark.django_db


def viewed(workflow: Workflow) -> int:
    return Event.objects.filter(workflow=workflow, type="human.viewed").count()


@pytest.mark.parametrize("name", ["workflow", "workflow-parts"])
def test_other_teams_get_what_a_random_id_gets(
    stranger: User, agent: Agent, name: str, settings: Any
) -> None:
    client = logged_in(stranger)
    there = client.get(page_of(make_workflow(agent), name))
    nowhere = client.get(reverse(name, args=["0192aaaa-0000-7000-8000-000000000001"]))
    assert there.status_code == nowhere.status_code == 404
    assert there.content == nowhere.content


def test_the_page_shows_what_will_happen(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent, reason="Broken in transit.")
    page = text(logged_in(approver).get(page_of(workflow)))
    for expected in (
        "Refund order A-1009", "If you approve", "refund-bot", "payments.refund", "Medium risk",
        "Note to the customer", "Damaged in transit", workflow.fingerprint,
        "In the agent’s own words", "Broken in transit.",
        "the request times out and nothing runs", "Any approver of Payments may decide",
    ):  # fmt: skip
        assert expected in page, expected


def test_facts_come_before_the_agents_words(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent, reason="Already approved by the CFO!")
    page = text(logged_in(approver).get(page_of(workflow)))
    assert page.index("Damaged in transit") < page.index("Already approved by the CFO!")


def test_data_without_a_form_is_a_tree(approver: User, agent: Agent) -> None:
    data = {"regions": ["eu-west", "us-east"], "steps": [{"id": 1, "dry": False}], "note": None}
    page = text(
        logged_in(approver).get(page_of(make_workflow(agent, ui_schema=None, action_data=data)))
    )
    assert "<li>eu-west</li>" in page
    assert "nothing (null)" in page
    assert "?edit=1" not in page


def test_every_kind_of_value_is_read_without_markup_of_json(approver: User, agent: Agent) -> None:
    form = {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string"}},
            "picked": {"type": "array", "items": {"enum": ["red", "green"]}},
            "none": {"type": "array", "items": {"enum": ["red", "green"]}},
            "any": {},
            "word": {},
            "size": {"enum": ["s", "m"], "x-labels": ["Small", "Medium"]},
            "dry": {"type": "boolean"},
            "missing": {"type": "string"},
            "blank": {"type": "string"},
        },
    }
    data = {
        "tags": ["a, b", "c"], "picked": ["green"], "none": [], "any": {"deep": [1, {"x": None}]},
        "word": "plain", "size": "m", "dry": False, "blank": "",
    }  # fmt: skip
    workflow = make_workflow(agent, action_data=data, ui_schema=form)
    page = text(logged_in(approver).get(page_of(workflow)))
    for expected in (
        "<li>a, b</li><li>c</li>", "<li>green</li>", "empty list", "deep", "nothing (null)",
        "plain", "<li>Medium</li>", "No", "not set", "empty text",
    ):  # fmt: skip
        assert expected in page, expected
    assert "{&quot;" not in page


def test_opening_is_noted_once_a_person(approver: User, colleague: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    for person in (approver, approver, colleague):
        logged_in(person).get(page_of(workflow))
    assert viewed(workflow) == 2
    event = Event.objects.filter(workflow=workflow, type="human.viewed").order_by("seq")[0]
    assert (event.actor["name"], event.data["certain"]) == ("Ann Approver", True)


@pytest.mark.parametrize(
    "headers", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}]
)
def test_fetching_ahead_is_not_looking(
    approver: User, agent: Agent, headers: dict[str, str]
) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    assert client.get(page_of(workflow), headers=headers).status_code == 200
    assert client.head(page_of(workflow)).status_code == 200
    assert client.get(page_of(workflow, "workflow-parts")).status_code == 200
    assert viewed(workflow) == 0


def test_looking_at_the_past_leaves_the_log_alone(
    approver: User, colleague: User, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    logged_in(colleague).get(page_of(workflow))
    assert viewed(workflow) == 0


def test_no_get_decides(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    query = f"?decision=approved&fingerprint={workflow.fingerprint}&comment=x"
    client = logged_in(approver)
    for name in ("workflow", "decide", "workflow-parts"):
        client.get(page_of(workflow, name) + query)
    workflow.refresh_from_db()
    assert workflow.status == Status.PENDING


@pytest.mark.parametrize("name", ["settle", "preview"])
def test_pages_that_act_take_only_posts(approver: User, agent: Agent, name: str) -> None:
    assert logged_in(approver).get(page_of(make_workflow(agent), name)).status_code == 405


def test_a_viewer_reads_why_there_are_no_buttons(viewer: User, agent: Agent) -> None:
    page = text(logged_in(viewer).get(page_of(make_workflow(agent))))
    assert "you may look only" in page
    assert 'value="approved"' not in page


def test_somebody_not_asked_reads_why(approver: User, colleague: User, agent: Agent) -> None:
    workflow = make_workflow(agent, approvers=[approver.email])
    page = text(logged_in(colleague).get(page_of(workflow)))
    assert "asks other people" in page
    assert "Only these people may decide" in page
    assert 'value="approved"' not in page


def test_the_owner_reads_that_somebody_else_decides(
    approver: User, colleague: User, agent: Agent
) -> None:
    agent.owner = approver
    agent.save()
    page = text(logged_in(approver).get(page_of(make_workflow(agent))))
    assert "You own the agent that asks" in page
    assert 'value="approved"' not in page


def test_after_the_decision_everybody_sees_who_where_and_what(
    approver: User, colleague: User, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, comment="Fine with me.")
    page = text(logged_in(colleague).get(page_of(workflow)))
    assert "Approved by Ann Approver" in page
    assert "Fine with me." in page
    assert "Approved, not started yet" in page
    assert 'value="approved"' not in page


def test_approved_edits_are_shown_as_a_difference(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "modified", response_data={**REFUND, "amount": 90})
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "Approved with edits" in page
    assert '<del class="value">120</del>' in page
    assert '<ins class="value">90</ins>' in page


def test_the_result_is_shown(approver: User, agent: Agent) -> None:
    workflow = make_executing(agent, approver)
    executions.complete(workflow.pk, agent=agent, attempt=1, result={"refundId": "re_17"})
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "Carried out" in page
    assert "re_17" in page


def test_a_failure_is_shown_with_its_attempts(approver: User, agent: Agent) -> None:
    workflow = make_executing(agent, approver)
    error = {"code": "card-expired", "message": "The card has expired."}
    executions.fail(workflow.pk, agent=agent, attempt=1, error=error)
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "The card has expired." in page
    assert "card-expired" in page
    assert "1 attempt" in page


@pytest.mark.parametrize("error", ["plain text", {"odd": 1}, ["list"], {"message": {"deep": 1}}])
def test_any_error_an_agent_reports_can_be_shown(approver: User, agent: Agent, error: Any) -> None:
    workflow = make_executing(agent, approver)
    executions.fail(workflow.pk, agent=agent, attempt=1, error=error)
    response = logged_in(approver).get(page_of(workflow))
    assert response.status_code == 200
    assert "Failed" in text(response)


def make_unknown(agent: Agent, user: User) -> Workflow:
    workflow = make_executing(agent, user)
    ExecutionAttempt.objects.update(lease_until=database_now())
    executions.lapse(ExecutionAttempt.objects.get(workflow=workflow).pk)
    workflow.refresh_from_db()
    assert workflow.status == Status.UNKNOWN
    return workflow


def test_an_unknown_outcome_asks_for_somebody_who_knows(
    approver: User, viewer: User, agent: Agent
) -> None:
    workflow = make_unknown(agent, approver)
    assert "What happened?" in text(logged_in(approver).get(page_of(workflow)))
    page = text(logged_in(viewer).get(page_of(workflow)))
    assert "What happened?" not in page
    assert "has to look and settle it" in page


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_an_approver_settles_the_outcome(approver: User, agent: Agent, outcome: str) -> None:
    workflow = make_unknown(agent, approver)
    fields = {"outcome": outcome, "note": "The bank statement says so."}
    response = logged_in(approver).post(page_of(workflow, "settle"), fields, follow=True)
    workflow.refresh_from_db()
    assert workflow.status == outcome.upper()
    assert "The bank statement says so." in text(response)


@pytest.mark.parametrize("fields", [{}, {"outcome": "maybe", "note": "x"}, {"outcome": "failed"}])
def test_settling_needs_an_outcome_and_a_note(
    approver: User, agent: Agent, fields: dict[str, str]
) -> None:
    workflow = make_unknown(agent, approver)
    response = logged_in(approver).post(page_of(workflow, "settle"), fields, follow=True)
    workflow.refresh_from_db()
    assert workflow.status == Status.UNKNOWN
    assert "note how you know" in text(response)


def test_settling_twice_shows_what_it_is_now(approver: User, agent: Agent) -> None:
    workflow = make_unknown(agent, approver)
    client, fields = logged_in(approver), {"outcome": "failed", "note": "Looked."}
    client.post(page_of(workflow, "settle"), fields)
    response = client.post(page_of(workflow, "settle"), fields)
    assert response.status_code == 409


def test_a_viewer_may_not_settle(viewer: User, approver: User, agent: Agent) -> None:
    workflow = make_unknown(agent, approver)
    fields = {"outcome": "failed", "note": "Looked."}
    assert logged_in(viewer).post(page_of(workflow, "settle"), fields).status_code == 403
    workflow.refresh_from_db()
    assert workflow.status == Status.UNKNOWN


def test_messages_are_listed_with_their_trouble(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    Delivery.objects.filter(workflow=workflow).update(
        status="failed", attempts=6, last_error="Mailbox <unavailable>", next_retry_at=None
    )
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "Mailbox &lt;unavailable&gt;" in page
    assert "Send again" in page


def failed_delivery(workflow: Workflow) -> Delivery:
    Delivery.objects.filter(workflow=workflow).update(status="failed", next_retry_at=None)
    return Delivery.objects.filter(workflow=workflow)[0]


def test_a_failed_message_is_sent_again(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    delivery = failed_delivery(workflow)
    logged_in(approver).post(page_of(workflow, "send-again", delivery_id=delivery.pk))
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.PENDING


def test_a_viewer_sends_nothing(viewer: User, approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    delivery = failed_delivery(workflow)
    page = page_of(workflow, "send-again", delivery_id=delivery.pk)
    assert logged_in(viewer).post(page).status_code == 403
    assert "Send again" not in text(logged_in(viewer).get(page_of(workflow)))
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.FAILED


def test_nobody_is_asked_about_what_is_decided(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    delivery = failed_delivery(workflow)
    decide(workflow, approver)
    page = page_of(workflow, "send-again", delivery_id=delivery.pk)
    response = logged_in(approver).post(page, follow=True)
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.FAILED
    assert "toast-error" in text(response)


def test_a_message_of_another_request_is_not_there(approver: User, agent: Agent) -> None:
    delivery = failed_delivery(make_workflow(agent))
    page = page_of(make_workflow(agent), "send-again", delivery_id=delivery.pk)
    assert logged_in(approver).post(page).status_code == 404


def test_the_timeline_tells_the_story(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    client.get(page_of(workflow))
    decide(workflow, approver, "rejected", comment="Too much.")
    page = text(client.get(page_of(workflow)))
    story = [
        "refund-bot asked for approval", "Ann Approver opened the request",
        "Ann Approver rejected", "The request was rejected; nothing ran",
    ]  # fmt: skip
    positions = [page.index(line) for line in story]
    assert positions == sorted(positions)


def test_an_event_shows_its_data_and_the_state_after_it(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    page = text(logged_in(approver).get(page_of(workflow, "event", seq=1)))
    assert "workflow.created" in page
    assert "actionData" in page
    assert Event.objects.get(workflow=workflow, seq=1).hash in page


def test_an_event_that_is_not_there(approver: User, agent: Agent) -> None:
    assert (
        logged_in(approver).get(page_of(make_workflow(agent), "event", seq=99)).status_code == 404
    )


def test_events_of_other_teams_are_not_there(stranger: User, agent: Agent) -> None:
    assert logged_in(stranger).get(page_of(make_workflow(agent), "event", seq=1)).status_code == 404


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("reject", "the request times out and nothing runs"),
        ("hold", "the request stays open until somebody decides"),
    ],
)
def test_the_page_says_what_silence_means(
    approver: User, agent: Agent, action: str, sentence: str
) -> None:
    workflow = make_workflow(agent, timeout_action=action)
    assert sentence in text(logged_in(approver).get(page_of(workflow)))


def test_a_held_request_still_can_be_decided(approver: User, agent: Agent) -> None:
    workflow = make_overdue(agent, timeout_action="hold")
    services.time_out(workflow.pk)
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "Held" in page
    assert 'value="approved"' in page


@pytest.mark.parametrize(
    ("executor", "config", "sentence"),
    [
        ("http", {"url": "https://pay.example/refund", "secret": "whsec_x"}, "pay.example"),
        ("function", {"function": "echo"}, "by running"),
    ],
)
def test_the_sentence_names_who_acts(
    approver: User, agent: Agent, team: Team, executor: str, config: Any, sentence: str
) -> None:
    ActionTypeFactory(team=team, name="payments.refund", executor=executor, executor_config=config)
    page = text(logged_in(approver).get(page_of(make_workflow(agent))))
    assert sentence in page
    assert "whsec_x" not in page


def test_the_sentence_names_who_gets_the_mail(approver: User, agent: Agent, team: Team) -> None:
    ActionTypeFactory(team=team, name="email.send", executor="email")
    data = {"to": ["a@example.com", "b@example.com"], "subject": "x", "body": "y"}
    workflow = make_workflow(agent, action_type="email.send", action_data=data, ui_schema=None)
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "a@example.com, b@example.com" in page


def test_pages_need_a_login(agent: Agent) -> None:
    for name in ("workflow", "workflow-parts", "decide", "settle", "preview"):
        response = Client().post(page_of(make_workflow(agent), name))
        assert response.status_code == 302
        assert response["Location"].startswith("/login/")


def test_second_factor_is_asked_for_before_the_buttons_are_there(
    client: Client, agent: Agent, team: Team, approver: User
) -> None:
    adopt(team, stage("Any", {"team": "approvers"}, stepUp=["medium"]))
    workflow = make_workflow(agent)
    client.force_login(approver)
    page = client.get(f"/workflows/{workflow.pk}/").content.decode()
    assert "Confirm that it is you" in page
    assert "/stepup/?next=/workflows/" in page
    assert 'value="approved"' not in page

    sent = {"decision": "approved", "fingerprint": workflow.fingerprint, "stage": "0"}
    answer = client.post(f"/workflows/{workflow.pk}/decide/", sent)
    assert answer.status_code == 403
    assert "second factor" in answer.content.decode()
    assert not Decision.objects.exists()


def test_stages_and_what_comes_next_are_on_the_page(
    client: Client, agent: Agent, team: Team, approver: User, colleague: User, manager: User
) -> None:
    step = {"after": 3600, "to": {"users": [str(manager.pk)]}}
    adopt(
        team,
        stage("Both", {"users": [str(approver.pk), str(colleague.pk)]}, 2, escalation=[step]),
        stage("Management", {"roles": ["manager"]}),
    )
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    client.force_login(approver)
    page = " ".join(client.get(f"/workflows/{workflow.pk}/").content.decode().split())
    assert "1 of 2, waiting for Ann Approver" in page
    assert "Mia Manager may answer, too" in page
    assert 'class="way-step way-open" aria-current="step"' in page
    assert "One of the managers." in page


def test_edit_of_somebody_before_is_shown_as_old_and_new(
    client: Client, agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    adopt(team, stage("Both", {"team": "approvers"}, 2))
    workflow = make_workflow(agent)
    decide(workflow, colleague, "modified", response_data=REFUND | {"amount": 99})
    client.force_login(approver)
    page = " ".join(client.get(f"/workflows/{workflow.pk}/").content.decode().split())
    assert "Carl Colleague has changed what was asked" in page
    assert '<del class="value">120</del>' in page
    assert '<ins class="value">99</ins>' in page


def test_the_timeline_tells_who_was_given_a_receipt_and_who_used_it(
    approver: User, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    token = receipts.issue(workflow.pk, agent=agent, audience="billing.example.com").token
    shown = receipts.Presented(token, audience="billing.example.com")
    receipts.consume(shown, agent=agent, consumer="billing/7")
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "refund-bot was given a receipt for billing.example.com" in page
    assert page.index("refund-bot used the receipt") < page.index("billing/7")
    assert token.rpartition(".")[2] not in page
