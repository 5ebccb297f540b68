"""The examples of webhooks in the API's description."""

from typing import Any

from workflows.api.examples import TEAM_ID, WORKFLOW_ID

WEBHOOK_ID = "019aaf30-1111-7222-8333-444455556666"
MESSAGE_ID = "5f0d3c52-6a57-5e0e-9d1f-3b2a1c0d9e8f"
NEW: dict[str, Any] = {
    "Outcomes": {
        "url": "https://agents.example.com/hooks/hitl",
        "events": ["human.responded", "workflow.*"],
        "description": "The agents' platform",
    },
    "Everything": {"url": "https://log.example.com/in", "format": "cloudevents"},
}
WEBHOOK: dict[str, Any] = {
    "webhookId": WEBHOOK_ID,
    "teamId": TEAM_ID,
    "url": "https://agents.example.com/hooks/hitl",
    "description": "The agents' platform",
    "events": ["human.responded", "workflow.*"],
    "format": "standard",
    "signature": "v1",
    "publicKey": None,
    "previousSecretUntil": None,
    "isActive": True,
    "disabledReason": None,
    "disabledAt": None,
    "firstFailureAt": None,
    "createdAt": "2026-11-23T16:50:00Z",
    "updatedAt": "2026-11-23T16:50:00Z",
}
ISSUED: dict[str, Any] = WEBHOOK | {"secret": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
MESSAGE: dict[str, Any] = {
    "messageId": MESSAGE_ID,
    "webhookId": "msg_5f0d3c526a575e0e9d1f3b2a1c0d9e8f",
    "type": "workflow.completed",
    "workflowId": WORKFLOW_ID,
    "seq": 7,
    "status": "delivered",
    "attempts": 1,
    "nextAttemptAt": None,
    "lastError": "",
    "deliveredAt": "2026-11-23T16:58:01Z",
    "createdAt": "2026-11-23T16:58:00Z",
}
TEST: dict[str, Any] = MESSAGE | {
    "type": "webhook.test",
    "workflowId": None,
    "seq": None,
    "status": "pending",
    "attempts": 0,
    "nextAttemptAt": "2026-11-23T16:58:00Z",
    "deliveredAt": None,
}
MESSAGE_DETAIL: dict[str, Any] = MESSAGE | {
    "body": {
        "type": "workflow.completed",
        "timestamp": "2026-11-23T16:58:00Z",
        "data": {"workflowId": WORKFLOW_ID, "seq": 7, "status": "COMPLETED"},
    },
    "tries": [
        {
            "number": 1,
            "url": "https://agents.example.com/hooks/hitl",
            "startedAt": "2026-11-23T16:58:00Z",
            "finishedAt": "2026-11-23T16:58:01Z",
            "statusCode": 200,
            "answer": "ok",
            "error": "",
        }
    ],
}
