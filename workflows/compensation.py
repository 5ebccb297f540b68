"""Undoing what was carried out: another request, of the action type that is declared for it.

It is asked for like any other and decided by people. Nothing here runs anything: the request whose
action is undone stays COMPLETED, and once the other has completed, its log says so.
"""

import datetime as dt
from typing import Any

from events import selectors as log
from events.types import EventType
from hitl.accounts.models import User
from hitl.lib.actor import SYSTEM
from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.text import one_line
from workflows import services
from workflows.inputs import NewWorkflow
from workflows.models import ActionType, Status, Workflow
from workflows.transitions import amend, lock

NAME_LIMIT = 200


def declared(workflow: Workflow) -> ActionType | None:
    """The action type that undoes this request's action, if its own declares one."""
    kinds = ActionType.objects.select_related("compensation")
    kind = kinds.filter(team_id=workflow.team_id, name=workflow.action_type).first()
    found = kind.compensation if kind else None
    return found if found and found.team_id == workflow.team_id else None


def data_of(workflow: Workflow) -> dict[str, Any]:
    """The compensation's `actionData`: what was done, under names that never change."""
    return {
        "workflowId": str(workflow.pk),
        "actionType": workflow.action_type,
        "actionData": workflow.approved_data,
        "result": workflow.result,
    }


def ask(
    workflow: Workflow,
    kind: ActionType,
    *,
    user: User,
    to_seq: int,
    reason: str,
    source: str,
    now: dt.datetime,
) -> Workflow:
    """Ask for the compensation of a locked, completed request: a new request, linked both ways.

    It is asked on behalf of `user`, who therefore does not approve it unless the policy allows
    that. Raises InvalidInput (/toSeq) where it cannot be asked for as declared.
    """
    new = NewWorkflow(
        action_type=kind.name,
        action_data=data_of(workflow),
        name=one_line(f"Undo: {workflow.name}", NAME_LIMIT),
        reason=reason,
        requester=user.email,
    )
    try:
        asked = services.create(
            workflow.agent, new, source=source, actor=user.actor, compensates=workflow
        )
    except InvalidInput as error:
        message = f"The compensation {kind.name!r} cannot be asked for: {_first(error)}"
        raise InvalidInput(message, [FieldError("/toSeq", message, "compensation")]) from None
    amend(
        workflow,
        EventType.COMPENSATION_ASKED,
        actor=user.actor,
        source=source,
        data={
            "compensation": str(asked.pk),
            "actionType": kind.name,
            "toSeq": to_seq,
            "reason": reason,
        },
        now=now,
        compensation=asked,
    )
    return asked


def note_done(workflow: Workflow, *, source: str) -> None:
    """Where a compensation has completed, say so in the log of the request it undoes.

    The caller holds the lock of the compensation; locks go from it to what it compensates.
    """
    if workflow.compensates_id is None or workflow.status != Status.COMPLETED:
        return
    undone = lock(workflow.compensates_id)
    asked = log.newest(undone.pk, EventType.COMPENSATION_ASKED)
    said = asked.data if asked else {}
    amend(
        undone,
        EventType.WORKFLOW_ROLLED_BACK,
        actor=SYSTEM,
        source=source,
        data={
            "fromSeq": undone.event_seq,
            "toSeq": said.get("toSeq"),
            "round": undone.round,
            "reason": said.get("reason", ""),
            "compensation": str(workflow.pk),
            "askedBy": asked.actor if asked else None,
        },
    )


def _first(error: InvalidInput) -> str:
    if not error.errors:
        return error.detail
    first = error.errors[0]
    place = f"at {first.pointer} " if first.pointer.startswith("/actionData") else ""
    return f"{place}{first.message}"
