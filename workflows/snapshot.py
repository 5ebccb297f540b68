"""The complete state of a workflow as plain data, as it is stored with every event."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from workflows.models import Workflow


def snapshot(workflow: Workflow) -> dict[str, Any]:
    """Everything needed to show or restore the state, under wire names. Times are ISO 8601."""
    return {
        "workflowId": str(workflow.pk),
        "agentId": str(workflow.agent_id),
        "name": workflow.name,
        "reason": workflow.reason,
        "actionType": workflow.action_type,
        "actionData": workflow.action_data,
        "fingerprint": workflow.fingerprint,
        "uiSchema": workflow.ui_schema,
        "risk": workflow.risk,
        "metadata": workflow.metadata,
        "approvers": workflow.approver_emails,
        "requesterEmail": workflow.requester_email,
        "policy": workflow.policy,
        "executionPlan": workflow.execution_plan,
        "status": str(workflow.status),
        "round": workflow.round,
        "askedRound": workflow.asked_round,
        "expiresAt": _time(workflow.expires_at),
        "timeoutAction": str(workflow.timeout_action),
        "heldAt": _time(workflow.held_at),
        "firstExpiresAt": _time(workflow.first_expires_at),
        "stage": workflow.stage,
        "stageOpenedAt": _time(workflow.stage_opened_at),
        "wave": workflow.wave,
        "proposedData": workflow.proposed_data,
        "proposedFingerprint": workflow.proposed_fingerprint or None,
        "claimedBy": _id(workflow.claimed_by_id),
        "claimedAt": _time(workflow.claimed_at),
        "decision": str(workflow.decision) or None,
        "responseData": workflow.response_data,
        "responseFingerprint": workflow.response_fingerprint or None,
        "feedback": workflow.feedback,
        "respondedAt": _time(workflow.responded_at),
        "respondedBy": _id(workflow.responded_by_id),
        "respondedVia": str(workflow.responded_via) or None,
        "executionDueAt": _time(workflow.execution_due_at),
        "result": workflow.result,
        "error": workflow.error,
        "compensates": _id(workflow.compensates_id),
        "compensation": _id(workflow.compensation_id),
    }


# What events of older releases do not tell, and what was so then.
UNTOLD = {"askedRound": 1, "compensates": None, "compensation": None}


def whole(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored snapshot with what its release did not know yet."""
    return {**UNTOLD, **stored}


def _id(row_id: UUID | None) -> str | None:
    return str(row_id) if row_id else None


def _time(moment: dt.datetime | None) -> str | None:
    return moment.astimezone(dt.UTC).isoformat() if moment else None
