"""Two at once on real PostgreSQL, behind a barrier, hundreds of rounds: one winner each."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.db.models import QuerySet

from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.actor import SYSTEM
from hitl.lib.errors import HitlError
from tests.racing import ROUNDS, count, race
from tests.workflows.factories import ActionTypeFactory, decide, make_workflow
from tests.workflows.test_executions import calls
from workflows import deadlines, executions, services
from workflows.errors import AlreadyDecided, Expired, NotExecutable
from workflows.models import Decision, Status, Workflow
from workflows.services import Decided
from workflows.transitions import lock

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]


def types(workflow: Workflow) -> Counter[str]:
    rows = Event.objects.filter(workflow=workflow).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return Counter(str(row.type) for row in rows)


def test_two_approvers_with_different_verdicts(
    agent: Agent, approver: User, colleague: User
) -> None:
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        outcomes = race(
            partial(decide, workflow, approver, "approved"),
            partial(decide, workflow, colleague, "rejected"),
        )
        assert (count(outcomes, Decided), count(outcomes, AlreadyDecided)) == (1, 1), outcomes
        workflow.refresh_from_db()
        winner = next(o for o in outcomes if isinstance(o, Decided))
        assert workflow.decision == winner.decision.verdict
        assert types(workflow)[EventType.HUMAN_RESPONDED] == 1
        assert Decision.objects.filter(workflow=workflow).count() == 1


def test_double_click(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        outcomes = race(*[partial(decide, workflow, approver)] * 2)
        assert count(outcomes, Decided) == 2, outcomes
        assert sorted(outcome.replayed for outcome in outcomes) == [False, True]
        assert types(workflow)[EventType.HUMAN_RESPONDED] == 1


def test_approve_against_cancel(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        outcomes = race(
            partial(decide, workflow, approver),
            partial(services.cancel, workflow.pk, agent=agent),
        )
        assert count(outcomes, AlreadyDecided) == 1, outcomes
        workflow.refresh_from_db()
        told = types(workflow)
        assert told[EventType.HUMAN_RESPONDED] + told[EventType.WORKFLOW_CANCELLED] == 1
        assert (workflow.status == Status.CANCELLED) == bool(told[EventType.WORKFLOW_CANCELLED])


def test_approve_against_timeout(agent: Agent, approver: User) -> None:
    seen: Counter[str] = Counter()
    for turn in range(ROUNDS):
        workflow = make_workflow(agent)
        # From surely too late over neck and neck to surely in time, also on a busy machine.
        left = (0, 5, 10, 15, 20, 30, 40, 60, 100, 2000)[turn % 10]
        deadline = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=left)
        Workflow.objects.filter(pk=workflow.pk).update(expires_at=deadline)

        def approve(workflow: Workflow = workflow) -> Decided:
            result: Decided = decide(workflow, approver)
            return result

        def sweep(workflow: Workflow = workflow) -> bool:
            while not services.time_out(workflow.pk):
                if Workflow.objects.get(pk=workflow.pk).status != Status.PENDING:
                    return False
            return True

        outcomes = race(approve, sweep)
        workflow.refresh_from_db()
        seen[workflow.status] += 1
        told = types(workflow)
        assert told[EventType.HUMAN_RESPONDED] + told[EventType.WORKFLOW_TIMEOUT] == 1
        if workflow.status == Status.APPROVED:
            assert workflow.decisions.get().decided_at < deadline
            assert outcomes[1] is False
        else:
            assert workflow.status == Status.TIMEOUT
            assert isinstance(outcomes[0], Expired | AlreadyDecided), outcomes
    assert min(seen[Status.APPROVED], seen[Status.TIMEOUT]) > 0, seen


def test_approval_that_waited_for_the_lock_past_the_deadline_is_refused(
    agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=deadline)

    def hold() -> None:
        with transaction.atomic():
            lock(workflow.pk)
            time.sleep(1.6)

    def approve_late() -> Decided:
        time.sleep(0.3)  # asked in time, but the lock is free only after the deadline
        result: Decided = decide(workflow, approver)
        return result

    outcomes = race(hold, approve_late)

    assert isinstance(outcomes[1], Expired), outcomes
    assert services.time_out(workflow.pk)


def test_many_approvers_at_once(agent: Agent, approver: User, colleague: User) -> None:
    people = [approver, colleague]
    for _ in range(20):
        workflow = make_workflow(agent)
        outcomes = race(*[partial(decide, workflow, people[n % 2], "approved") for n in range(16)])
        fresh = [o for o in outcomes if isinstance(o, Decided) and not o.replayed]
        assert len(fresh) == 1, outcomes
        assert types(workflow)[EventType.HUMAN_RESPONDED] == 1


def test_two_sweepers_time_out_once(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        Workflow.objects.filter(pk=workflow.pk).update(expires_at=workflow.created_at)
        outcomes = race(*[partial(services.time_out, workflow.pk)] * 2)
        assert sorted(outcomes) == [False, True], outcomes
        assert types(workflow)[EventType.WORKFLOW_TIMEOUT] == 1


def test_answers_against_sweeps_of_many(agent: Agent, approver: User) -> None:
    """Two sweeps beside each other, and somebody who decides while the deadlines pass."""
    seen: Counter[str] = Counter()
    for _ in range(max(ROUNDS // 10, 2)):
        made = [make_workflow(agent) for _ in range(12)]
        began = dt.datetime.now(dt.UTC)
        for number, workflow in enumerate(made):
            deadline = began + dt.timedelta(milliseconds=40 * number)
            Workflow.objects.filter(pk=workflow.pk).update(expires_at=deadline)
        rows = Workflow.objects.filter(pk__in=[workflow.pk for workflow in made])

        def sweep(rows: QuerySet[Workflow] = rows) -> None:
            while rows.filter(status=Status.PENDING).exists():
                deadlines.sweep(batch=4)

        def approve(made: list[Workflow] = made) -> list[Any]:
            return [tried(partial(decide, workflow, approver)) for workflow in reversed(made)]

        outcomes = race(sweep, sweep, approve)
        assert outcomes[:2] == [None, None], outcomes
        answers = dict(zip([workflow.pk for workflow in reversed(made)], outcomes[2], strict=True))
        for row in rows:
            told = types(row)
            assert told[EventType.HUMAN_RESPONDED] + told[EventType.WORKFLOW_TIMEOUT] == 1
            assert isinstance(answers[row.pk], Decided) == (row.status == Status.APPROVED)
            seen[row.status] += 1
            timeout = Event.objects.filter(workflow=row, type=EventType.WORKFLOW_TIMEOUT).first()
            assert timeout is None or timeout.timestamp >= row.expires_at
    assert set(seen) == {Status.APPROVED, Status.TIMEOUT}, seen


def tried(act: Callable[[], Any]) -> Any:
    """What it returns, or what it raises."""
    try:
        return act()
    except HitlError as error:
        return error


def test_two_workers_with_both_copies_of_the_wake_up_execute_once(
    agent: Agent, approver: User
) -> None:
    config = {"executor": "function", "executor_config": {"function": "tests.act"}}
    ActionTypeFactory(team=agent.team, name="tests.act", **config)
    for _ in range(ROUNDS):
        calls.clear()
        workflow = make_workflow(
            agent, action_type="tests.act", action_data={"do": "succeed"}, ui_schema=None
        )
        decide(workflow, approver)
        race(*[partial(executions.execute, workflow.pk)] * 2)
        assert len(calls) == 1
        assert types(workflow)[EventType.WORKFLOW_COMPLETED] == 1


def test_two_starts_of_the_agent_open_one_attempt(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS // 2):
        workflow = make_workflow(agent)
        decide(workflow, approver)
        outcomes = race(*[partial(executions.start, workflow.pk, agent=agent)] * 2)
        assert count(outcomes, NotExecutable) == 1, outcomes
        assert workflow.attempts.count() == 1


def test_report_against_lapse(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS // 2):
        workflow = make_workflow(agent)
        decide(workflow, approver)
        attempt = executions.start(workflow.pk, agent=agent)[1]
        attempt.lease_until = attempt.created_at
        attempt.save()
        race(
            partial(executions.complete, workflow.pk, agent=agent, attempt=1, result=1),
            partial(executions.lapse, attempt.pk),
        )
        workflow.refresh_from_db()
        told = types(workflow)
        assert told[EventType.WORKFLOW_COMPLETED] + told[EventType.WORKFLOW_UNKNOWN] == 1
        assert workflow.status in (Status.COMPLETED, Status.UNKNOWN)


def test_hundred_appends_from_many_sides_have_no_gap(agent: Agent) -> None:
    workflow = make_workflow(agent)

    def append() -> None:
        for _ in range(10):
            services.record_refusal(workflow.pk, actor=SYSTEM, source=Source.SLACK, why="test")

    outcomes = race(*[append] * 10)

    assert outcomes == [None] * 10
    assert types(workflow)[EventType.HUMAN_REFUSED] == 100
