"""Examples of policies and rules for the OpenAPI document; a test holds them against the schema."""

from typing import Any

_CFO, _DEPUTY = "019aaf27-7d2f-7c7b-8a5e-1b2c3d4e5f70", "019aaf27-7d2f-7c7b-8a5e-1b2c3d4e5f71"
_TEAM = "019aaf27-7d2f-7c7b-8a5e-1b2c3d4e5f72"
_PACE: dict[str, Any] = {
    "reminders": [{"after": 3600}],
    "escalation": [{"after": 14400, "to": {"users": [_DEPUTY]}, "count": 1}],
    "timeoutAction": "reject",
}
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "name": "Large refunds",
    "allowOwner": False,
    "timeoutSeconds": 86400,
    "stages": [
        {
            "name": "Finance",
            "need": {"who": {"group": "finance"}, "count": 2},
            "onReject": "deny",
            **_PACE,
        },
        {
            "name": "CFO",
            "need": {"who": {"users": [_CFO]}, "count": 1},
            "onReject": "deny",
            "when": "data.amount > 10000",
            **_PACE,
        },
    ],
}
SIMPLE: dict[str, Any] = {
    "name": "Large refunds",
    "stages": [{"name": "Finance", "need": {"who": {"group": "finance"}, "count": 2}}],
}
NEW: dict[str, Any] = {"document": DOCUMENT, "note": "As agreed in November"}
CHANGE: dict[str, Any] = {"document": SIMPLE, "version": 1, "note": "The CFO trusts Finance"}
TRY: dict[str, Any] = {"document": SIMPLE, "actionType": "payments.refund", "last": 200}
POLICY: dict[str, Any] = {
    "policyId": "019aaf27-7d2f-7c7b-8a5e-1b2c3d4e5f73",
    "teamId": _TEAM,
    "name": "Large refunds",
    "version": 1,
    "document": DOCUMENT,
    "inWords": [
        "Two of Finance, then Cleo Chief if amount is more than 10,000.",
        "Finance: One rejection rejects the request.",
    ],
    "usedBy": ["the action type payments.refund"],
    "isDefault": False,
    "archivedAt": None,
    "createdAt": "2026-11-23T16:52:00Z",
    "updatedAt": "2026-11-23T16:52:00Z",
}
VERSION: dict[str, Any] = {
    "version": 1,
    "document": DOCUMENT,
    "note": "As agreed in November",
    "createdBy": "Mia Manager",
    "createdAt": "2026-11-23T16:52:00Z",
}
_RULE: dict[str, Any] = {
    "name": "Small refunds",
    "when": 'action_type == "payments.refund" && data.amount < 50',
    "then": "approve",
    "until": "2027-01-01T00:00:00Z",
    "budget": {"count": 20, "per": 86400},
}
CHANGE_RULES: dict[str, Any] = {"rules": [_RULE], "version": 0}
RULES: dict[str, Any] = {
    "teamId": _TEAM,
    "version": 1,
    "rules": [_RULE],
    "inWords": [
        'If action type is "payments.refund" and amount is less than 50, it is approved without '
        "asking anybody: at most 20 times within 1 day, until 2027-01-01."
    ],
    "note": "",
    "createdBy": "Mia Manager",
    "createdAt": "2026-11-23T16:52:00Z",
}
TRIAL: dict[str, Any] = {
    "tried": 200,
    "summary": "1 of the last 200 requests would have gone another way.",
    "differences": [
        {
            "workflowId": "019aaf27-7d2f-7c7b-8a5e-1b2c3d4e5f74",
            "name": "Refund order A-1009",
            "before": "Approved",
            "after": "Not decided by these answers",
            "why": ["Stage 'Finance': 1 of 2, waiting for Finance."],
        }
    ],
    "outcomes": [
        {"outcome": "Approved", "before": 180, "after": 179},
        {"outcome": "Not decided by these answers", "before": 20, "after": 21},
    ],
}
