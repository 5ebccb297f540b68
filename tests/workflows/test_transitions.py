"""The table of moves, and what the database refuses on its own."""

import itertools
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from events import postgres as log
from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.actor import SYSTEM
from hitl.lib.db import TransactionRequired
from tests.workflows.factories import decide, make_workflow
from workflows import postgres
from workflows.errors import IllegalTransition
from workflows.models import SETTLED, Decision, Status, Workflow
from workflows.transitions import ALLOWED, ROLLBACKS, lock, roll_back, transition

pytestmark = pytest.mark.django_db

on_postgres = pytest.mark.postgres
EDGES = {(source, to) for source, targets in ALLOWED.items() for to in targets}
BACK = {(source, to) for source, targets in ROLLBACKS.items() for to in targets}


@pytest.mark.parametrize(
    ("source", "to"), sorted(set(itertools.product(Status.values, Status)) - EDGES)
)
def test_every_move_outside_the_table_is_refused(agent: Agent, source: str, to: Status) -> None:
    workflow = make_workflow(agent)
    workflow.status = source

    with pytest.raises(IllegalTransition):
        transition(workflow, to, EventType.WORKFLOW_FAILED, actor=SYSTEM, source=Source.SYSTEM)

    assert Workflow.objects.get(pk=workflow.pk).status == Status.PENDING


def test_settled_states_lead_nowhere() -> None:
    assert not set(SETTLED) & set(ALLOWED)


def test_row_that_moved_meanwhile_is_not_overwritten(agent: Agent, approver: User) -> None:
    stale = make_workflow(agent)
    decide(stale, approver)

    with pytest.raises(IllegalTransition), transaction.atomic():
        transition(
            stale, Status.CANCELLED, EventType.WORKFLOW_CANCELLED, actor=SYSTEM,
            source=Source.SYSTEM,
        )  # fmt: skip

    assert not Event.objects.filter(type=EventType.WORKFLOW_CANCELLED).exists()


@pytest.mark.django_db(transaction=True)
def test_transition_needs_a_transaction(agent: Agent) -> None:
    workflow = make_workflow(agent)

    with pytest.raises(TransactionRequired):
        lock(workflow.pk)
    with pytest.raises(TransactionRequired):
        transition(
            workflow, Status.CANCELLED, EventType.WORKFLOW_CANCELLED, actor=SYSTEM,
            source=Source.SYSTEM,
        )  # fmt: skip


def test_verdict_without_matching_status_breaks_a_constraint(agent: Agent) -> None:
    workflow = make_workflow(agent)

    with pytest.raises(DatabaseError), transaction.atomic():
        Workflow.objects.filter(pk=workflow.pk).update(decision="approved")


def test_trigger_knows_the_same_moves_as_the_tables() -> None:
    assert {tuple(move.split(">")) for move in postgres.MOVES_2} == EDGES
    assert {tuple(move.split(">")) for move in postgres.ROLLBACKS_2} == BACK


@pytest.mark.parametrize(
    ("source", "to"), sorted(set(itertools.product(Status.values, Status)) - BACK)
)
def test_every_rollback_outside_the_table_is_refused(agent: Agent, source: str, to: Status) -> None:
    workflow = make_workflow(agent)
    workflow.status = source

    with pytest.raises(IllegalTransition):
        roll_back(
            workflow, to, actor=SYSTEM, source=Source.SYSTEM, data={}, now=workflow.created_at
        )

    assert Workflow.objects.get(pk=workflow.pk).round == 1


@on_postgres
@pytest.mark.parametrize(
    "changes",
    [
        {"round": 2},
        {"asked_round": 2},
        {"status": "PENDING", "round": 2, "asked_round": 2},
        {"status": "PENDING", "round": 3, "asked_round": 3},
        {"status": "PENDING", "round": 2},
        {"status": "PENDING"},
    ],
)
def test_round_opened_by_sql_is_refused(
    agent: Agent, approver: User, changes: dict[str, Any]
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "rejected", comment="no")
    if "status" in changes:
        changes = {**changes, "decision": "", "responded_at": None, "responded_by": None}

    with pytest.raises(DatabaseError, match="hitl_guard_status"), transaction.atomic():
        Workflow.objects.filter(pk=workflow.pk).update(**changes, event_seq=9)


@on_postgres
@pytest.mark.parametrize("status", ["APPROVED", "REJECTED", "CANCELLED", "COMPLETED"])
def test_status_written_by_sql_is_refused(agent: Agent, status: str) -> None:
    workflow = make_workflow(agent)
    verdict = {"APPROVED": "approved", "COMPLETED": "approved", "REJECTED": "rejected"}

    with pytest.raises(DatabaseError, match="hitl_guard_status"), transaction.atomic():
        Workflow.objects.filter(pk=workflow.pk).update(
            status=status,
            decision=verdict.get(status, ""),
            responded_at=workflow.created_at if status in verdict else None,
            event_seq=1,
        )


@on_postgres
def test_workflow_cannot_be_inserted_as_approved(agent: Agent) -> None:
    workflow = make_workflow(agent)
    workflow.pk, workflow.status, workflow.decision = None, Status.APPROVED, "approved"
    workflow.responded_at = workflow.created_at

    with pytest.raises(DatabaseError, match="starts as PENDING"), transaction.atomic():
        workflow.save(force_insert=True)


@on_postgres
@pytest.mark.parametrize("table", ["events_event", "workflows_decision"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET round = 9"])
def test_log_and_decisions_are_append_only(
    agent: Agent, approver: User, table: str, statement: str
) -> None:
    decide(make_workflow(agent), approver)

    with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
        run(statement.format(table))

    assert Decision.objects.get().round == 1


@on_postgres
def test_log_cannot_be_truncated(db: None) -> None:
    # The migration's own trigger, which the test database drops so that tables can be emptied.
    run(log.NO_TRUNCATE.format(table="events_event"))

    with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
        run("TRUNCATE events_event CASCADE")


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
