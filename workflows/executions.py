"""Carrying out: claim, run outside any transaction, settle; and the same told by the agent.

An attempt's number is its fencing token: only the newest open attempt may write. What cannot be
known becomes UNKNOWN for `at_most_once` actions; nothing is guessed and nothing is fired twice.
"""

import datetime as dt
import logging
from typing import Any
from uuid import UUID

from django.db import transaction

from events.restores import gate
from events.types import EventType, Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, User
from hitl.lib import backoff, canonical, sealing
from hitl.lib.actor import SYSTEM, Actor
from hitl.lib.db import database_now
from hitl.lib.errors import Forbidden
from workflows import compensation
from workflows.actions import get_action
from workflows.actions.base import ActionFailed, Job
from workflows.deciding import answering
from workflows.errors import IllegalTransition, NotExecutable, NotYours, Reconciling
from workflows.models import (
    ActionType,
    Decision,
    ExecutionAttempt,
    Executor,
    Semantics,
    Status,
    Verdict,
    Workflow,
)
from workflows.transitions import amend, lock, transition

logger = logging.getLogger(__name__)

RETRY_FIRST_SECONDS, RETRY_LONGEST_SECONDS = 5.0, 600.0
RESULT_BYTES = 64 * 1024
Attempt = ExecutionAttempt


def execute(workflow_id: UUID) -> None:
    """Carry out one due action on the server's side, once; safe to call by many at once."""
    claimed = claim(workflow_id)
    if claimed is None:
        return  # done, not due, the agent's business, or taken by another worker
    attempt, job, way = claimed
    try:
        result = get_action(way).run(job)
    except ActionFailed as error:
        settle_failure(attempt, error)
    except Exception as error:
        logger.exception("action broke", extra={"workflow": str(workflow_id)})
        settle_failure(attempt, ActionFailed(f"{type(error).__name__} in the {way} action"))
    else:
        settle_success(attempt, result)


@transaction.atomic(durable=True)
def claim(workflow_id: UUID) -> tuple[Attempt, Job, str] | None:
    """Open an attempt for a due action. Durable: the claim is on disk before anything happens."""
    workflow = lock(workflow_id)
    now = database_now()
    if not workflow.is_executable(now):
        return None
    if gate.holds(workflow.pk):
        return None  # perhaps it was carried out after the backup that was restored
    if not is_intact(workflow):
        _refuse_tampered(workflow, now)
        return None
    attempt = open_attempt(workflow, executor="hitl", actor=SYSTEM, now=now)
    way = str(workflow.execution_plan["by"])
    return attempt, _job(workflow, attempt), way


def is_intact(workflow: Workflow) -> bool:
    """Whether the stored bytes still are what was decided on."""
    digest = canonical.fingerprint(workflow.approved_data)
    decision = answering(workflow)
    return (
        digest == workflow.approved_fingerprint
        and decision is not None
        and _agreed(decision) in (digest, "")
        and canonical.fingerprint(workflow.action_data) == workflow.fingerprint
    )


def _agreed(decision: Decision) -> str:
    """The data a decision left; "" for edits from before it was kept with the decision."""
    if decision.verdict == Verdict.MODIFIED:
        return decision.result_fingerprint
    return decision.fingerprint


def _refuse_tampered(workflow: Workflow, now: dt.datetime) -> None:
    error = {
        "code": "digest-mismatch",
        "message": "The stored data is not the data that was approved. Nothing was run.",
    }
    common: dict[str, Any] = {"actor": SYSTEM, "source": Source.EXECUTION_JOB, "now": now}
    if workflow.status == Status.APPROVED:
        transition(workflow, Status.EXECUTING, EventType.ACTION_EXECUTING, data=error, **common)
    transition(
        workflow, Status.FAILED, EventType.WORKFLOW_FAILED, data=error, error=error,
        execution_due_at=None, **common,
    )  # fmt: skip
    logger.error("approved data was changed", extra={"workflow": str(workflow.pk)})


