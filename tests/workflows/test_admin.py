"""Deciding, settling and looking up in the admin: the same gate, and records that stay."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.models import Event, EventStream
from events.types import EventType, Source
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib import sealing
from tests.accounts.factories import TeamFactory
from tests.workflows.factories import (
    ActionTypeFactory,
    ask_again,
    decide,
    make_executing,
    make_workflow,
)
from workflows import executions
from workflows.models import (
    ActionType,
    Decision,
    ExecutionAttempt,
    IdempotencyKey,
    Status,
    View,
    Workflow,
)


@pytest.fixture
def boss(team: Team) -> User:
    """Staff who may approve in the team as well."""
    user = User.objects.create_superuser("boss@example.com", name="Boss")
    add_member(team, user, Role.APPROVER)
    return user


@pytest.fixture
def desk(boss: User) -> Client:
    """The boss' browser."""
    return _browser_of(boss)


@pytest.fixture
def outsider(db: None) -> Client:
    """Staff who belong to no team."""
    return _browser_of(User.objects.create_superuser("ops@example.com", name="Ops"))


def _browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _button(workflow: Workflow, name: str) -> str:
    return reverse(f"admin:workflows_workflow_{name}", args=[workflow.pk])


def _words(answer: Any) -> str:
    """What the page says to the person."""
    return " ".join(str(message) for message in answer.context["messages"])


def _press(client: Client, workflow: Workflow, name: str, **changes: Any) -> Any:
    """Press a button of the confirm page, as it was drawn for the data as stored."""
    decision = {"approve": "approved", "reject": "rejected"}[name]
    form = {"decision": decision, "fingerprint": workflow.fingerprint, "comment": ""} | changes
    return client.post(_button(workflow, name), form, follow=True)


# --- Deciding -------------------------------------------------------------------------------------


def test_the_approve_page_shows_data_and_fingerprint_and_decides_nothing(
    desk: Client, agent: Agent
) -> None:
    workflow = make_workflow(agent, reason="Because\u202e of it")
    page = desk.get(_button(workflow, "approve")).content.decode()
    assert "Damaged in transit" in page
    assert workflow.fingerprint in page
    assert "⟦U+202E⟧" in page
    assert Workflow.objects.get().status == Status.PENDING


def test_opening_it_counts_as_having_seen_the_request(
    desk: Client, agent: Agent, boss: User
) -> None:
    workflow = make_workflow(agent)
    desk.get(_button(workflow, "approve"))
    desk.get(_button(workflow, "reject"))
    assert View.objects.get().user == boss
    assert Event.objects.filter(type=EventType.HUMAN_VIEWED, source=Source.ADMIN).count() == 1


def test_approving_goes_through_the_gate_with_source_admin(
    desk: Client, agent: Agent, boss: User
) -> None:
    workflow = make_workflow(agent)
    answer = _press(desk, workflow, "approve", comment="Fine")
    decision = Decision.objects.get()
    assert (decision.user, decision.channel, decision.comment) == (boss, Source.ADMIN, "Fine")
    assert decision.fingerprint == workflow.fingerprint
    assert Workflow.objects.get().status == Status.APPROVED
    assert "Approved" in _words(answer)


def test_rejecting_needs_a_reason(desk: Client, agent: Agent) -> None:
    workflow = make_workflow(agent)
    answer = _press(desk, workflow, "reject")
    assert "Say why" in answer.content.decode()
    assert Workflow.objects.get().status == Status.PENDING
    _press(desk, workflow, "reject", comment="Too much")
    assert Workflow.objects.get().status == Status.REJECTED
    assert Workflow.objects.get().feedback == "Too much"


def test_a_stale_fingerprint_is_refused(desk: Client, agent: Agent) -> None:
    workflow = make_workflow(agent)
    answer = _press(desk, workflow, "approve", fingerprint="sha256:" + "0" * 64)
    assert "fingerprint" in _words(answer)
    assert Workflow.objects.get().status == Status.PENDING


def test_a_missing_fingerprint_is_refused(desk: Client, agent: Agent) -> None:
    workflow = make_workflow(agent)
    _press(desk, workflow, "approve", fingerprint="")
    assert Workflow.objects.get().status == Status.PENDING


