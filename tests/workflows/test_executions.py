"""Carrying out: claimed once, fenced, bounded; unknown outcomes are shown, never guessed."""

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.errors import Forbidden
from tests.workflows.factories import (
    REFUND,
    ActionTypeFactory,
    decide,
    make_executing,
    make_workflow,
)
from workflows import executions
from workflows.actions.base import ActionFailed, Job
from workflows.actions.function import register
from workflows.errors import IllegalTransition, NotExecutable, NotYours
from workflows.models import ExecutionAttempt, Status, Workflow

pytestmark = pytest.mark.django_db(transaction=True)

calls: list[Job] = []


@register("tests.act")
def act(job: Job) -> Any:
    """Notes the call, then does what the data says."""
    calls.append(job)
    behaviour = job.data["do"]
    if behaviour == "succeed":
        return {"done": True}
    raise ActionFailed(
        behaviour, permanent=behaviour == "refuse", may_have_happened=behaviour == "vanish"
    )


@register("tests.crash")
def crash(job: Job) -> Any:
    raise ZeroDivisionError("a bug in the action")


@pytest.fixture(autouse=True)
def _fresh_ledger() -> None:
    calls.clear()


def approved(agent: Agent, user: User, do: str = "succeed", **kind: Any) -> Workflow:
    """An approved request that the server carries out by calling `tests.act`."""
    config = {"executor": "function", "executor_config": {"function": "tests.act"}}
    ActionTypeFactory(team=agent.team, name="tests.act", **(config | kind))
    workflow = make_workflow(agent, action_type="tests.act", action_data={"do": do}, ui_schema=None)
    decide(workflow, user)
    return reload(workflow)


def reload(workflow: Workflow) -> Workflow:
    return Workflow.objects.get(pk=workflow.pk)


def let_lease_run_out(workflow: Workflow) -> ExecutionAttempt:
    attempt = workflow.attempts.get(status="open")
    attempt.lease_until -= dt.timedelta(days=1)
    attempt.save()
    return attempt


def make_due(workflow: Workflow) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(
        execution_due_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    )


def test_approved_action_runs_once_on_the_approved_bytes(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver)

    for _ in range(3):
        executions.execute(workflow.pk)

    workflow = reload(workflow)
    assert (workflow.status, workflow.result) == (Status.COMPLETED, {"done": True})
    assert [job.raw for job in calls] == [b'{"do":"succeed"}']
    assert calls[0].fingerprint == workflow.fingerprint


def test_nothing_runs_before_approval(agent: Agent) -> None:
    config = {"executor": "function", "executor_config": {"function": "tests.act"}}
    ActionTypeFactory(team=agent.team, name="tests.act", **config)
    workflow = make_workflow(agent, action_type="tests.act", action_data={"do": "succeed"},
                             ui_schema=None)  # fmt: skip

    executions.execute(workflow.pk)

    assert not calls


def test_data_changed_behind_our_back_is_never_run(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver)
    Workflow.objects.filter(pk=workflow.pk).update(action_data={"do": "something else"})

    executions.execute(workflow.pk)

    workflow = reload(workflow)
    assert not calls
    assert (workflow.status, workflow.error["code"]) == (Status.FAILED, "digest-mismatch")


def test_at_most_once_with_unknown_outcome_becomes_unknown(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver, "vanish", semantics="at_most_once")

    executions.execute(workflow.pk)
    make_due(workflow)
    executions.execute(workflow.pk)

    assert reload(workflow).status == Status.UNKNOWN
    assert len(calls) == 1


def test_at_most_once_that_surely_did_not_happen_failed(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver, "not yet", semantics="at_most_once")

    executions.execute(workflow.pk)

    assert reload(workflow).status == Status.FAILED


def test_idempotent_is_tried_again_with_the_same_key(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver, "vanish", semantics="idempotent", max_attempts=3)

    for _ in range(5):
        executions.execute(workflow.pk)
        if reload(workflow).execution_due_at:
            make_due(workflow)

    assert reload(workflow).status == Status.FAILED
    assert [job.attempt for job in calls] == [1, 2, 3]
    assert len({job.key for job in calls}) == 1


def test_permanent_failure_is_not_tried_again(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver, "refuse", semantics="idempotent")

    executions.execute(workflow.pk)

    assert (reload(workflow).status, len(calls)) == (Status.FAILED, 1)


def test_bug_in_an_at_most_once_action_is_an_unknown_outcome(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver, executor_config={"function": "tests.crash"})

    executions.execute(workflow.pk)

    workflow = reload(workflow)
    assert workflow.status == Status.UNKNOWN
    assert "ZeroDivisionError" in workflow.error["message"]


def test_worker_lost_after_claim_leaves_unknown_for_at_most_once(
    agent: Agent, approver: User
) -> None:
    workflow = approved(agent, approver)
    executions.claim(workflow.pk)

    attempt = let_lease_run_out(workflow)
    assert executions.lapse(attempt.pk)
    assert not executions.lapse(attempt.pk)

    assert reload(workflow).status == Status.UNKNOWN
    assert not calls


def test_worker_lost_after_claim_is_replaced_for_idempotent(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver, semantics="idempotent")
    executions.claim(workflow.pk)
    executions.lapse(let_lease_run_out(workflow).pk)

    make_due(workflow)
    executions.execute(workflow.pk)

    assert (reload(workflow).status, len(calls)) == (Status.COMPLETED, 1)