def open_attempt(workflow: Workflow, *, executor: str, actor: Actor, now: dt.datetime) -> Attempt:
    """The next attempt of a locked request, with its lease: EXECUTING, if it was not yet."""
    number = workflow.attempts.count() + 1
    lease = dt.timedelta(seconds=workflow.execution_plan["leaseSeconds"])
    attempt = Attempt.objects.create(
        workflow=workflow,
        round=workflow.round,
        number=number,
        executor=executor[:100],
        lease_until=now + lease,
        heartbeat_at=now,
    )
    data = {
        "attempt": number,
        "executor": executor,
        "fingerprint": workflow.approved_fingerprint,
        "leaseUntil": attempt.lease_until.isoformat(),
    }
    source = Source.API if actor.kind == "agent" else Source.EXECUTION_JOB
    write: dict[str, Any] = {"actor": actor, "source": source, "data": data, "now": now}
    write["execution_due_at"] = None
    if workflow.status == Status.APPROVED:
        transition(workflow, Status.EXECUTING, EventType.ACTION_EXECUTING, **write)
    else:
        amend(workflow, EventType.ACTION_EXECUTING, **write)
    return attempt


def _job(workflow: Workflow, attempt: Attempt) -> Job:
    data = workflow.approved_data
    return Job(
        workflow_id=str(workflow.pk),
        name=workflow.name,
        team=workflow.team.name,
        action_type=workflow.action_type,
        data=data,
        raw=canonical.dumps(data),
        fingerprint=workflow.approved_fingerprint,
        key=f"{workflow.pk}-{workflow.round}",
        attempt=attempt.number,
        config=_config(workflow),
    )


def _config(workflow: Workflow) -> dict[str, Any]:
    """The frozen configuration, with the secret that only the action type keeps."""
    config = dict(workflow.execution_plan["config"])
    kind = ActionType.objects.filter(team_id=workflow.team_id, name=workflow.action_type).first()
    if kind and "secret" in kind.executor_config:
        config["secret"] = sealing.reveal(kind.executor_config["secret"])
    return config


@transaction.atomic
def settle_success(attempt: Attempt, result: Any) -> None:
    """COMPLETED with its result, if this attempt still is the one that counts."""
    workflow = lock(attempt.workflow_id)
    if not _close(attempt, Attempt.Status.SUCCEEDED, result=_bounded(result)):
        return
    _finish(workflow, Status.COMPLETED, attempt, actor=SYSTEM, result=_bounded(result))


@transaction.atomic
def settle_failure(attempt: Attempt, error: ActionFailed) -> None:
    """FAILED, UNKNOWN, or another try later: what may be done depends on the declared semantics."""
    workflow = lock(attempt.workflow_id)
    problem = {"code": error.code, "message": str(error)[:2000]}
    if not _close(attempt, Attempt.Status.FAILED, error=problem):
        return
    semantics = workflow.execution_plan["semantics"]
    _go_on(workflow, attempt, after_failure(semantics, error, _tries_left(workflow)), problem)


def after_failure(semantics: str, error: ActionFailed, tries_left: bool) -> Status | None:
    """What an attempt that failed comes to; None: another try."""
    idempotent = semantics == Semantics.IDEMPOTENT
    if idempotent and tries_left and not error.permanent:
        return None
    lost = error.may_have_happened and not (idempotent or error.permanent)
    return Status.UNKNOWN if lost else Status.FAILED


def after_silence(semantics: str, by: str, tries_left: bool) -> Status | None:
    """What an attempt that nobody reported on comes to; None: another try."""
    if semantics != Semantics.IDEMPOTENT:
        return Status.UNKNOWN
    return None if tries_left and by != Executor.AGENT else Status.FAILED


def _go_on(
    workflow: Workflow, attempt: Attempt, to: Status | None, problem: dict[str, str]
) -> None:
    if to is None:
        _retry_later(workflow, attempt, problem)
    else:
        _finish(workflow, to, attempt, actor=SYSTEM, error=problem)


def _close(attempt: Attempt, status: str, **values: Any) -> bool:
    """Close the attempt if it is open; False for a late writer, whose word is kept as evidence."""
    closed = Attempt.objects.filter(pk=attempt.pk, status=Attempt.Status.OPEN).update(
        status=status, finished_at=database_now(), **values
    )
    if not closed:
        late = {"status": str(status), **{key: value for key, value in values.items() if value}}
        Attempt.objects.filter(pk=attempt.pk).update(late_report=late)
    return bool(closed)