def test_each_page_takes_its_own_answer_only(desk: Client, agent: Agent) -> None:
    workflow = make_workflow(agent)
    _press(desk, workflow, "reject", decision="approved", comment="A forged page")
    assert Workflow.objects.get().status == Status.PENDING


def test_staff_who_are_no_approvers_hear_the_gates_words(outsider: Client, agent: Agent) -> None:
    workflow = make_workflow(agent)
    answer = _press(outsider, workflow, "approve")
    assert "not a member of the team" in _words(answer)
    assert Workflow.objects.get().status == Status.PENDING
    assert not View.objects.exists()
    refusal = Event.objects.get(type=EventType.HUMAN_REFUSED)
    assert (refusal.source, refusal.actor["name"]) == (Source.ADMIN, "Ops")


def test_the_page_says_beforehand_that_they_cannot(outsider: Client, agent: Agent) -> None:
    workflow = make_workflow(agent)
    page = outsider.get(_button(workflow, "approve")).content.decode()
    assert "You are not a member of the team" in page
    assert not View.objects.exists()


def test_the_agents_owner_cannot_approve_here_either(
    desk: Client, agent: Agent, boss: User
) -> None:
    agent.owner = boss
    agent.save()
    workflow = make_workflow(agent)
    assert "You own the agent" in _words(_press(desk, workflow, "approve"))
    assert Workflow.objects.get().status == Status.PENDING


