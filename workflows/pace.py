"""What time does to a request: reminders, steps of the escalation, the deadline, and moving it."""

import datetime as dt
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction

from deliveries.models import Delivery
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.actor import SYSTEM, Actor
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, Forbidden, InvalidInput
from workflows import asking, cases, selectors
from workflows.cases import CaseFile
from workflows.deciding import approve, check_standing, conclude, conclude_all
from workflows.errors import AlreadyDecided, Expired
from workflows.models import Decision, FiredStep, Status, TimeoutAction, Verdict, Workflow
from workflows.policies import plain, silence
from workflows.policies.escalation import ESCALATION, Item
from workflows.policies.shape import ESCALATE, REPLACE, Stage
from workflows.transitions import (
    amend,
    lock,
    lock_all_if_free,
    lock_if_free,
    transition,
    transition_all,
)

# --- Reminders and steps -------------------------------------------------------------------------


@transaction.atomic
def take_steps(workflow_id: UUID) -> int:
    """Do what is due in the open stage, each thing once; how many things were done.

    Judged by the database's clock under the lock: nothing after a verdict, nothing early. Two
    workers with the same request find the second time that there is nothing left to do.
    """
    workflow = lock_if_free(workflow_id)
    now = database_now()
    if workflow is None or workflow.status != Status.PENDING:
        return 0
    if workflow.next_step_at is None or workflow.next_step_at > now:
        return 0
    file = cases.load(workflow, now=now)
    skipped, due = file.schedule.skipped, file.schedule.due
    for item in skipped:
        _note(file, item, skipped=True)
        file = file.after(item)
    for item in due:
        file = _take(file, item)
    left = cases.next_due(file.schedule, now)
    Workflow.objects.filter(pk=workflow.pk).update(next_step_at=left)
    return len(due)


def _take(file: CaseFile, item: Item, **changes: Any) -> CaseFile:
    """Do one thing that is due; how the case stands after it."""
    _note(file, item)
    stage = file.policy.stages[file.workflow.stage]
    after = file.after(item)
    if item.kind == ESCALATION:
        _escalate(file, after, stage, item, **changes)
    else:
        _remind(file, stage, item)
    return after


def _note(file: CaseFile, item: Item, *, skipped: bool = False) -> None:
    """The row that lets it happen once only, also where two sweeps would get past the lock."""
    FiredStep.objects.create(
        workflow=file.workflow,
        round=file.workflow.round,
        stage=file.workflow.stage,
        key=item.key,
        skipped=skipped,
        planned_at=item.planned,
        fired_at=file.now,
    )


def _remind(file: CaseFile, stage: Stage, item: Item) -> None:
    workflow = file.workflow
    claimed = _claimed(file)
    wave = workflow.wave + 1
    people = [each.user for each in asking.invitations(file, claimed)]
    amend(
        workflow,
        EventType.WORKFLOW_REMINDED,
        actor=SYSTEM,
        source=Source.ESCALATION_JOB,
        data=_timing(stage, item) | {"to": [str(person) for person in people]},
        now=file.now,
        wave=wave,
    )
    asking.ask(file, persons=claimed, kind=Delivery.Kind.REMINDER)


def _claimed(file: CaseFile) -> set[str] | None:
    """In whose places the one who looks after it may answer; None where everybody is reminded."""
    seats = file.case.seats(str(file.workflow.claimed_by_id))
    return {seat.person for seat in seats} or None