def test_late_word_of_a_lost_worker_is_kept_as_evidence_only(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver)
    claimed = executions.claim(workflow.pk)
    assert claimed
    executions.lapse(let_lease_run_out(workflow).pk)

    executions.settle_success(claimed[0], {"done": True})

    assert reload(workflow).status == Status.UNKNOWN
    assert workflow.attempts.get().late_report["result"] == {"done": True}


def test_live_lease_does_not_lapse(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)

    assert not executions.lapse(workflow.attempts.get().pk)


def test_claim_inside_a_transaction_fails_at_once(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver)

    with pytest.raises(RuntimeError), transaction.atomic():
        executions.claim(workflow.pk)


def test_oversized_result_is_cut_visibly(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)

    executions.complete(workflow.pk, agent=agent, attempt=1, result={"log": "x" * 100_000})

    assert reload(workflow).result["truncated"] is True


def test_agent_carries_out_and_reports(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)
    executions.heartbeat(workflow.pk, agent=agent, attempt=1)

    executions.complete(workflow.pk, agent=agent, attempt=1, result={"receipt": 7})

    workflow = reload(workflow)
    assert (workflow.status, workflow.result) == (Status.COMPLETED, {"receipt": 7})
    told = list(Event.objects.filter(workflow=workflow).values_list("type", flat=True))
    assert told[-2:] == [EventType.ACTION_EXECUTING, EventType.WORKFLOW_COMPLETED]


def test_repeated_report_returns_the_same_state(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)

    for _ in range(2):
        executions.complete(workflow.pk, agent=agent, attempt=1, result=1)

    assert Event.objects.filter(type=EventType.WORKFLOW_COMPLETED).count() == 1


def test_contradicting_report_is_refused(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)
    executions.complete(workflow.pk, agent=agent, attempt=1, result=1)

    with pytest.raises(NotExecutable):
        executions.fail(workflow.pk, agent=agent, attempt=1, error={"message": "no"})


def test_second_start_is_refused_unless_it_is_the_same_executor(
    agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    first = executions.start(workflow.pk, agent=agent, executor="host-1")[1]

    assert executions.start(workflow.pk, agent=agent, executor="host-1")[1] == first
    with pytest.raises(NotExecutable):
        executions.start(workflow.pk, agent=agent, executor="host-2")
    with pytest.raises(NotExecutable):
        executions.start(workflow.pk, agent=agent)


@pytest.mark.parametrize("verdict", [None, "rejected"])
def test_agent_cannot_start_without_approval(
    agent: Agent, approver: User, verdict: str | None
) -> None:
    workflow = make_workflow(agent)
    if verdict:
        decide(workflow, approver, verdict)

    with pytest.raises(NotExecutable):
        executions.start(workflow.pk, agent=agent)


def test_tampered_data_cannot_be_started(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    Workflow.objects.filter(pk=workflow.pk).update(action_data=REFUND | {"amount": 9000})

    with pytest.raises(NotExecutable, match="do not act"):
        executions.start(workflow.pk, agent=agent)


def test_other_agent_cannot_start(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    other = Agent.objects.create(team=agent.team, name="other")

    with pytest.raises(Forbidden):
        executions.start(workflow.pk, agent=other)


def test_agent_that_dies_leaves_unknown(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)

    executions.lapse(let_lease_run_out(workflow).pk)

    workflow = reload(workflow)
    assert (workflow.status, workflow.error["code"]) == (Status.UNKNOWN, "lease-expired")


def test_agent_that_dies_in_an_idempotent_action_failed(agent: Agent, approver: User) -> None:
    ActionTypeFactory(team=agent.team, name="payments.refund", semantics="idempotent")
    workflow = make_executing(agent, approver)

    executions.lapse(let_lease_run_out(workflow).pk)

    assert reload(workflow).status == Status.FAILED


def test_late_report_of_an_agent_is_evidence_and_changes_nothing(
    agent: Agent, approver: User
) -> None:
    workflow = make_executing(agent, approver)
    executions.lapse(let_lease_run_out(workflow).pk)

    told = executions.complete(workflow.pk, agent=agent, attempt=1, result={"receipt": 7})

    assert told.status == Status.UNKNOWN
    assert workflow.attempts.get().late_report["result"] == {"receipt": 7}


@pytest.mark.parametrize(("succeeded", "status"), [(True, "COMPLETED"), (False, "FAILED")])
def test_person_settles_an_unknown_outcome(
    agent: Agent, approver: User, succeeded: bool, status: str
) -> None:
    workflow = make_executing(agent, approver)
    executions.lapse(let_lease_run_out(workflow).pk)

    executions.settle_unknown(
        workflow.pk, user=approver, succeeded=succeeded, note="Asked the bank",
        source=Source.DASHBOARD,
    )  # fmt: skip

    assert reload(workflow).status == status


def test_viewer_may_not_settle(agent: Agent, approver: User, viewer: User) -> None:
    workflow = make_executing(agent, approver)
    executions.lapse(let_lease_run_out(workflow).pk)

    with pytest.raises(NotYours):
        executions.settle_unknown(
            workflow.pk, user=viewer, succeeded=True, note="", source=Source.DASHBOARD
        )


def test_known_outcome_cannot_be_settled_again(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)

    with pytest.raises(IllegalTransition):
        executions.settle_unknown(
            workflow.pk, user=approver, succeeded=True, note="", source=Source.DASHBOARD
        )
