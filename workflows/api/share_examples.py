"""Examples of what people and agents do around a decision."""

from typing import Any

from workflows.api.examples import FINGERPRINT, WORKFLOW_ID

REMARK_ID = "019aaf28-0a1b-7c2d-8e3f-4a5b6c7d8e9f"
OTHER_ID = "019aaf27-7d2f-7c8b-8f7e-1e5c2d3b4a21"
DECISION_ID = "019aaf29-1b2c-7d3e-9f40-5b6c7d8e9fa0"
PERSON_ID = "019aaf1e-aabb-7ccd-9dde-ffaabbccddee"

HAND_OVER: dict[str, Any] = {"to": PERSON_ID, "reason": "You know this customer."}
NEW_REMARKS: dict[str, Any] = {
    "A person asks": {"kind": "question", "text": "Which of the two lamps is broken?"},
    "The agent answers": {"kind": "answer", "questionId": REMARK_ID, "text": "The tall one."},
    "A comment": {"kind": "comment", "text": "I called the customer: it is true."},
}
QUESTION: dict[str, Any] = {
    "remarkId": REMARK_ID,
    "kind": "question",
    "text": "Which of the two lamps is broken?",
    "questionId": None,
    "by": {"kind": "user", "name": "Ann Approver", "email": "ann@example.com"},
    "via": "dashboard",
    "round": 1,
    "createdAt": "2026-11-23T16:48:00Z",
}
BATCH: dict[str, Any] = {
    "decision": "approved",
    "items": [
        {"workflowId": WORKFLOW_ID, "fingerprint": FINGERPRINT, "stage": 0},
        {"workflowId": OTHER_ID, "fingerprint": FINGERPRINT},
    ],
}
BATCH_ANSWER: dict[str, Any] = {
    "results": [
        {
            "workflowId": WORKFLOW_ID,
            "recorded": True,
            "code": "",
            "detail": "Approved.",
            "status": "APPROVED",
            "decisionId": DECISION_ID,
            "isEffective": True,
        },
        {
            "workflowId": OTHER_ID,
            "recorded": False,
            "code": "already-decided",
            "detail": "Already approved by Carl in e-mail at 2026-11-23 16:52 UTC.",
            "status": "APPROVED",
            "decisionId": None,
            "isEffective": False,
        },
    ]
}