def _tries_left(workflow: Workflow) -> bool:
    made = workflow.attempts.filter(round=workflow.round).count()
    return made < int(workflow.execution_plan["maxAttempts"])


def _retry_later(workflow: Workflow, attempt: Attempt, problem: dict[str, str]) -> None:
    now = database_now()
    wait = backoff.delay(attempt.number, first=RETRY_FIRST_SECONDS, maximum=RETRY_LONGEST_SECONDS)
    amend(
        workflow,
        EventType.ACTION_RETRYING,
        actor=SYSTEM,
        source=Source.EXECUTION_JOB,
        data={"attempt": attempt.number, "error": problem, "nextAt": (now + wait).isoformat()},
        now=now,
        execution_due_at=now + wait,
        error=problem,
    )


def close(
    workflow: Workflow, attempt: Attempt, *, succeeded: bool, actor: Actor, found: dict[str, Any]
) -> None:
    """A person says how an open attempt of a locked request has ended."""
    if succeeded:
        _close(attempt, Attempt.Status.SUCCEEDED, result=found)
        _finish(workflow, Status.COMPLETED, attempt, actor=actor, result=found)
    else:
        _close(attempt, Attempt.Status.FAILED, error=found)
        _finish(workflow, Status.FAILED, attempt, actor=actor, error=found)


ENDINGS = {
    Status.COMPLETED: EventType.WORKFLOW_COMPLETED,
    Status.FAILED: EventType.WORKFLOW_FAILED,
    Status.UNKNOWN: EventType.WORKFLOW_UNKNOWN,
}


def _finish(
    workflow: Workflow,
    to: Status,
    attempt: Attempt,
    *,
    actor: Actor,
    result: Any = None,
    error: dict[str, Any] | None = None,
) -> None:
    source = {"agent": Source.API, "user": Source.DASHBOARD}.get(actor.kind, Source.EXECUTION_JOB)
    transition(
        workflow,
        to,
        ENDINGS[to],
        actor=actor,
        source=source,
        data={"attempt": attempt.number, "fingerprint": workflow.approved_fingerprint}
        | ({"error": error} if error else {}),
        result=result,
        error=error,
        execution_due_at=None,
    )
    compensation.note_done(workflow, source=source)


