"""The State Manager: the table of allowed moves and the only writers of a workflow's state.

Status, event and snapshot commit together or not at all. Callers hold the row lock from `lock()`.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone

from events import services as events
from events.models import Event
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
