"""Rollback against whatever else happens, on real PostgreSQL, hundreds of rounds: one outcome."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from events.models import Event
from events.types import EventType
from hitl.accounts.models import Agent, User
from tests.racing import ROUNDS, count, race
from tests.workflows.factories import REFUND, ActionTypeFactory, ask_again, decide, make_workflow
from tests.workflows.test_executions import calls
from tests.workflows.test_rollback import approved, completed, failed, rejected, roll
from workflows import executions, state_check
from workflows.errors import AlreadyDecided, AskedAgain, CannotRollBack, NotExecutable
from workflows.models import Decision, Status, Workflow
from workflows.rollback import RolledBack
from workflows.services import Decided

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]


def settled(workflow: Workflow, rolled: int) -> Workflow:
    """The row, which is as its log says, with so many rollbacks in it."""
    assert state_check.check([workflow.pk]) == []
    found = Event.objects.filter(workflow=workflow, type=EventType.WORKFLOW_ROLLED_BACK)
    assert found.count() == rolled
    return Workflow.objects.get(pk=workflow.pk)


def test_against_the_agents_start(agent: Agent, approver: User) -> None:
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        workflow = approved(agent, approver)
        outcomes = race(
            partial(roll, workflow, approver, to_seq=1),
            partial(executions.start, workflow.pk, agent=agent),
        )
        won = count(outcomes, RolledBack)
        assert (count(outcomes, NotExecutable), count(outcomes, CannotRollBack)) == (won, 1 - won)
        row = settled(workflow, won)
        assert (row.status, row.round) == (("PENDING", 2) if won else ("EXECUTING", 1))
        assert row.attempts.count() == 1 - won
        seen[row.status] += 1


def test_against_the_servers_execution(agent: Agent, approver: User) -> None:
    ActionTypeFactory(
        team=agent.team, name="tests.act", executor="function",
        executor_config={"function": "tests.act"},
    )  # fmt: skip
    for _ in range(ROUNDS):
        calls.clear()
        workflow = make_workflow(
            agent, action_type="tests.act", action_data={"do": "succeed"}, ui_schema=None
        )
        decide(workflow, approver)
        outcomes = race(
            partial(roll, workflow, approver, to_seq=1),
            partial(executions.execute, workflow.pk),
        )
        won = count(outcomes, RolledBack)
        row = settled(workflow, won)
        assert (row.status, len(calls)) == (("PENDING", 0) if won else ("COMPLETED", 1)), outcomes


def test_against_itself(agent: Agent, approver: User, colleague: User) -> None:
    for _ in range(ROUNDS):
        workflow = rejected(agent, approver)
        outcomes = race(
            partial(roll, workflow, approver, to_seq=1),
            partial(roll, workflow, colleague, to_seq=1),
        )
        assert (count(outcomes, RolledBack), count(outcomes, CannotRollBack)) == (1, 1), outcomes
        assert settled(workflow, 1).round == 2


def test_asking_again_against_running_again(agent: Agent, approver: User, manager: User) -> None:
    for _ in range(ROUNDS):
        workflow = failed(agent, approver)
        seq = Event.objects.filter(workflow=workflow, status="APPROVED").latest("seq").seq
        outcomes = race(
            partial(roll, workflow, approver, to_seq=1, round=1),
            partial(roll, workflow, manager, to_seq=seq, acknowledged=True, round=1),
        )
        assert (count(outcomes, RolledBack), count(outcomes, CannotRollBack)) == (1, 1), outcomes
        row = settled(workflow, 1)
        assert (row.status, row.asked_round) in {("PENDING", 2), ("APPROVED", 1)}


def test_late_answer_of_the_earlier_round(agent: Agent, approver: User, colleague: User) -> None:
    """It is told that it came too late, or that it belongs to another round; it never counts."""
    for turn in range(ROUNDS):
        workflow = rejected(agent, approver)
        verdict = ("approved", "rejected")[turn % 2]
        outcomes = race(
            partial(roll, workflow, approver, to_seq=1),
            partial(decide, workflow, colleague, verdict, comment="x", round=1),
            partial(decide, workflow, approver, "rejected", comment="no"),
        )
        assert isinstance(outcomes[0], RolledBack), outcomes
        assert isinstance(outcomes[1], AlreadyDecided | AskedAgain), outcomes
        # The first one's own answer, once more: replayed as long as its round is the last.
        assert isinstance(outcomes[2], Decided | AskedAgain), outcomes
        assert settled(workflow, 1).status == Status.PENDING
        assert Decision.objects.filter(workflow=workflow).count() == 1


def test_answers_of_both_rounds_at_once(agent: Agent, approver: User, colleague: User) -> None:
    for _ in range(ROUNDS):
        workflow = ask_again(make_workflow(agent), approver)
        outcomes = race(
            partial(decide, workflow, colleague, "approved", round=1),
            partial(decide, workflow, colleague, "rejected", comment="no", round=2),
        )
        assert (count(outcomes, AskedAgain), count(outcomes, Decided)) == (1, 1), outcomes
        assert settled(workflow, 1).status == Status.REJECTED


def test_late_reports_of_the_earlier_attempt(agent: Agent, approver: User, manager: User) -> None:
    for _ in range(ROUNDS):
        workflow = failed(agent, approver)
        seq = Event.objects.filter(workflow=workflow, status="APPROVED").latest("seq").seq

        def again(workflow: Workflow = workflow, seq: int = seq) -> Any:
            roll(workflow, manager, to_seq=seq, acknowledged=True)
            return executions.start(workflow.pk, agent=agent)[1].number

        outcomes = race(
            again,
            partial(executions.complete, workflow.pk, agent=agent, attempt=1, result={}),
            partial(executions.heartbeat, workflow.pk, agent=agent, attempt=1),
        )
        assert outcomes[0] == 2, outcomes
        assert count(outcomes[1:], NotExecutable) == 2, outcomes
        row = settled(workflow, 1)
        assert (row.status, row.result) == (Status.EXECUTING, None)


def test_compensation_is_asked_for_once(agent: Agent, approver: User, colleague: User) -> None:
    undo = ActionTypeFactory(team=agent.team, name="payments.charge")
    ActionTypeFactory(team=agent.team, name="payments.refund", compensation=undo)
    for _ in range(ROUNDS):
        workflow = completed(agent, approver, action_data=REFUND)
        outcomes = race(
            partial(roll, workflow, approver, to_seq=1),
            partial(roll, workflow, colleague, to_seq=1),
        )
        assert (count(outcomes, RolledBack), count(outcomes, CannotRollBack)) == (1, 1), outcomes
        assert Workflow.objects.filter(compensates=workflow).count() == 1
        settled(workflow, 0)
