"""After a restore nothing leaves before people have said what became of it; nothing runs twice."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from deliveries import selectors as messages
from deliveries import services as deliveries
from deliveries import updates
from deliveries.models import Delivery
from events.models import Confirmation, Event, Restore, WebhookMessage
from events.restores import gate, noticing
from events.types import EventType, Source
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib.db import database_now
from hitl.lib.errors import Forbidden, InvalidInput
from tests.deliveries.smtp import MailServer, mail_server
from tests.events.proof.tampering import verify
from tests.events.webhooks.hooks import Hook, make_hook
from tests.receiver import receiver as running
from tests.workflows import test_executions
from tests.workflows.factories import decide, make_executing, make_overdue, make_workflow
from tests.workflows.policy_samples import adopt, stage
from tests.workflows.test_executions import approved
from workflows import executions, receipts, reconcile, selectors, state_check
from workflows.errors import ReceiptInvalid, Reconciling
from workflows.models import ExecutionAttempt, Status, Workflow
from workflows.reconcile import NothingToConfirm, Outcome, StillWaiting
from workflows.tasks import sweep_executions, sweep_timeouts

pytestmark = pytest.mark.django_db(transaction=True)
calls = test_executions.calls


@pytest.fixture(autouse=True)
def _fresh_ledger() -> None:
    calls.clear()


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", "correct horse battery")


@pytest.fixture
def smtp(settings: Settings) -> Iterator[MailServer]:
    with mail_server(settings) as server:
        yield server


@pytest.fixture
def hook(team: Team, settings: Settings) -> Iterator[Hook]:
    with running() as receiver:
        settings.OUTBOUND_ALLOW = [receiver.allow]
        settings.OUTBOUND_ALLOW_HTTP = True
        yield make_hook(team, receiver.url)


def restored() -> Restore:
    """The database was restored at this moment."""
    return noticing.begin("a test says so")


def say(workflow: Workflow, outcome: Outcome, user: User, reason: str = "I looked.") -> Workflow:
    reconcile.confirm(
        workflow.pk, user=user, outcome=outcome, reason=reason, source=Source.DASHBOARD
    )
    return again(workflow)


def again(workflow: Workflow) -> Workflow:
    return Workflow.objects.get(pk=workflow.pk)


def types(workflow: Workflow) -> list[str]:
    rows = Event.objects.filter(workflow=workflow).order_by("seq")
    return list(rows.values_list("type", flat=True))


def is_sound() -> bool:
    """Whether rows and logs agree, and the chains hold."""
    faults = [fault for _, found in state_check.check_all() for fault in found]
    return not faults and verify().is_sound


# --- Nothing leaves -------------------------------------------------------------------------------


def test_the_server_carries_out_nothing(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver)
    restored()
    executions.execute(workflow.pk)
    sweep_executions()
    assert calls == []
    assert selectors.executions_due(database_now(), limit=10) == []
    assert again(workflow).status == Status.APPROVED


def test_an_agent_may_not_begin_nor_repeat_its_beginning(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    running = make_workflow(agent)
    decide(running, approver)
    executions.start(running.pk, agent=agent, executor="worker-1")
    restored()
    for each in (workflow, running):
        with pytest.raises(Reconciling):
            executions.start(each.pk, agent=agent, executor="worker-1")


def test_a_report_of_an_attempt_that_was_lost_is_told_why(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    restored()
    with pytest.raises(Reconciling):
        executions.complete(workflow.pk, agent=agent, attempt=1, result={"paid": True})


def test_an_attempt_that_is_known_may_be_reported(agent: Agent, approver: User) -> None:
    workflow = make_executing(agent, approver)
    restore = restored()
    executions.complete(workflow.pk, agent=agent, attempt=1, result={"paid": True})
    assert again(workflow).status == Status.COMPLETED
    assert not reconcile.waiting(restore).exists()


def test_time_does_nothing(agent: Agent, approver: User) -> None:
    overdue = make_overdue(agent)
    silent = make_executing(agent, approver)
    ExecutionAttempt.objects.update(lease_until=database_now() - dt.timedelta(hours=1))
    restored()
    sweep_timeouts()
    sweep_executions()
    assert (again(overdue).status, again(silent).status) == (Status.PENDING, Status.EXECUTING)


def test_no_message_goes_out(agent: Agent, smtp: MailServer) -> None:
    workflow = make_workflow(agent)
    delivery = Delivery.objects.get(workflow=workflow)
    restored()
    deliveries.send(delivery.pk)
    assert messages.due(database_now(), limit=10) == []
    assert Delivery.objects.get().attempts == 0
    assert smtp.accepted == []


def test_no_message_is_rewritten(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    Delivery.objects.update(update_due_at=database_now(), sent_at=database_now())
    restored()
    updates.update(Delivery.objects.get(workflow=workflow).pk)
    assert Delivery.objects.get().update_attempts == 0
    assert messages.updates_due(database_now(), limit=10) == []


def test_no_webhook_is_posted(agent: Agent, hook: Hook) -> None:
    make_workflow(agent)
    restored()
    assert hook.drain() == 0
    assert WebhookMessage.objects.get().attempts == 0


def test_receipts_are_neither_handed_out_nor_taken(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    issued = receipts.issue(workflow.pk, agent=agent)
    shown = receipts.Presented(issued.token)
    restored()
    assert receipts.verify(shown, caller=agent).reason == "held"
    with pytest.raises(ReceiptInvalid):
        receipts.consume(shown, agent=agent)
    with pytest.raises(Reconciling):
        receipts.issue(workflow.pk, agent=agent)


def test_what_is_asked_and_decided_now_waits_too_but_needs_no_confirmation(
    agent: Agent, approver: User, root: User
) -> None:
    restore = restored()
    workflow = approved(agent, approver)
    executions.execute(workflow.pk)
    assert calls == []
    assert not reconcile.waiting(restore).exists()
    reconcile.end(user=root)
    executions.execute(workflow.pk)
    assert again(workflow).status == Status.COMPLETED


# --- What people say ------------------------------------------------------------------------------


def test_an_approved_action_that_was_carried_out_never_runs(
    agent: Agent, approver: User, manager: User, root: User
) -> None:
    workflow = approved(agent, approver)
    restored()
    done = say(workflow, Outcome.EXECUTED, manager, "The bank shows the payment.")
    reconcile.end(user=root)
    executions.execute(workflow.pk)
    sweep_executions()
    assert calls == []
    assert done.status == Status.COMPLETED
    assert types(workflow)[-3:] == ["workflow.reconciled", "action.executing", "workflow.completed"]
    event = Event.objects.get(workflow=workflow, type=EventType.WORKFLOW_RECONCILED)
    assert event.data["reason"] == "The bank shows the payment."
    assert event.actor["id"] == str(manager.pk)
    assert done.attempts.filter(status="succeeded").count() == 1
    assert is_sound()


def test_an_approved_action_that_was_not_carried_out_runs_once(
    agent: Agent, approver: User, manager: User, root: User
) -> None:
    workflow = approved(agent, approver)
    restored()
    say(workflow, Outcome.NOT_EXECUTED, manager)
    assert selectors.executions_due(database_now(), limit=10) == [workflow.pk]
    executions.execute(workflow.pk)
    reconcile.end(user=root)
    executions.execute(workflow.pk)
    assert len(calls) == 1
    assert is_sound()


def test_a_confirmed_request_goes_on_while_others_wait(
    agent: Agent, approver: User, manager: User
) -> None:
    first, second = approved(agent, approver), make_workflow(agent)
    decide(second, approver)
    restored()
    say(second, Outcome.AS_RECORDED, manager)
    executions.start(second.pk, agent=agent)
    executions.execute(first.pk)
    assert calls == []
    assert gate.holds(first.pk)


def test_a_pending_request_that_was_carried_out_is_completed(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = make_workflow(agent)
    restored()
    done = say(workflow, Outcome.EXECUTED, manager, "Approved and paid on Monday.")
    assert (done.status, done.decision, done.responded_by) == ("COMPLETED", "approved", manager)
    assert done.decisions.get().comment == "Approved and paid on Monday."
    asked = Delivery.objects.filter(workflow=workflow)
    assert {row.status for row in asked} == {Delivery.Status.CANCELLED}
    assert is_sound()


def test_also_where_the_one_who_confirms_has_voted_in_it(
    agent: Agent, approver: User, manager: User
) -> None:
    adopt(agent.team, stage("Both", {"team": "approvers"}, 2))
    workflow = make_workflow(agent)
    decide(workflow, manager)
    restored()
    assert say(workflow, Outcome.EXECUTED, manager).status == Status.COMPLETED
    assert is_sound()


def test_a_pending_request_that_was_not_carried_out_is_still_asked(
    agent: Agent, approver: User, manager: User, smtp: MailServer
) -> None:
    workflow = make_workflow(agent)
    restored()
    assert say(workflow, Outcome.NOT_EXECUTED, manager).status == Status.PENDING
    for row in Delivery.objects.filter(workflow=workflow):
        deliveries.send(row.pk)
    assert len(smtp.accepted) == Delivery.objects.count()
    decide(again(workflow), approver)
    assert again(workflow).status == Status.APPROVED


@pytest.mark.parametrize(
    ("outcome", "status", "attempt"),
    [(Outcome.EXECUTED, "COMPLETED", "succeeded"), (Outcome.NOT_EXECUTED, "FAILED", "failed"),
     (Outcome.AS_RECORDED, "EXECUTING", "open")],
)  # fmt: skip
def test_what_was_being_carried_out(
    agent: Agent, approver: User, manager: User, outcome: Outcome, status: str, attempt: str
) -> None:
    workflow = make_executing(agent, approver)
    restored()
    assert say(workflow, outcome, manager).status == status
    assert workflow.attempts.get().status == attempt
    assert is_sound()


def test_what_silence_began_lapses_after_it_is_left_as_recorded(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = make_executing(agent, approver)
    ExecutionAttempt.objects.update(lease_until=database_now() - dt.timedelta(hours=1))
    restored()
    say(workflow, Outcome.AS_RECORDED, manager)
    sweep_executions()
    assert again(workflow).status == Status.UNKNOWN


def test_nothing_is_confirmed_twice_or_without_need(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow, rejected = make_workflow(agent), make_workflow(agent)
    with pytest.raises(NothingToConfirm):
        say(workflow, Outcome.EXECUTED, manager)  # nothing was restored
    decide(rejected, approver, "rejected", comment="No.")
    restored()
    with pytest.raises(NothingToConfirm):
        say(rejected, Outcome.EXECUTED, manager)
    say(workflow, Outcome.NOT_EXECUTED, manager)
    with pytest.raises(NothingToConfirm):
        say(workflow, Outcome.EXECUTED, manager)
    assert Confirmation.objects.count() == 1


# --- Who may --------------------------------------------------------------------------------------


def test_managers_and_administrators_confirm_and_nobody_else(
    agent: Agent, approver: User, stranger: User, root: User
) -> None:
    workflow = make_workflow(agent)
    restored()
    for user in (approver, stranger):
        with pytest.raises(Forbidden):
            say(workflow, Outcome.EXECUTED, user)
    with pytest.raises(InvalidInput):
        say(workflow, Outcome.EXECUTED, root, "  ")
    assert say(workflow, Outcome.NOT_EXECUTED, root).status == Status.PENDING


def test_managers_see_and_settle_their_teams_only(
    agent: Agent, manager: User, stranger: User
) -> None:
    make_workflow(agent)
    restore = restored()
    assert [reconcile.waiting_for(restore, user).count() for user in (manager, stranger)] == [1, 0]
    assert reconcile.confirm_all(stranger, outcome=Outcome.EXECUTED, reason="Ours.") == 0
    assert reconcile.confirm_all(manager, outcome=Outcome.NOT_EXECUTED, reason="Ours.") == 1


def test_only_administrators_begin_and_end_and_not_before_all_is_said(
    agent: Agent, manager: User, root: User
) -> None:
    workflow = make_workflow(agent)
    with pytest.raises(Forbidden):
        reconcile.begin(user=manager, reason="I restored it.")
    restore = reconcile.begin(user=root, reason="The disk died.")
    assert reconcile.begin(user=root, reason="Twice.") == restore
    with pytest.raises(Forbidden):
        reconcile.end(user=manager)
    with pytest.raises(StillWaiting, match="1 requests"):
        reconcile.end(user=root)
    say(workflow, Outcome.AS_RECORDED, manager)
    ended = reconcile.end(user=root, note="All looked at.")
    assert (ended.is_open, ended.ended_by, ended.note) == (False, root, "All looked at.")
    assert gate.current() is None


def test_a_former_manager_may_not(agent: Agent, team: Team, stranger: User) -> None:
    workflow = make_workflow(agent)
    restored()
    add_member(team, stranger, Role.VIEWER)
    with pytest.raises(Forbidden):
        say(workflow, Outcome.EXECUTED, stranger)


def test_many_are_confirmed_at_once_in_batches(
    agent: Agent, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 2)
    rows = [make_workflow(agent) for _ in range(5)]
    restore = restored()
    told: list[Any] = []
    count = reconcile.confirm_all(
        root, outcome=Outcome.NOT_EXECUTED, reason="Nothing ran.", told=told.append
    )
    assert count == len(told) == len(rows)
    assert not reconcile.waiting(restore).exists()


def test_people_still_decide_while_it_waits(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    restore = restored()
    decide(workflow, approver)
    assert [row.pk for row in reconcile.waiting(restore)] == [workflow.pk]
    with pytest.raises(Reconciling):
        executions.start(workflow.pk, agent=agent)