def test_whoever_comes_second_learns_who_decided(
    desk: Client, agent: Agent, colleague: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    assert "Already approved by Carl Colleague" in _words(_press(desk, workflow, "approve"))
    looked = desk.get(_button(workflow, "approve"), follow=True)
    assert "Already approved by Carl Colleague" in _words(looked)


def test_buttons_follow_the_state(desk: Client, agent: Agent, colleague: User) -> None:
    workflow = make_workflow(agent)
    page = reverse("admin:workflows_workflow_change", args=[workflow.pk])
    assert _button(workflow, "approve") in desk.get(page).content.decode()
    decide(workflow, colleague)
    assert _button(workflow, "approve") not in desk.get(page).content.decode()


def test_deciding_needs_the_pages_token(boss: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(boss)
    form = {"decision": "approved", "fingerprint": workflow.fingerprint}
    assert browser.post(_button(workflow, "approve"), form).status_code == 403
    assert Workflow.objects.get().status == Status.PENDING


# --- Settling -------------------------------------------------------------------------------------


def _make_unknown(agent: Agent, user: User) -> Workflow:
    workflow = make_executing(agent, user)
    ExecutionAttempt.objects.update(lease_until=timezone.now())
    executions.lapse(ExecutionAttempt.objects.get().pk)
    workflow.refresh_from_db()
    assert workflow.status == Status.UNKNOWN
    return workflow


@pytest.mark.parametrize(
    ("result", "status"), [("succeeded", Status.COMPLETED), ("failed", Status.FAILED)]
)
def test_an_unknown_outcome_is_settled(
    desk: Client, agent: Agent, colleague: User, result: str, status: Status
) -> None:
    workflow = _make_unknown(agent, colleague)
    assert "fell silent" in desk.get(_button(workflow, "settle")).content.decode()
    form = {"result": result, "note": "Looked it up at the bank"}
    desk.post(_button(workflow, "settle"), form)
    assert Workflow.objects.get().status == status


def test_settling_needs_a_note(desk: Client, agent: Agent, colleague: User) -> None:
    workflow = _make_unknown(agent, colleague)
    desk.post(_button(workflow, "settle"), {"result": "succeeded", "note": ""})
    assert Workflow.objects.get().status == Status.UNKNOWN


def test_outsiders_settle_nothing(outsider: Client, agent: Agent, colleague: User) -> None:
    workflow = _make_unknown(agent, colleague)
    form = {"result": "failed", "note": "No idea"}
    answer = outsider.post(_button(workflow, "settle"), form, follow=True)
    assert "Only approvers" in _words(answer)
    assert Workflow.objects.get().status == Status.UNKNOWN


# --- Rolling back ---------------------------------------------------------------------------------


def _back(client: Client, workflow: Workflow, **changes: Any) -> Any:
    form = {"to_seq": 1, "reason": "Look again", "round": 1} | changes
    return client.post(_button(workflow, "roll_back"), form, follow=True)


@pytest.fixture
def rejected(agent: Agent, boss: User) -> Workflow:
    workflow = make_workflow(agent)
    decide(workflow, boss, "rejected", comment="no")
    return workflow


def test_rolling_back_says_what_it_does_and_asks_again(desk: Client, rejected: Workflow) -> None:
    seq = Event.objects.filter(workflow=rejected, status="PENDING").latest("seq").seq
    page = desk.get(_button(rejected, "roll_back")).content.decode()
    assert "Everybody whom the first stage asks gets a new message" in page
    assert "Rolled back: asked-again" in _words(_back(desk, rejected, to_seq=seq))
    event = Event.objects.get(workflow=rejected, type="workflow.rolled_back")
    assert (event.source, event.actor["name"]) == ("admin", "Boss")
    rejected.refresh_from_db()
    assert (rejected.status, rejected.round) == (Status.PENDING, 2)


@pytest.mark.parametrize("changes", [{"reason": ""}, {"to_seq": 99}, {"round": ""}])
def test_incomplete_rollback_does_nothing(
    desk: Client, rejected: Workflow, changes: dict[str, Any]
) -> None:
    _back(desk, rejected, **changes)
    rejected.refresh_from_db()
    assert rejected.status == Status.REJECTED


def test_outsiders_roll_nothing_back(outsider: Client, rejected: Workflow) -> None:
    assert "Only approvers and managers" in _words(_back(outsider, rejected))
    rejected.refresh_from_db()
    assert rejected.status == Status.REJECTED


def test_answer_on_a_page_of_an_earlier_round_is_refused(
    desk: Client, agent: Agent, colleague: User
) -> None:
    workflow = ask_again(make_workflow(agent), colleague)
    assert 'name="round" value="2"' in desk.get(_button(workflow, "approve")).content.decode()
    assert "earlier round" in _words(_press(desk, workflow, "approve", round=1))
    assert "earlier round" in _words(_press(desk, workflow, "approve"))
    _press(desk, workflow, "approve", round=2)
    workflow.refresh_from_db()
    assert workflow.status == Status.APPROVED


# --- Records --------------------------------------------------------------------------------------


@pytest.fixture
def records(agent: Agent, colleague: User, boss: User) -> dict[str, Any]:
    """One row of everything that nobody may edit."""
    workflow = make_executing(agent, colleague)
    IdempotencyKey.objects.create(agent=agent, route="create", key="k", fingerprint="sha256:0")
    View.objects.create(workflow=workflow, round=1, user=colleague)
    models = (Workflow, Decision, ExecutionAttempt, View, IdempotencyKey, Event, EventStream)
    rows = [model.objects.all()[0] for model in models]
    return {row._meta.label_lower.replace(".", "_"): row for row in rows}


READ_ONLY = [
    "workflows_workflow",
    "workflows_decision",
    "workflows_executionattempt",
    "workflows_view",
    "workflows_idempotencykey",
    "events_event",
    "events_eventstream",
]


@pytest.mark.parametrize("name", READ_ONLY)
def test_records_are_shown_but_never_edited(
    desk: Client, records: dict[str, Any], name: str
) -> None:
    row = records[name]
    page = reverse(f"admin:{name}_change", args=[row.pk])
    assert desk.get(page).status_code == 200
    assert desk.post(page, {"status": "COMPLETED", "name": "forged"}).status_code == 403
    assert desk.post(reverse(f"admin:{name}_add"), {}).status_code == 403
    gone = desk.post(reverse(f"admin:{name}_delete", args=[row.pk]), {"post": "yes"})
    assert gone.status_code == 403
    lists = reverse(f"admin:{name}_changelist")
    bulk = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    desk.post(lists, bulk)
    assert type(row).objects.filter(pk=row.pk).exists()


def test_a_workflows_page_leads_to_its_records(desk: Client, records: dict[str, Any]) -> None:
    workflow = records["workflows_workflow"]
    page = desk.get(reverse("admin:workflows_workflow_change", args=[workflow.pk])).content.decode()
    for name in ("events_event", "workflows_decision", "workflows_executionattempt"):
        assert reverse(f"admin:{name}_change", args=[records[name].pk]) in page
    assert f"/admin/accounts/agent/{workflow.agent_id}/change/" in page


@pytest.mark.parametrize("name", READ_ONLY[1:])
def test_records_lead_to_their_workflow(desk: Client, records: dict[str, Any], name: str) -> None:
    row = records[name]
    page = desk.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode()
    if row.workflow_id:
        assert f"/admin/workflows/workflow/{row.workflow_id}/change/" in page


def test_a_long_list_costs_few_queries(
    desk: Client, agent: Agent, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        make_workflow(agent, name=f"Request {number}")
    with django_assert_max_num_queries(15):
        desk.get(reverse("admin:workflows_workflow_changelist"))
    with django_assert_max_num_queries(15):
        desk.get(reverse("admin:events_event_changelist"))


# --- Action types ---------------------------------------------------------------------------------


def _kind(team: Team, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "team": team.pk,
        "name": "payments.refund",
        "risk": "medium",
        "timeout_action": "reject",
        "executor": "agent",
        "executor_config": "",
        "semantics": "idempotent",
        "max_attempts": 3,
        "data_schema": "",
        "ui_schema": "",
    }
    return values | changes


def _save_kind(client: Client, team: Team, **changes: Any) -> Any:
    return client.post(reverse("admin:workflows_actiontype_add"), _kind(team, **changes))


def test_compensation_is_another_type_of_the_same_team(desk: Client, team: Team) -> None:
    undo = ActionTypeFactory(team=team, name="payments.charge")
    theirs = ActionTypeFactory(team=TeamFactory(), name="theirs")
    answer = _save_kind(desk, team, compensation=theirs.pk)
    assert "another team" in str(answer.context["adminform"].form.errors["compensation"])
    _save_kind(desk, team, compensation=undo.pk)
    kind = ActionType.objects.get(name="payments.refund")
    assert kind.compensation == undo
    page = reverse("admin:workflows_actiontype_change", args=[kind.pk])
    answer = desk.post(page, _kind(team, compensation=kind.pk))
    assert "undoes itself" in str(answer.context["adminform"].form.errors["compensation"])


def test_an_action_type_is_kept_as_it_was_written(desk: Client, team: Team) -> None:
    form = {"fields": [{"name": "amount", "type": "number", "label": "Amount"}]}
    _save_kind(desk, team, ui_schema=json.dumps(form))
    kind = ActionType.objects.get()
    assert kind.ui_schema == form
    assert kind.data_schema is None
    assert kind.executor_config == {}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ui_schema", '{"type": "object", "$ref": "https://evil.example/s"}', "ref"),
        ("ui_schema", '{"fields": "many"}', "fields"),
        ("data_schema", '{"type": "no-such-type"}', "type"),
        ("data_schema", '{"a": 1, "a": 2}', "a"),
        ("data_schema", "[1]", "object"),
        ("data_schema", "{oops", "JSON"),
        ("executor_config", "[]", "object"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_field(
    desk: Client, team: Team, field: str, value: str, words: str
) -> None:
    answer = _save_kind(desk, team, **{field: value})
    errors = " ".join(answer.context["adminform"].form.errors[field])
    assert words in errors
    assert value.replace('"', "&quot;") in answer.content.decode()
    assert not ActionType.objects.exists()


def test_a_configuration_that_cannot_run_is_refused(desk: Client, team: Team) -> None:
    answer = _save_kind(desk, team, executor="function", executor_config='{"function": "nope"}')
    assert "registered function" in str(answer.context["adminform"].form.errors["executor_config"])
    _save_kind(desk, team, executor="function", executor_config='{"function": "echo"}')
    assert ActionType.objects.get().executor_config == {"function": "echo"}


def test_a_secret_is_masked_and_kept(desk: Client, team: Team) -> None:
    config = {"url": "https://example.com/run", "secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="}
    kind = ActionTypeFactory(team=team, name="x.y", executor="http", executor_config=config)
    page = reverse("admin:workflows_actiontype_change", args=[kind.pk])
    shown = desk.get(page)
    assert config["secret"] not in shown.content.decode()
    drawn = shown.context["adminform"].form.initial["executor_config"]
    moved = json.dumps(drawn | {"url": "https://example.com/elsewhere"})
    desk.post(page, _kind(team, name="x.y", executor="http", executor_config=moved))
    kind.refresh_from_db()
    kept = kind.executor_config["secret"]
    assert kind.executor_config == {"url": "https://example.com/elsewhere", "secret": kept}
    assert config["secret"] not in kept
    assert sealing.reveal(kept) == config["secret"]
