"""The examples in the API's description. A test holds each against the schema it illustrates."""

import json
from typing import Any

FORM: dict[str, Any] = {
    "fields": [
        {"name": "amount", "type": "number", "label": "Amount", "required": True},
        {"name": "orderId", "type": "string", "label": "Order", "readOnly": True},
    ]
}
ACTION_DATA: dict[str, Any] = {"amount": 120, "orderId": "A-1009"}
EDITED: dict[str, Any] = {"amount": 100, "orderId": "A-1009"}
FINGERPRINT = "sha256:7f2fa62dd6cc57efc43d7e0a0c20ebb3e1e3ea24a9b0a6c8d4e2ad3d5a3d0c11"
EDITED_FINGERPRINT = "sha256:0c8f6f4b7b0e5d1a3f2e4d5c6b7a89900112233445566778899aabbccddeeff0"
WORKFLOW_ID = "019aaf27-6c1e-7b6a-9f6e-0d4b1c2a3f10"
AGENT_ID = "019aaf20-0b1c-7d2e-8f3a-4b5c6d7e8f90"
TEAM_ID = "019aaf1f-ffee-7ddc-bbaa-998877665544"

NEW_WORKFLOW: dict[str, Any] = {
    "Refund": {
        "actionType": "payments.refund",
        "actionData": ACTION_DATA,
        "name": "Refund order A-1009",
        "reason": "The parcel arrived damaged; the customer sent photos.",
        "uiSchema": FORM,
        "approverEmail": "ann@example.com",
        "timeoutSeconds": 3600,
        "timeoutAction": "reject",
        "metadata": {"run": "2026-11-23/17"},
    },
    "The least": {"actionType": "email.send", "actionData": {"to": "joe@example.com"}},
}
UI_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number", "title": "Amount"},
        "orderId": {"type": "string", "title": "Order", "readOnly": True},
    },
    "required": ["amount"],
}
PENDING: dict[str, Any] = {
    "workflowId": WORKFLOW_ID,
    "name": "Refund order A-1009",
    "reason": "The parcel arrived damaged; the customer sent photos.",
    "agentId": AGENT_ID,
    "actionType": "payments.refund",
    "actionData": ACTION_DATA,
    "fingerprint": FINGERPRINT,
    "uiSchema": UI_SCHEMA,
    "risk": "medium",
    "metadata": {"run": "2026-11-23/17"},
    "status": "PENDING",
    "round": 1,
    "approverEmail": "ann@example.com",
    "approvers": ["ann@example.com"],
    "policy": {
        "format": 1,
        "name": "Anyone named",
        "allowOwner": False,
        "stages": [
            {
                "name": "Anyone named",
                "need": {"who": {"users": ["019aaf1f-aaaa-7bbb-8ccc-ddddeeeeffff"]}, "count": 1},
                "onReject": "deny",
                "timeoutAction": "reject",
            }
        ],
    },
    "requester": None,
    "stage": {"index": 0, "name": "Anyone named", "of": 1},
    "proposedData": None,
    "currentFingerprint": FINGERPRINT,
    "expiresAt": "2026-11-23T17:52:00Z",
    "timeoutAction": "reject",
    "decision": None,
    "responseData": None,
    "approvedFingerprint": None,
    "claimedBy": None,
    "openQuestions": 0,
    "feedback": "",
    "respondedAt": None,
    "respondedBy": None,
    "respondedVia": None,
    "execution": {
        "by": "agent",
        "semantics": "at_most_once",
        "attempt": None,
        "status": None,
        "leaseUntil": None,
    },
    "result": None,
    "error": None,
    "compensates": None,
    "compensation": None,
    "url": f"http://localhost:4000/workflows/{WORKFLOW_ID}/",
    "createdAt": "2026-11-23T16:52:00Z",
    "updatedAt": "2026-11-23T16:52:00Z",
}
MODIFIED: dict[str, Any] = PENDING | {
    "status": "APPROVED",
    "decision": "modified",
    "responseData": EDITED,
    "approvedFingerprint": EDITED_FINGERPRINT,
    "feedback": "Shipping is not refunded.",
    "respondedAt": "2026-11-23T16:58:21Z",
    "respondedBy": {"name": "Ann Approver"},
    "respondedVia": "dashboard",
    "updatedAt": "2026-11-23T16:58:21Z",
}
EXECUTING: dict[str, Any] = MODIFIED | {
    "status": "EXECUTING",
    "execution": PENDING["execution"]
    | {"attempt": 1, "status": "open", "leaseUntil": "2026-11-23T17:03:22Z"},
}
COMPLETED: dict[str, Any] = MODIFIED | {
    "status": "COMPLETED",
    "execution": PENDING["execution"] | {"attempt": 1, "status": "succeeded"},
    "result": {"refundId": "re_8Q2"},
}
FAILED: dict[str, Any] = MODIFIED | {
    "status": "FAILED",
    "execution": PENDING["execution"] | {"attempt": 1, "status": "failed"},
    "error": {"code": "declined", "message": "Card expired"},
}
DECISIONS: dict[str, Any] = {
    "Approve": {"decision": "approved", "fingerprint": FINGERPRINT},
    "Approve with edits": {
        "decision": "modified",
        "fingerprint": FINGERPRINT,
        "responseData": EDITED,
        "feedback": "Shipping is not refunded.",
    },
    "Reject": {
        "decision": "rejected",
        "fingerprint": FINGERPRINT,
        "feedback": "The customer has been refunded already.",
    },
}
DECIDED: dict[str, Any] = {
    "decisionId": "019aaf2d-3c4d-7e5f-9a6b-7c8d9e0f1a2b",
    "replayed": False,
    "isEffective": True,
    "workflow": MODIFIED,
}
STARTED: dict[str, Any] = {
    "attempt": 1,
    "leaseUntil": "2026-11-23T17:03:22Z",
    "fingerprint": EDITED_FINGERPRINT,
    "data": EDITED,
    "workflow": EXECUTING,
}
EVENT: dict[str, Any] = {
    "seq": 1,
    "type": "workflow.created",
    "timestamp": "2026-11-23T16:52:00Z",
    "round": 1,
    "status": "PENDING",
    "actor": {"kind": "agent", "id": AGENT_ID, "name": "refund-bot"},
    "source": "api",
    "data": {"fingerprint": FINGERPRINT, "approvers": ["Ann Approver"]},
    "stateSnapshot": {"workflowId": WORKFLOW_ID, "status": "PENDING", "round": 1},
    "previousHash": "",
    "hash": "5d41402abc4b2a76b9719d911017c592ae2d6f1f7a0d4c0a9b3e8f7d6c5b4a39",
}
FEED_PAGE: dict[str, Any] = {
    "items": [EVENT | {"cursor": "81204-5117", "workflowId": WORKFLOW_ID, "teamId": TEAM_ID}],
    "next": "81204-5117",
}
FEED_STREAM = (
    "retry: 2000\n\n"
    "id: 81204-5117\nevent: workflow.created\n"
    f"data: {json.dumps(FEED_PAGE['items'][0])}\n\n"
)
ACTION_TYPE: dict[str, Any] = {
    "name": "payments.refund",
    "title": "Refund",
    "description": "Gives money back to a customer.",
    "teamId": TEAM_ID,
    "dataSchema": {
        "type": "object",
        "properties": {"amount": {"type": "number", "maximum": 500}},
        "required": ["amount"],
    },
    "uiSchema": None,
    "risk": "medium",
    "timeoutSeconds": 3600,
    "timeoutAction": "reject",
    "executedBy": "agent",
    "semantics": "at_most_once",
    "compensation": "payments.charge",
}
DELIVERY: dict[str, Any] = {
    "deliveryId": "019aaf27-7d2f-7c7b-8a5e-1b2c3d4e5f60",
    "workflowId": WORKFLOW_ID,
    "round": 1,
    "kind": "approval",
    "channel": "slack",
    "person": "Ann Approver",
    "recipient": "T012AB3C4:U045DE6F7",
    "status": "failed",
    "attempts": 6,
    "maxAttempts": 6,
    "nextRetryAt": None,
    "lastError": "Slack refuses: the app is not in that channel; invite it (not_in_channel).",
    "metadata": {},
    "sentAt": None,
    "deliveredAt": None,
    "createdAt": "2026-11-23T16:52:00Z",
}
RESENT: dict[str, Any] = DELIVERY | {
    "status": "pending",
    "attempts": 0,
    "nextRetryAt": "2026-11-23T17:20:41Z",
}
