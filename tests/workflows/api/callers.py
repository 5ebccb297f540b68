"""Callers of the API as they stand outside: HTTP in, bytes out; and their usual steps."""

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client
from django.utils import timezone

from hitl.accounts.models import Agent, User
from hitl.accounts.services import issue_agent_token, issue_key, issue_user_token
from workflows import executions
from workflows.models import ExecutionAttempt

WORKFLOWS = "/api/v1/workflows"
REFUND: dict[str, Any] = {"amount": 120, "currency": "EUR", "orderId": "A-1009"}
REFUND_FORM: dict[str, Any] = {
    "fields": [
        {"name": "amount", "type": "integer", "label": "Amount", "required": True},
        {"name": "currency", "type": "select", "label": "Currency", "options": ["EUR", "USD"]},
    ]
}
REQUEST: dict[str, Any] = {
    "actionType": "payments.refund",
    "actionData": REFUND,
    "name": "Refund order A-1009",
    "uiSchema": REFUND_FORM,
}


@dataclass
class Caller:
    """A client with credentials. A body that is bytes is sent as it is."""

    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def get(self, path: str, params: Any = None, **headers: str) -> Any:
        return self.client.get(path, params, headers=self.headers | _named(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        kind = headers.pop("content_type", "application/json")
        return self.client.post(
            path, raw, content_type=kind, headers=self.headers | _named(headers)
        )

    def other(self, method: str, path: str, body: Any = None) -> Any:
        """PATCH, DELETE and what else there is."""
        raw = b"" if body is None and method == "DELETE" else json.dumps(body or {}).encode()
        kind = "application/json" if raw else ""
        return self.client.generic(method, path, raw, content_type=kind, headers=self.headers)

    def create(self, **changes: Any) -> dict[str, Any]:
        """A request that was accepted."""
        answer = self.post(WORKFLOWS, REQUEST | changes)
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def with_token(token: str) -> Caller:
    return Caller({"Authorization": f"Bearer {token}"})


def as_user(user: User) -> Caller:
    return with_token(issue_user_token(user))


def as_agent(agent: Agent, *scopes: str) -> Caller:
    """The agent with a fresh key; without scopes, with all of them."""
    return with_token(issue_key(agent, scopes=scopes)[1] if scopes else issue_agent_token(agent))


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def places(answer: Any) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


def decide(
    caller: Caller, workflow: dict[str, Any], decision: str = "approved", **changes: Any
) -> Any:
    body = {"decision": decision, "fingerprint": workflow["fingerprint"]} | changes
    return caller.post(f"{WORKFLOWS}/{workflow['workflowId']}/decide", body)


def approved(bot: Caller, ann: Caller) -> str:
    """An approved request; returns the path of its execution."""
    workflow = bot.create()
    assert decide(ann, workflow).status_code == 200
    return f"{WORKFLOWS}/{workflow['workflowId']}/execution"


def lose(bot: Caller, path: str) -> None:
    """Start the execution, then let its lease run out."""
    bot.post(f"{path}/execution/start")
    ExecutionAttempt.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert executions.lapse(ExecutionAttempt.objects.get().pk)