def _escalate(file: CaseFile, after: CaseFile, stage: Stage, item: Item, **changes: Any) -> None:
    """Ask the people of the step; with `replace`, nobody else any more."""
    step = stage.escalation[item.number]
    workflow = file.workflow
    before = {each.user.pk for each in asking.invitations(file)}
    wave = workflow.wave + 1
    amend(
        workflow,
        EventType.WORKFLOW_ESCALATED,
        actor=SYSTEM,
        source=Source.ESCALATION_JOB,
        data=_timing(stage, item)
        | {"step": item.number, "to": plain.meant(step.leaf.who, file.names), "mode": step.mode},
        now=file.now,
        wave=wave,
        asks=_asks(after, stage),
        **changes,
    )
    persons = set(after.case.rights.everyone(step.leaf))
    if step.mode == REPLACE and not item.turn:
        gone = before - {each.user.pk for each in asking.invitations(after)}
        sentence = (
            f"Nobody answered in time: {plain.meant(step.leaf.who, file.names)} is asked now."
        )
        asking.close_wave(file, sentence, users=[u for u in file.users.values() if u.pk in gone])
    notice = "Nobody else has answered in time, so you are asked." if not item.turn else ""
    kind = Delivery.Kind.REMINDER if item.turn else Delivery.Kind.APPROVAL
    asking.ask(after, persons=persons, kind=kind, channels=step.channels, notice=notice)


def _asks(file: CaseFile, stage: Stage) -> str:
    """Whom the stage asks now, steps that have been taken included; the inbox looks for it."""
    return asking.whom(file.case.rights.open_leaves(stage), also=file.handed_to)


def _timing(stage: Stage, item: Item) -> dict[str, Any]:
    return {
        "stage": stage.index,
        "name": stage.name,
        "key": item.key,
        "plannedAt": item.planned.astimezone(dt.UTC).isoformat(),
    }


# --- The deadline --------------------------------------------------------------------------------


@transaction.atomic
def time_out(workflow_id: UUID) -> bool:
    """Let the deadline take effect if it has passed and nobody decided; True when it did.

    Judged by the database's clock under the lock: never early, and never after a verdict.
    """
    workflow = lock_if_free(workflow_id)
    now = database_now()
    if workflow is None or not workflow.is_overdue(now):
        return False
    common: dict[str, Any] = {
        "actor": SYSTEM, "source": Source.TIMEOUT_JOB, "data": _silence(workflow), "now": now
    }  # fmt: skip
    if workflow.timeout_action == TimeoutAction.HOLD:
        _hold(workflow, **common)
    elif workflow.timeout_action == TimeoutAction.APPROVE and _nobody_objects(workflow, now):
        _approve_by_silence(workflow, **common)
        conclude(workflow)
    elif workflow.timeout_action != TimeoutAction.ESCALATE or not _escalate_late(workflow, now):
        transition(
            workflow, Status.TIMEOUT, EventType.WORKFLOW_TIMEOUT, next_step_at=None, **common
        )
        conclude(workflow)
    return True


def _silence(workflow: Workflow) -> dict[str, Any]:
    """What the event of a deadline that took effect says of it."""
    return {
        "timeoutAction": workflow.timeout_action,
        "fingerprint": workflow.fingerprint,
        "stage": workflow.stage,
    }


@transaction.atomic
def time_out_many(*, limit: int, without: Collection[UUID] = ()) -> list[UUID]:
    """Let the deadlines of many take effect at once, where silence rejects: in few statements.

    Does to each what `time_out` does, all of them or none; which ones. Requests that somebody
    else is at work on are left out, as are those named.
    """
    due = selectors.silence_rejects(database_now()).exclude(pk__in=without)[:limit]
    workflows, streams = lock_all_if_free(due)
    now = database_now()
    workflows = [each for each in workflows if each.is_overdue(now)]
    if workflows:
        transition_all(
            workflows,
            streams,
            Status.TIMEOUT,
            EventType.WORKFLOW_TIMEOUT,
            actor=SYSTEM,
            source=Source.TIMEOUT_JOB,
            data=_silence,
            now=now,
            next_step_at=None,
        )
        conclude_all(workflows)
    return [each.pk for each in workflows]


def _hold(workflow: Workflow, *, now: dt.datetime, **common: Any) -> None:
    """No deadline any more; what the schedule had planned beyond it comes after all."""
    workflow.held_at = now
    file = cases.load(workflow, now=now)
    left = cases.next_due(file.schedule, now)
    amend(workflow, EventType.WORKFLOW_HELD, now=now, held_at=now, next_step_at=left, **common)


