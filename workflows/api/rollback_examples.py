"""Examples of states, what lies between them, and going back to one."""

from typing import Any

from workflows.api.examples import AGENT_ID, EVENT, PENDING

REJECTED_STATE: dict[str, Any] = {
    "seq": 6,
    "type": "workflow.rejected",
    "timestamp": "2026-11-23T16:58:21Z",
    "round": 1,
    "status": "REJECTED",
    "actor": {
        "kind": "user",
        "id": "019aaf1e-aabb-7ccd-9dde-ffaabbccddee",
        "name": "Ann Approver",
    },
    "source": "dashboard",
}
CREATED_STATE: dict[str, Any] = {
    "seq": 1,
    "type": "workflow.created",
    "timestamp": "2026-11-23T16:52:00Z",
    "round": 1,
    "status": "PENDING",
    "actor": {"kind": "agent", "id": AGENT_ID, "name": "refund-bot"},
    "source": "api",
}
WHOLE_STATE: dict[str, Any] = CREATED_STATE | {
    "stateSnapshot": EVENT["stateSnapshot"],
    "hash": EVENT["hash"],
}
DIFFERENCE: dict[str, Any] = {
    "older": CREATED_STATE,
    "newer": REJECTED_STATE,
    "operations": [
        {"op": "replace", "path": "/status", "value": "REJECTED"},
        {"op": "replace", "path": "/decision", "value": "rejected"},
    ],
    "changes": [
        {
            "pointer": "/status",
            "label": "Status",
            "kind": "changed",
            "old": "PENDING",
            "new": "REJECTED",
        },
        {
            "pointer": "/decision",
            "label": "Decision",
            "kind": "added",
            "old": None,
            "new": "rejected",
        },
    ],
}
ROLLBACKS: dict[str, Any] = {
    "Ask again": {"toSeq": 1, "round": 1, "reason": "The customer has sent new photos."},
    "Run again": {
        "toSeq": 4,
        "reason": "The payment provider was down; nothing was booked.",
        "acknowledgeUnknownEffects": True,
    },
}
ROLLED_BACK: dict[str, Any] = {
    "outcome": "asked-again",
    "workflow": PENDING | {"round": 2, "expiresAt": "2026-11-23T18:10:00Z"},
    "compensation": None,
}
