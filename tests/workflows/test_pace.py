"""What time does to a request: reminders, escalation, the deadline, and who may move it."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.models import Agent, Team, User
from hitl.lib.errors import Forbidden, InvalidInput
from tests.accounts.factories import AgentFactory
from tests.workflows.factories import REFUND, ActionTypeFactory, decide, make_workflow
from tests.workflows.policy_samples import HOUR, member, stage
from tests.workflows.test_deciding import adopt, asked, now, told
from workflows import executions, pace, selectors, services
from workflows.errors import AlreadyDecided, Expired, NotYours
from workflows.models import FiredStep, Status, Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture
def deputy(team: Team) -> User:
    return member(team, "Dora Deputy")


def paced(team: Team, approver: User, deputy: User, **more: Any) -> None:
    """Ann is asked, reminded after 1 h, and after 4 h Dora, too."""
    steps: dict[str, Any] = {
        "reminders": [{"after": HOUR}],
        "escalation": [{"after": 4 * HOUR, "to": {"users": [str(deputy.pk)]}}],
    }
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}, **(steps | more)))


def age(workflow: Workflow, hours: float) -> None:
    """Let so much time pass over a request."""
    row = now(workflow)
    back = dt.timedelta(hours=hours)
    fields = ("created_at", "expires_at", "stage_opened_at", "next_step_at")
    values = {name: getattr(row, name) - back for name in fields if getattr(row, name)}
    Workflow.objects.filter(pk=workflow.pk).update(**values)


def sweep(workflow: Workflow) -> int:
    """What the beat does, if the request is due."""
    found = selectors.steps_due(timezone.now(), limit=10)
    return pace.take_steps(workflow.pk) if workflow.pk in found else 0


# --- Reminders and steps -------------------------------------------------------------------------


def test_next_step_is_known_from_the_start(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    paced(team, approver, deputy)
    workflow = make_workflow(agent)
    assert workflow.next_step_at is not None
    assert workflow.stage_opened_at is not None
    assert workflow.next_step_at - workflow.stage_opened_at == dt.timedelta(hours=1)
    assert sweep(workflow) == 0


def test_reminder_goes_out_once(agent: Agent, team: Team, approver: User, deputy: User) -> None:
    paced(team, approver, deputy)
    workflow = make_workflow(agent)
    age(workflow, 1.1)
    assert sweep(workflow) == 1
    assert sweep(workflow) == 0
    assert pace.take_steps(workflow.pk) == 0
    assert asked(workflow, kind="reminder") == {"Ann Approver"}
    assert told(workflow) == ["workflow.created", "workflow.reminded"]


def test_nobody_is_reminded_who_has_answered(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    both = {"users": [str(approver.pk), str(deputy.pk)]}
    adopt(team, stage("Both", both, 2, reminders=[{"after": HOUR}]))
    workflow = make_workflow(agent)
    decide(workflow, approver)
    age(workflow, 2)
    sweep(workflow)
    assert asked(workflow, kind="reminder") == {"Dora Deputy"}


def test_escalation_asks_the_next_and_keeps_the_first(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    paced(team, approver, deputy)
    workflow = make_workflow(agent)
    age(workflow, 4.1)
    assert sweep(workflow) == 2
    assert told(workflow)[-1] == "workflow.escalated"
    assert asked(workflow, kind="approval") == {"Ann Approver", "Dora Deputy"}
    assert now(workflow).next_step_at is None
    assert decide(workflow, deputy).workflow.status == Status.APPROVED


def test_after_a_step_that_replaces_the_first_may_answer_no_more(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    step = {"after": HOUR, "to": {"users": [str(deputy.pk)]}, "mode": "replace"}
    paced(team, approver, deputy, escalation=[step], reminders=[])
    workflow = make_workflow(agent)
    age(workflow, 2)
    sweep(workflow)
    with pytest.raises(NotYours):
        decide(workflow, approver)
    old = Delivery.objects.get(workflow=workflow, user=approver)
    assert old.status == Delivery.Status.CANCELLED
    assert decide(workflow, deputy).workflow.status == Status.APPROVED


def test_step_is_repeated_as_often_as_the_policy_says(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    step = {"after": HOUR, "to": {"users": [str(deputy.pk)]}, "repeat": 2, "every": HOUR}
    paced(team, approver, deputy, escalation=[step], reminders=[])
    workflow = make_workflow(agent)
    for _ in range(4):
        age(workflow, 1.01)
        sweep(workflow)
    keys = FiredStep.objects.filter(workflow=workflow).values_list("key", flat=True)
    assert sorted(keys) == ["escalation/0/0", "escalation/0/1", "escalation/0/2"]
    assert told(workflow).count("workflow.escalated") == 3


def test_sweep_that_was_down_sends_one_reminder_not_all(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    often = [{"after": HOUR * hours} for hours in (1, 2, 3)]
    paced(team, approver, deputy, reminders=often, escalation=[])
    workflow = make_workflow(agent)
    age(workflow, 10)
    assert sweep(workflow) == 1
    assert FiredStep.objects.filter(skipped=True).count() == 2


def test_nothing_happens_after_a_verdict(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    paced(team, approver, deputy)
    workflow = make_workflow(agent)
    decide(workflow, approver)
    assert now(workflow).next_step_at is None
    Workflow.objects.filter(pk=workflow.pk).update(next_step_at=timezone.now())
    assert selectors.steps_due(timezone.now(), limit=10) == []
    assert pace.take_steps(workflow.pk) == 0
    assert not FiredStep.objects.exists()


def test_own_quiet_hours_hold_a_reminder_back_and_nothing_else(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    start = timezone.now() - dt.timedelta(hours=1)
    span = [f"{start:%H}:00", f"{start + dt.timedelta(hours=4):%H}:00"]
    approver.calendar = {"zone": "UTC", "quiet": [span]}
    approver.save()
    paced(team, approver, deputy)
    workflow = make_workflow(agent)
    age(workflow, 1.1)
    sweep(workflow)
    first, reminder = Delivery.objects.filter(workflow=workflow).order_by("created_at")
    assert first.next_retry_at is not None
    assert first.next_retry_at < timezone.now()
    assert reminder.next_retry_at is not None
    assert reminder.next_retry_at > timezone.now()


# --- The deadline --------------------------------------------------------------------------------


def test_deadline_escalates_where_the_policy_says_so(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    paced(team, approver, deputy, timeoutAction="escalate")
    workflow = make_workflow(agent, timeout_seconds=2 * HOUR)
    age(workflow, 2.1)
    assert services.time_out(workflow.pk)
    row = now(workflow)
    assert row.is_open
    assert row.expires_at > timezone.now()
    assert row.first_expires_at is not None
    assert told(workflow)[-1] == "workflow.escalated"
    snapshot = Event.objects.filter(workflow=workflow).latest("seq").state_snapshot
    assert dt.datetime.fromisoformat(snapshot["expiresAt"]) == row.expires_at

    age(workflow, 2)
    assert services.time_out(workflow.pk)
    assert now(workflow).status == Status.TIMEOUT


def test_agent_may_ask_for_escalation_only_where_there_is_a_step(
    agent: Agent, approver: User
) -> None:
    with pytest.raises(InvalidInput, match="no steps of escalation"):
        make_workflow(agent, timeout_action="escalate")


def test_policy_bounds_the_deadline(agent: Agent, team: Team, approver: User, deputy: User) -> None:
    adopt(team, stage("Any", {"team": "approvers"}), timeoutSeconds=HOUR)
    workflow = make_workflow(agent, timeout_seconds=30 * HOUR)
    assert workflow.expires_at - workflow.created_at == dt.timedelta(hours=1)
    sooner = make_workflow(agent, timeout_seconds=60)
    assert sooner.expires_at - sooner.created_at == dt.timedelta(minutes=1)


def test_silence_approves_at_low_risk_only(agent: Agent, team: Team, approver: User) -> None:
    adopt(team, stage("Any", {"team": "approvers"}, timeoutAction="approve"))
    assert make_workflow(agent).timeout_action == "reject"
    ActionTypeFactory(team=team, name="payments.refund", risk="low")
    workflow = make_workflow(agent)
    age(workflow, 25)
    assert services.time_out(workflow.pk)
    assert now(workflow).status == Status.APPROVED


def test_held_request_goes_on_escalating(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    paced(team, approver, deputy, timeoutAction="hold", reminders=[])
    workflow = make_workflow(agent, timeout_seconds=2 * HOUR)
    age(workflow, 3.9)
    assert services.time_out(workflow.pk)
    assert now(workflow).held_at
    assert decide(workflow, approver).workflow.status == Status.APPROVED


# --- Moving it -----------------------------------------------------------------------------------


@pytest.fixture
def movable(agent: Agent, team: Team, approver: User, deputy: User) -> Workflow:
    paced(team, approver, deputy, extendMax=10 * HOUR)
    return make_workflow(agent, timeout_seconds=5 * HOUR)


def later(workflow: Workflow, hours: float) -> dt.datetime:
    return workflow.expires_at + dt.timedelta(hours=hours)


def test_approver_moves_the_deadline(movable: Workflow, approver: User) -> None:
    moved = pace.extend(movable.pk, by=approver, expires_at=later(movable, 4), source="dashboard")
    assert moved.expires_at == later(movable, 4)
    assert moved.first_expires_at == movable.expires_at
    assert told(movable)[-1] == "workflow.extended"


def test_agent_moves_the_deadline_of_its_own_request_only(
    movable: Workflow, agent: Agent, team: Team
) -> None:
    assert pace.extend(movable.pk, by=agent, expires_at=later(movable, 1), source="api")
    with pytest.raises(Forbidden):
        pace.extend(
            movable.pk, by=AgentFactory(team=team), expires_at=later(movable, 2), source="api"
        )


def test_deadline_moves_so_far_in_all(movable: Workflow, approver: User) -> None:
    pace.extend(movable.pk, by=approver, expires_at=later(movable, 9), source="dashboard")
    with pytest.raises(InvalidInput, match="at the latest"):
        pace.extend(movable.pk, by=approver, expires_at=later(movable, 11), source="dashboard")
    with pytest.raises(InvalidInput, match="has to be later"):
        pace.extend(movable.pk, by=approver, expires_at=later(movable, 1), source="dashboard")


def test_deadline_that_has_passed_moves_no_more(movable: Workflow, approver: User) -> None:
    age(movable, 6)
    with pytest.raises(Expired):
        pace.extend(movable.pk, by=approver, expires_at=later(movable, 4), source="dashboard")
    services.time_out(movable.pk)
    with pytest.raises(AlreadyDecided):
        pace.extend(movable.pk, by=approver, expires_at=later(movable, 4), source="dashboard")


def test_without_the_policys_leave_nobody_moves_it(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    with pytest.raises(InvalidInput, match="does not allow"):
        pace.extend(workflow.pk, by=approver, expires_at=later(workflow, 1), source="dashboard")


# --- The index -----------------------------------------------------------------------------------


@pytest.mark.postgres
def test_what_is_due_is_found_by_its_index(agent: Agent, approver: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM workflows_workflow WHERE status = 'PENDING' "
            "AND next_step_at <= now() ORDER BY next_step_at LIMIT 500"
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "workflow_step_due" in plan


def test_held_request_has_no_deadline_to_move(movable: Workflow, approver: User) -> None:
    Workflow.objects.filter(pk=movable.pk).update(held_at=timezone.now())
    with pytest.raises(InvalidInput, match="no deadline to move"):
        pace.extend(movable.pk, by=approver, expires_at=later(movable, 1), source="dashboard")


@pytest.fixture
def silence_approves(agent: Agent, team: Team, approver: User, deputy: User) -> Workflow:
    """Both of Ann and Dora are wanted; their silence approves."""
    ActionTypeFactory(team=team, name="payments.refund", risk="low")
    both = {"users": [str(approver.pk), str(deputy.pk)]}
    adopt(team, stage("Both", both, 2, onReject="impossible", timeoutAction="approve"))
    return make_workflow(agent)


def test_silence_approves_what_is_on_the_table(silence_approves: Workflow, approver: User) -> None:
    less = REFUND | {"amount": 7}
    decide(silence_approves, approver, "modified", response_data=less)
    age(silence_approves, 25)
    assert services.time_out(silence_approves.pk)
    row = now(silence_approves)
    assert (row.status, row.decision, row.approved_data) == (Status.APPROVED, "modified", less)
    assert executions.is_intact(row)


def test_silence_is_no_consent_where_somebody_objects(
    agent: Agent, team: Team, approver: User, deputy: User
) -> None:
    ActionTypeFactory(team=team, name="payments.refund", risk="low")
    adopt(
        team,
        stage("Any", {"team": "approvers"}, onReject="impossible", timeoutAction="approve"),
    )
    workflow = make_workflow(agent)
    decide(workflow, approver, "rejected", comment="Not this one.")
    assert now(workflow).is_open
    age(workflow, 25)
    assert services.time_out(workflow.pk)
    assert now(workflow).status == Status.TIMEOUT
