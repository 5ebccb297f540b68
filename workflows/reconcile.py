"""After a restore: people say of each request that was under way what really became of it.

Until then nothing of it leaves (`events.restores.gate`). What is said here is an event with actor
and reason like any other; nothing is carried out by it.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from events.models import Confirmation, Event, Restore
from events.restores import gate, noticing
from events.types import EventType, Source
from hitl.accounts.models import Membership, Role, User
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, FieldError, Forbidden, InvalidInput
from workflows import executions
from workflows.deciding import conclude
from workflows.models import Decision, ExecutionAttempt, Status, Verdict, Workflow
from workflows.transitions import amend, lock, transition

Outcome = Confirmation.Outcome
UNDER_WAY = (Status.PENDING, Status.APPROVED, Status.EXECUTING)
WHO_RAN = "before the restore"  # the executor of attempts that the database has lost
BATCH = 200


class NothingToConfirm(Conflict):
    """The request does not wait for anybody to say what became of it."""

    code = "nothing-to-confirm"
    title = "There is nothing to confirm"


class StillWaiting(Conflict):
    """The restore cannot be ended yet."""

    code = "still-waiting"
    title = "Requests still wait to be confirmed"


def waiting(restore: Restore) -> QuerySet[Workflow]:
    """Requests that may have gone on after the backup, oldest first, that nobody has confirmed."""
    known = Event.objects.filter(workflow=OuterRef("pk"), seq=1, pk__lte=restore.newest_event)
    confirmed = Confirmation.objects.filter(restore=restore, workflow=OuterRef("pk"))
    rows = Workflow.objects.filter(Exists(known), ~Exists(confirmed), status__in=UNDER_WAY)
    return rows.select_related("agent", "team").order_by("created_at", "pk")


def waiting_for(restore: Restore, user: User) -> QuerySet[Workflow]:
    """Those of them that this person may confirm."""
    rows = waiting(restore)
    return rows if user.is_superuser else rows.filter(_managed_by(user))


def may_confirm(user: User) -> bool:
    """Whether the person may confirm anything: an administrator, or a manager of some team."""
    managed = Membership.objects.filter(user=user, role=Role.MANAGER)
    return user.is_active and (user.is_superuser or managed.exists())


def begin(*, user: User, reason: str) -> Restore:
    """An administrator says that the database was restored. Raises Forbidden or InvalidInput."""
    _check_administrator(user)
    return noticing.begin(f"{user} says: {_reason(reason)}")


@transaction.atomic
def end(*, user: User, note: str = "") -> Restore:
    """Let everything go on. Raises Forbidden, NothingToConfirm, StillWaiting."""
    _check_administrator(user)
    restore = _current()
    Restore.objects.select_for_update().get(pk=restore.pk)
    left = waiting(restore).count()
    if left:
        raise StillWaiting(f"{left} requests wait for somebody to say what became of them.")
    restore.is_open, restore.ended_at = False, database_now()
    restore.ended_by, restore.note = user, note
    restore.save(update_fields=["is_open", "ended_at", "ended_by", "note"])
    return restore


@transaction.atomic
def confirm(
    workflow_id: UUID, *, user: User, outcome: Outcome, reason: str, source: str
) -> Workflow:
    """Put on record what became of a request, and let it go on from there.

    Executed: COMPLETED, whatever the database knew of it. Not executed: it goes on, and what was
    being carried out FAILED. As recorded: it goes on. Raises NotFound, Forbidden (managers of the
    team and administrators may), InvalidInput without a reason, NothingToConfirm.
    """
    said = _reason(reason)
    workflow = lock(workflow_id)
    _check_may(workflow, user)
    restore = _current()
    if not waiting(restore).filter(pk=workflow.pk).exists():
        raise NothingToConfirm(f"The request is {workflow.status} and does not wait for this.")
    now = database_now()
    Confirmation.objects.create(
        restore=restore, workflow=workflow, outcome=outcome, user=user, reason=said,
        confirmed_at=now,
    )  # fmt: skip
    data = {"outcome": str(outcome), "reason": said, "restoreId": str(restore.pk)}
    common: dict[str, Any] = {"actor": user.actor, "source": source, "data": data, "now": now}
    if outcome == Outcome.EXECUTED and workflow.status == Status.PENDING:
        _approve(workflow, user, **common)
    else:
        amend(workflow, EventType.WORKFLOW_RECONCILED, **common)
    if outcome == Outcome.EXECUTED:
        _complete(workflow, user, data)
    elif outcome == Outcome.NOT_EXECUTED:
        _fail_what_runs(workflow, user, said)
    return workflow


def confirm_all(
    user: User,
    *,
    outcome: Outcome,
    reason: str,
    source: str = Source.COMMAND,
    told: Callable[[Workflow], None] = lambda _workflow: None,
) -> int:
    """The same for everything that still waits and that the person may confirm; how many."""
    restore, count = _current(), 0
    while batch := list(waiting_for(restore, user)[:BATCH]):
        for workflow in batch:
            confirm(workflow.pk, user=user, outcome=outcome, reason=reason, source=source)
            told(workflow)
        count += len(batch)
    return count


def _approve(workflow: Workflow, user: User, *, now: dt.datetime, **common: Any) -> None:
    """The approval that the database has lost, on the word of the one who confirms.

    It counts for no stage: only the action that has happened stands behind it. What was on the
    table is what was approved, as with any other approval.
    """
    edited = bool(workflow.proposed_fingerprint)
    answers = workflow.decisions.filter(round=workflow.round, stage=workflow.stage, user=user)
    Decision.objects.create(
        workflow=workflow,
        round=workflow.round,
        stage=workflow.stage,
        user=user,
        turn=answers.count(),
        verdict=Verdict.MODIFIED if edited else Verdict.APPROVED,
        channel=common["source"],
        comment=common["data"]["reason"],
        result=workflow.proposed_data,
        result_fingerprint=workflow.proposed_fingerprint,
        fingerprint=workflow.current_fingerprint,
        is_effective=True,
        seq=workflow.event_seq + 1,
        decided_at=now,
    )
    transition(
        workflow,
        Status.APPROVED,
        EventType.WORKFLOW_RECONCILED,
        now=now,
        decision=Verdict.MODIFIED if edited else Verdict.APPROVED,
        response_data=workflow.proposed_data,
        response_fingerprint=workflow.proposed_fingerprint,
        proposed_data=None,
        proposed_fingerprint="",
        feedback=common["data"]["reason"],
        responded_at=now,
        responded_by=user,
        responded_via=common["source"],
        next_step_at=None,
        **common,
    )
    conclude(workflow)


def _complete(workflow: Workflow, user: User, found: dict[str, Any]) -> None:
    attempt = workflow.attempts.filter(status=ExecutionAttempt.Status.OPEN).first()
    if attempt is None:
        attempt = executions.open_attempt(
            workflow, executor=WHO_RAN, actor=user.actor, now=database_now()
        )
    executions.close(workflow, attempt, succeeded=True, actor=user.actor, found=found)


def _fail_what_runs(workflow: Workflow, user: User, reason: str) -> None:
    attempt = workflow.attempts.filter(status=ExecutionAttempt.Status.OPEN).first()
    if attempt is not None:
        found = {"code": "not-executed", "message": reason}
        executions.close(workflow, attempt, succeeded=False, actor=user.actor, found=found)


def _current() -> Restore:
    restore = gate.current()
    if restore is None:
        raise NothingToConfirm("No restored backup is being worked off.")
    return restore


def _reason(reason: str) -> str:
    said = reason.strip()[:1000]
    if not said:
        message = "Say how you know."
        raise InvalidInput(message, [FieldError("/reason", message, "required")])
    return said


def _check_administrator(user: User) -> None:
    if not (user.is_superuser and user.is_active):
        raise Forbidden("Only administrators say when a restored server may go on.")


def _check_may(workflow: Workflow, user: User) -> None:
    managed = Workflow.objects.filter(_managed_by(user), pk=workflow.pk)
    if not (user.is_active and (user.is_superuser or managed.exists())):
        raise Forbidden("Only managers of the team and administrators confirm what happened.")


def _managed_by(user: User) -> Q:
    return Q(team__memberships__user=user, team__memberships__role=Role.MANAGER)
