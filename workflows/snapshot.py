"""The complete state of a workflow as plain data, as it is stored with every event."""

import datetime as dt
from typing import Any

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
        "expiresAt": _time(workflow.expires_at),
        "timeoutAction": str(workflow.timeout_action),
        "heldAt": _time(workflow.held_at),
        "firstExpiresAt": _time(workflow.first_expires_at),
        "stage": workflow.stage,
        "stageOpenedAt": _time(workflow.stage_opened_at),
        "wave": workflow.wave,
        "proposedData": workflow.proposed_data,
        "proposedFingerprint": workflow.proposed_fingerprint or None,
        "claimedBy": str(workflow.claimed_by_id) if workflow.claimed_by_id else None,
        "claimedAt": _time(workflow.claimed_at),
        "decision": str(workflow.decision) or None,
        "responseData": workflow.response_data,
        "responseFingerprint": workflow.response_fingerprint or None,
        "feedback": workflow.feedback,
        "respondedAt": _time(workflow.responded_at),
        "respondedBy": str(workflow.responded_by_id) if workflow.responded_by_id else None,
        "respondedVia": str(workflow.responded_via) or None,
        "executionDueAt": _time(workflow.execution_due_at),
        "result": workflow.result,
        "error": workflow.error,
    }


def _time(moment: dt.datetime | None) -> str | None:
    return moment.astimezone(dt.UTC).isoformat() if moment else None
