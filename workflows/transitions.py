"""The State Manager: the table of allowed moves and the only writers of a workflow's state.

Status, event and snapshot commit together or not at all. Callers hold the row lock from `lock()`.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from events import services as events
from events.models import Event, EventStream
from events.services import Entry
from events.types import EventType
from hitl.lib.actor import Actor
from hitl.lib.db import require_transaction
from hitl.lib.errors import NotFound
from workflows.errors import IllegalTransition
from workflows.models import Status, Workflow
from workflows.snapshot import snapshot

ALLOWED: dict[str, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.APPROVED, Status.REJECTED, Status.TIMEOUT, Status.CANCELLED}),
    Status.APPROVED: frozenset({Status.EXECUTING}),
    Status.EXECUTING: frozenset({Status.COMPLETED, Status.FAILED, Status.UNKNOWN}),
    Status.UNKNOWN: frozenset({Status.COMPLETED, Status.FAILED}),
}

# What a rollback may restore, each in a new round. COMPLETED is undone by another request only.
ROLLBACKS: dict[str, frozenset[Status]] = {
    Status.APPROVED: frozenset({Status.PENDING}),
    Status.REJECTED: frozenset({Status.PENDING}),
    Status.TIMEOUT: frozenset({Status.PENDING}),
    Status.FAILED: frozenset({Status.PENDING, Status.APPROVED}),
}


def lock(workflow_id: UUID, *, team_id: UUID | None = None) -> Workflow:
    """Take the row lock. Raises NotFound, also for another team's workflow."""
    require_transaction()
    # Without FOR NO KEY, a foreign key to the row would wait here: a delivery that holds the
    # stream and writes an event would stand in a circle with a decision.
    rows = Workflow.objects.select_for_update(of=("self",), no_key=True).filter(pk=workflow_id)
    if team_id is not None:
        rows = rows.filter(team_id=team_id)
    workflow = rows.select_related("agent", "team", "responded_by").first()
    if workflow is None:
        raise NotFound("There is no such workflow.")
    return workflow


def lock_if_free(workflow_id: UUID) -> Workflow | None:
    """The row lock, or None where somebody else has it (or there is no such workflow).

    For sweeps: they come again, and must neither wait for people nor walk in step with each other.
    """
    require_transaction()
    rows = Workflow.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    return rows.filter(pk=workflow_id).select_related("agent", "team", "responded_by").first()


def lock_all_if_free(rows: QuerySet[Workflow]) -> tuple[list[Workflow], dict[UUID, EventStream]]:
    """The row locks of those that nobody else has, and those of their logs.

    For sweeps that write many at once. Whoever holds one of the two locks is at work on the
    request; what is busy is left out and comes with the next sweep.
    """
    require_transaction()
    free = list(rows.select_for_update(of=("self",), no_key=True, skip_locked=True))
    streams = events.lock_streams_if_free([each.pk for each in free])
    return [each for each in free if each.pk in streams], streams


def transition(
    workflow: Workflow,
    to: Status,
    why: EventType,
    *,
    actor: Actor,
    source: str,
    data: Mapping[str, Any] | None = None,
    now: dt.datetime | None = None,
    **changes: Any,
) -> Event:
    """Move a locked workflow to another status and record why.

    `changes` are other fields that change with it; `data` goes into the event. Raises
    IllegalTransition for a move the table does not know, or when the row moved meanwhile.
    """
    if to not in ALLOWED.get(workflow.status, frozenset()):
        raise IllegalTransition(workflow, to)
    changes["status"] = to
    return _write(workflow, why, actor=actor, source=source, data=data, now=now, changes=changes)


def transition_all(
    workflows: Sequence[Workflow],
    streams: Mapping[UUID, EventStream],
    to: Status,
    why: EventType,
    *,
    actor: Actor,
    source: str,
    data: Callable[[Workflow], Mapping[str, Any]],
    now: dt.datetime,
    **changes: Any,
) -> list[Event]:
    """Move many, locked together with their logs, from one status to another in few statements.

    The same as `transition` for each, with the same changes for all. Raises IllegalTransition
    where one of them may not; then nothing must be committed.
    """
    require_transaction()
    was = {Status(each.status) for each in workflows}
    entries = []
    for each in workflows:
        if to not in ALLOWED.get(each.status, frozenset()):
            raise IllegalTransition(each, to)
        for name, value in {**changes, "status": to}.items():
            setattr(each, name, value)
        entries.append(Entry(each.pk, why, actor, source, data(each), snapshot(each)))
    made = events.record_all(streams, entries, now=now)
    updated_at = timezone.now()
    for each, event in zip(workflows, made, strict=True):
        each.event_seq, each.updated_at = event.seq, updated_at
    heads = EventStream.objects.filter(pk=OuterRef("pk")).values("last_seq")
    rows = Workflow.objects.filter(pk__in=[each.pk for each in workflows], status__in=was)
    moved = rows.update(**changes, status=to, event_seq=Subquery(heads), updated_at=updated_at)
    if moved != len(workflows):
        raise IllegalTransition(workflows[0], to)
    return made


def roll_back(
    workflow: Workflow,
    to: Status,
    *,
    actor: Actor,
    source: str,
    data: Mapping[str, Any],
    now: dt.datetime,
    **changes: Any,
) -> Event:
    """Restore an earlier state of a locked workflow in a new round, as an event of its own.

    Where people are asked again, the answers of the new round are the ones that count. Raises
    IllegalTransition for a move that no rollback makes.
    """
    if to not in ROLLBACKS.get(workflow.status, frozenset()):
        raise IllegalTransition(workflow, to)
    changes |= {"status": to, "round": workflow.round + 1}
    if to == Status.PENDING:
        changes["asked_round"] = changes["round"]
    why = EventType.WORKFLOW_ROLLED_BACK
    return _write(workflow, why, actor=actor, source=source, data=data, now=now, changes=changes)


def amend(
    workflow: Workflow,
    why: EventType,
    *,
    actor: Actor,
    source: str,
    data: Mapping[str, Any] | None = None,
    now: dt.datetime | None = None,
    **changes: Any,
) -> Event:
    """Record an event that leaves the status alone, with the fields that change with it."""
    return _write(workflow, why, actor=actor, source=source, data=data, now=now, changes=changes)


def _write(
    workflow: Workflow,
    why: EventType,
    *,
    actor: Actor,
    source: str,
    data: Mapping[str, Any] | None,
    now: dt.datetime | None,
    changes: dict[str, Any],
) -> Event:
    require_transaction()
    was, was_seq = workflow.status, workflow.event_seq
    for name, value in changes.items():
        setattr(workflow, name, value)
    event = events.record(
        why,
        workflow_id=workflow.pk,
        actor=actor,
        source=source,
        data=data,
        snapshot=snapshot(workflow),
        now=now,
    )
    workflow.event_seq, workflow.updated_at = event.seq, timezone.now()
    # The event is written first: the trigger looks for it. The filter holds even without the lock.
    changed = Workflow.objects.filter(pk=workflow.pk, status=was, event_seq=was_seq).update(
        **changes, event_seq=event.seq, updated_at=workflow.updated_at
    )
    if not changed:
        raise IllegalTransition(workflow, Status(workflow.status))
    return event