def _escalate_late(workflow: Workflow, now: dt.datetime) -> bool:
    """Take the next step because nobody decided in time; False where no step is left."""
    file = cases.load(workflow, now=now)
    stage = file.policy.stages[workflow.stage]
    said = silence.at_deadline(
        stage, deadline=now, risk=workflow.risk, done=file.done, fallback=workflow.timeout_action
    )
    if said.action != ESCALATE or said.step is None or said.deadline is None:
        return False
    # The new deadline goes with the event; without it the schedule would be empty.
    first = workflow.first_expires_at or workflow.expires_at
    workflow.expires_at, workflow.first_expires_at = said.deadline, first
    item = Item(now, ESCALATION, said.step, 0, now)
    file = cases.load(workflow, now=now)
    file = _take(file, item, expires_at=said.deadline, first_expires_at=first)
    left = cases.next_due(file.schedule, now)
    Workflow.objects.filter(pk=workflow.pk).update(next_step_at=left)
    return True


def _nobody_objects(workflow: Workflow, now: dt.datetime) -> bool:
    """Whether silence is consent: no rejection stands, not even one that did not suffice."""
    return not cases.load(workflow, now=now).case.state.rejecting


def _approve_by_silence(workflow: Workflow, *, now: Any, **common: Any) -> None:
    Decision.objects.create(
        workflow=workflow,
        round=workflow.round,
        stage=workflow.stage,
        user=None,
        verdict=Verdict.APPROVED,
        channel=Source.TIMEOUT_JOB,
        comment="Nobody answered in time, and silence approves this low-risk action type.",
        fingerprint=workflow.current_fingerprint,
        is_effective=True,
        seq=workflow.event_seq + 1,
        decided_at=now,
    )
    # What stands on the table: who has edited has agreed to that, and not to what was asked first.
    edited = bool(workflow.proposed_fingerprint)
    approve(
        workflow,
        why=EventType.WORKFLOW_TIMEOUT,
        now=now,
        decision=Verdict.MODIFIED if edited else Verdict.APPROVED,
        response_data=workflow.proposed_data,
        response_fingerprint=workflow.proposed_fingerprint,
        responded_at=now,
        responded_via=Source.TIMEOUT_JOB,
        next_step_at=None,
        proposed_data=None,
        proposed_fingerprint="",
        **common,
    )


@transaction.atomic
def extend(
    workflow_id: UUID, *, by: User | Agent, expires_at: dt.datetime, source: str, reason: str = ""
) -> Workflow:
    """Move the deadline to a later time, as far as the policy's stage allows in all.

    For approvers of the team, and for the agent that asked. Raises NotFound, NotYours, Forbidden,
    AlreadyDecided, Expired, or InvalidInput naming the latest time that is allowed.
    """
    workflow = lock(workflow_id)
    if isinstance(by, User):
        check_standing(workflow, by, "session")
    elif workflow.agent_id != by.pk:
        raise Forbidden("Only the agent that asked may move the deadline.")
    now = database_now()
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    if workflow.expires_at <= now and not workflow.held_at:
        raise Expired(workflow)
    if workflow.held_at:
        message = "The request is held until somebody decides: there is no deadline to move."
        raise InvalidInput(message, [FieldError("/expiresAt", message)])
    file = cases.load(workflow, now=now)
    stage = file.policy.stages[workflow.stage]
    first = workflow.first_expires_at or workflow.expires_at
    later = silence.extended(stage, original=first, current=workflow.expires_at, wanted=expires_at)
    was, workflow.expires_at = workflow.expires_at, later
    left = cases.next_due(cases.plan(workflow, file.policy, file.done, now), now)
    actor: Actor = by.actor
    amend(
        workflow,
        EventType.WORKFLOW_EXTENDED,
        actor=actor,
        source=source,
        data={"from": was.astimezone(dt.UTC).isoformat(), "reason": reason},
        now=now,
        expires_at=later,
        first_expires_at=first,
        next_step_at=left,
    )
    return workflow
