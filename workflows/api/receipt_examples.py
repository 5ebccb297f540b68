"""Examples of receipts for the API's description."""

from typing import Any

from workflows.api import examples

JWKS = {
    "keys": [
        {
            "crv": "Ed25519",
            "kty": "OKP",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "use": "sig",
            "alg": "EdDSA",
        }
    ]
}
RECEIPT_ID = "019aaf2e-5a6b-7c8d-9e0f-1a2b3c4d5e6f"
RECEIPT = "eyJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiIsInR5cCI6ImhpdGwtcmVjZWlwdCtqd3QifQ.eyJhY3Rpb24.c2ln"
CLAIMS: dict[str, Any] = {
    "iss": "https://approvals.example.com",
    "sub": examples.WORKFLOW_ID,
    "jti": RECEIPT_ID,
    "aud": "billing.example.com",
    "iat": 1795453200,
    "nbf": 1795453200,
    "exp": 1795453500,
    "format": 1,
    "actionType": "payments.refund",
    "fingerprint": examples.EDITED_FINGERPRINT,
    "verdict": "modified",
    "agent": {"id": examples.AGENT_ID, "name": "refund-bot"},
    "requester": None,
    "decidedBy": {"kind": "people", "rule": None},
    "approvers": [
        {
            "id": "019aaf1f-aaaa-7bbb-8ccc-ddddeeeeffff",
            "name": "Ann Approver",
            "onBehalfOf": None,
            "verdict": "modified",
            "stage": 0,
            "at": "2026-11-23T16:58:21.000Z",
            "via": "dashboard",
            "strength": "passkey",
        }
    ],
    "policy": {"id": None, "name": "Anyone named", "version": None},
    "round": 1,
    "team": {"id": examples.TEAM_ID, "name": "Payments"},
    "requestedAt": "2026-11-23T16:52:00.000Z",
    "decidedAt": "2026-11-23T16:58:21.000Z",
}
ISSUED = {
    "receiptId": RECEIPT_ID,
    "receipt": RECEIPT,
    "expiresAt": "2026-11-23T17:05:00Z",
    "claims": CLAIMS,
}
PRESENTED = {
    "receipt": RECEIPT,
    "audience": "billing.example.com",
    "fingerprint": examples.EDITED_FINGERPRINT,
}
VALID = {
    "valid": True,
    "reason": None,
    "detail": "",
    "claims": CLAIMS,
    "consumedAt": None,
    "consumedBy": None,
}
USED = VALID | {
    "valid": False,
    "reason": "consumed",
    "detail": "The receipt has been used. Do not act again.",
    "consumedAt": "2026-11-23T17:01:12Z",
    "consumedBy": "billing/7",
}
CONSUMED = {
    "receiptId": RECEIPT_ID,
    "workflowId": examples.WORKFLOW_ID,
    "fingerprint": examples.EDITED_FINGERPRINT,
    "consumedAt": "2026-11-23T17:01:12Z",
    "consumedBy": "billing/7",
    "claims": CLAIMS,
}
