"""What it takes to ask: the plain, typed input of `services.create`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NewWorkflow:
    """A request as the agent sent it, its JSON already parsed strictly.

    `timeout_seconds` and `expires_at` are alternatives; None means the action type's or the
    server's default. `approvers` are e-mail addresses; empty means any approver of the team.
    `policy` names one of the team's policies; `requester` is the address of whoever the agent asks
    for.
    """

    action_type: str
    action_data: Any
    name: str = ""
    reason: str = ""
    ui_schema: dict[str, Any] | None = None
    approvers: list[str] = field(default_factory=list)
    timeout_seconds: int | None = None
    expires_at: Any = None  # aware datetime
    timeout_action: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    policy: str = ""
    requester: str = ""
