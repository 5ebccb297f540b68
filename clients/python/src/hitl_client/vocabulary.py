"""The closed lists of the API as enums that also take words they do not know yet.

Each member is its text (`WorkflowStatus.PENDING == "PENDING"`); what a newer server says becomes a
member of its own with `is_known` False, so that nothing breaks.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class Word(str, Enum):
    """One word out of a list that may grow."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """Whether this version of the client knows the word."""
        return self._name_ in type(self).__members__

    __str__ = str.__str__
    __format__ = str.__format__  # type: ignore[assignment]  # that of text, not of enums
    __hash__ = str.__hash__


class WorkflowStatus(Word):
    """Where a request stands."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_decided(self) -> bool:
        """Nobody is asked any more."""
        return self != WorkflowStatus.PENDING

    @property
    def is_settled(self) -> bool:
        """It is over: nothing is to be expected but a rollback."""
        return self in _SETTLED


_SETTLED = ("REJECTED", "TIMEOUT", "CANCELLED", "COMPLETED", "FAILED")


class Verdict(Word):
    """What people decided."""

    APPROVED = "approved"
    REJECTED = "rejected"
    MODIFIED = "modified"


class Risk(Word):
    """How much is at stake."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class TimeoutAction(Word):
    """What silence means."""

    REJECT = "reject"
    ESCALATE = "escalate"
    HOLD = "hold"
    APPROVE = "approve"


class Executor(Word):
    """Who carries the action out."""

    AGENT = "agent"
    HTTP = "http"
    EMAIL = "email"
    FUNCTION = "function"


class Semantics(Word):
    """Whether it may be tried again."""

    IDEMPOTENT = "idempotent"
    AT_MOST_ONCE = "at_most_once"


class AttemptStatus(Word):
    """What became of an attempt."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LAPSED = "lapsed"


class ActorKind(Word):
    """What sort of actor did it."""

    AGENT = "agent"
    USER = "user"
    SYSTEM = "system"


class SpeakerKind(Word):
    """Who speaks."""

    USER = "user"
    AGENT = "agent"


class RemarkKind(Word):
    """What sort of words."""

    COMMENT = "comment"
    QUESTION = "question"
    ANSWER = "answer"


class Source(Word):
    """The door through which it came."""

    EMAIL = "email"
    SLACK = "slack"
    SMS = "sms"
    TELEGRAM = "telegram"
    API = "api"
    DASHBOARD = "dashboard"
    ADMIN = "admin"
    RULE = "rule"
    TIMEOUT_JOB = "timeout_job"
    ESCALATION_JOB = "escalation_job"
    RETRY_JOB = "retry_job"
    EXECUTION_JOB = "execution_job"
    COMMAND = "command"
    SYSTEM = "system"


class Reason(Word):
    """Why a receipt proves nothing."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    FORGED = "forged"
    UNKNOWN = "unknown"
    CONSUMED = "consumed"
    REPLACED = "replaced"
    VOID = "void"
    HELD = "held"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    WRONG_AUDIENCE = "wrong-audience"
    FINGERPRINT_MISMATCH = "fingerprint-mismatch"


class EventType(Word):
    """What happened. Channels and newer servers add to these."""

    WORKFLOW_CREATED = "workflow.created"
    APPROVAL_SENT_EMAIL = "approval.sent.email"
    APPROVAL_SENT_SLACK = "approval.sent.slack"
    APPROVAL_SENT_SMS = "approval.sent.sms"
    APPROVAL_SENT_TELEGRAM = "approval.sent.telegram"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_UNDELIVERABLE = "delivery.undeliverable"
    HUMAN_VIEWED = "human.viewed"
    HUMAN_RESPONDED = "human.responded"
    HUMAN_REFUSED = "human.refused"
    HUMAN_WITHDREW = "human.withdrew"
    HUMAN_COMMENTED = "human.commented"
    HUMAN_ASKED = "human.asked"
    AGENT_ANSWERED = "agent.answered"
    RECEIPT_ISSUED = "receipt.issued"
    RECEIPT_CONSUMED = "receipt.consumed"
    STAND_IN_ASKED = "stand_in.asked"
    STAGE_OPENED = "stage.opened"
    RULE_APPLIED = "rule.applied"
    WORKFLOW_HELD = "workflow.held"
    WORKFLOW_ESCALATED = "workflow.escalated"
    WORKFLOW_REMINDED = "workflow.reminded"
    WORKFLOW_EXTENDED = "workflow.extended"
    WORKFLOW_CLAIMED = "workflow.claimed"
    WORKFLOW_RELEASED = "workflow.released"
    WORKFLOW_HANDED_OVER = "workflow.handed_over"
    ACTION_EXECUTING = "action.executing"
    ACTION_RETRYING = "action.retrying"
    WORKFLOW_COMPLETED = "workflow.completed"
    WORKFLOW_FAILED = "workflow.failed"
    WORKFLOW_UNKNOWN = "workflow.unknown"
    WORKFLOW_REJECTED = "workflow.rejected"
    WORKFLOW_TIMEOUT = "workflow.timeout"
    WORKFLOW_CANCELLED = "workflow.cancelled"
    WORKFLOW_ROLLED_BACK = "workflow.rolled_back"
    COMPENSATION_ASKED = "compensation.asked"
    WORKFLOW_RECONCILED = "workflow.reconciled"