def _bounded(result: Any) -> Any:
    """Results are stored whole up to 64 KiB, then visibly cut."""
    raw = canonical.dumps(result)
    if len(raw) <= RESULT_BYTES:
        return result
    text = raw[: RESULT_BYTES // 2].decode("utf-8", "ignore")
    return {"truncated": True, "bytes": len(raw), "beginning": text}


# --- Carried out by the agent -----------------------------------------------------------------


def _lock_for_agent(workflow_id: UUID, agent: Agent) -> Workflow:
    workflow = lock(workflow_id, team_id=agent.team_id)
    if workflow.agent_id != agent.pk:
        raise Forbidden("Only the agent that asked may carry out the action.")
    if workflow.execution_plan["by"] != Executor.AGENT:
        raise NotExecutable("The server carries out this action itself; wait for its result.")
    return workflow


def _check_not_held(workflow: Workflow) -> None:
    if gate.holds(workflow.pk):
        raise Reconciling


@transaction.atomic(durable=True)
def start(workflow_id: UUID, *, agent: Agent, executor: str = "") -> tuple[Workflow, Attempt]:
    """The agent begins: opens the one attempt it may make and starts its lease.

    Repeating it with the same non-empty `executor` returns the same attempt. Raises NotFound,
    Forbidden, Reconciling after a restore, or NotExecutable when not approved, started before, or
    the data was tampered with.
    """
    workflow = _lock_for_agent(workflow_id, agent)
    _check_not_held(workflow)
    now = database_now()
    if workflow.status == Status.EXECUTING:
        current = workflow.attempts.filter(status=Attempt.Status.OPEN).first()
        if current and executor and current.executor == executor:
            return workflow, current
        raise NotExecutable(
            "The execution has been started before. Send the same non-empty `executor` to "
            "repeat a start whose answer got lost."
        )
    if workflow.status != Status.APPROVED:
        raise NotExecutable(f"The request is {workflow.status}; only an APPROVED one can start.")
    if not is_intact(workflow):
        raise NotExecutable("The stored data is not the data that was approved; do not act.")
    attempt = open_attempt(workflow, executor=executor or "agent", actor=agent.actor, now=now)
    return workflow, attempt


@transaction.atomic
def heartbeat(workflow_id: UUID, *, agent: Agent, attempt: int) -> Attempt:
    """The agent is alive: the lease starts anew. Raises NotExecutable when it has lapsed."""
    workflow = _lock_for_agent(workflow_id, agent)
    row = _current(workflow, attempt)
    now = database_now()
    row.heartbeat_at = now
    row.lease_until = now + dt.timedelta(seconds=workflow.execution_plan["leaseSeconds"])
    row.save(update_fields=["heartbeat_at", "lease_until"])
    return row


@transaction.atomic
def complete(workflow_id: UUID, *, agent: Agent, attempt: int, result: Any) -> Workflow:
    """The agent succeeded. Repeating the same report returns the same state."""
    return _report(workflow_id, agent, attempt, Attempt.Status.SUCCEEDED, result=_bounded(result))


@transaction.atomic
def fail(workflow_id: UUID, *, agent: Agent, attempt: int, error: dict[str, Any]) -> Workflow:
    """The agent says that it failed, and so knows the outcome: FAILED."""
    return _report(workflow_id, agent, attempt, Attempt.Status.FAILED, error=_bounded(error))


def _report(
    workflow_id: UUID, agent: Agent, number: int, status: Attempt.Status, **values: Any
) -> Workflow:
    workflow = _lock_for_agent(workflow_id, agent)
    row = workflow.attempts.filter(number=number).first()
    if row and row.status == status:
        return workflow
    if row and row.status == Attempt.Status.LAPSED:
        _close(row, status, **values)  # kept as evidence for whoever settles the outcome
        return workflow
    row = _current(workflow, number)
    _close(row, status, **values)
    to = Status.COMPLETED if status == Attempt.Status.SUCCEEDED else Status.FAILED
    _finish(workflow, to, row, actor=agent.actor, **values)
    return workflow


def _current(workflow: Workflow, number: int) -> Attempt:
    row = workflow.attempts.filter(number=number, status=Attempt.Status.OPEN).first()
    if row is None:
        _check_not_held(workflow)  # the attempt may be one that the restored database never saw
        raise NotExecutable(
            f"Attempt {number} is not running (the request is {workflow.status}); "
            "its lease may have run out."
        )
    return row


# --- When nobody reports, and when somebody must say ----------------------------------------------


@transaction.atomic
def lapse(attempt_id: UUID) -> bool:
    """An attempt whose lease ran out goes to FAILED, UNKNOWN or another try; True when it did."""
    workflow_id = Attempt.objects.values_list("workflow_id", flat=True).get(pk=attempt_id)
    workflow = lock(workflow_id)
    attempt = Attempt.objects.get(pk=attempt_id)
    if not attempt.has_lapsed(database_now()):
        return False
    problem = {
        "code": "lease-expired",
        "message": f"{attempt.executor} fell silent while carrying out the action.",
    }
    _close(attempt, Attempt.Status.LAPSED, error=problem)
    plan = workflow.execution_plan
    to = after_silence(plan["semantics"], plan["by"], _tries_left(workflow))
    _go_on(workflow, attempt, to, problem)
    return True


@transaction.atomic
def settle_unknown(
    workflow_id: UUID, *, user: User, succeeded: bool, note: str, source: str
) -> Workflow:
    """A person who has looked says what became of an UNKNOWN action.

    Raises NotYours without the right to decide, IllegalTransition when it is not UNKNOWN.
    """
    workflow = lock(workflow_id)
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None or not member.may_decide:
        raise NotYours("Only approvers and managers of the team may settle an unknown outcome.")
    to = Status.COMPLETED if succeeded else Status.FAILED
    if workflow.status != Status.UNKNOWN:
        raise IllegalTransition(workflow, to)
    found = {"settledBy": str(user), "note": note}
    transition(
        workflow,
        to,
        ENDINGS[to],
        actor=user.actor,
        source=source,
        data=found,
        result=found if succeeded else None,
        error=None if succeeded else {"code": "settled-as-failed", "message": note, **found},
    )
    compensation.note_done(workflow, source=source)
    return workflow
