"""The one list of event names, and of the places they come from."""

from django.db import models


class EventType(models.TextChoices):
    """What happened. The seed's names; new ones follow the same grammar.

    What was sent is named after its channel: `approval_sent("slack")`.
    """

    WORKFLOW_CREATED = "workflow.created"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_UNDELIVERABLE = "delivery.undeliverable"
    HUMAN_VIEWED = "human.viewed"
    HUMAN_RESPONDED = "human.responded"
    HUMAN_REFUSED = "human.refused"
    WORKFLOW_HELD = "workflow.held"
    WORKFLOW_ESCALATED = "workflow.escalated"
    WORKFLOW_REMINDED = "workflow.reminded"
    WORKFLOW_EXTENDED = "workflow.extended"
    WORKFLOW_CLAIMED = "workflow.claimed"
    WORKFLOW_RELEASED = "workflow.released"
    WORKFLOW_HANDED_OVER = "workflow.handed_over"
    STAND_IN_ASKED = "stand_in.asked"
    STAGE_OPENED = "stage.opened"
    RULE_APPLIED = "rule.applied"
    HUMAN_WITHDREW = "human.withdrew"
    HUMAN_COMMENTED = "human.commented"
    HUMAN_ASKED = "human.asked"
    AGENT_ANSWERED = "agent.answered"
    RECEIPT_ISSUED = "receipt.issued"
    RECEIPT_CONSUMED = "receipt.consumed"
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


def approval_sent(channel: str) -> str:
    """`approval.sent.slack`, `approval.sent.email`, …: the question went out over this channel."""
    return f"approval.sent.{channel}"


class Source(models.TextChoices):
    """Through which door an event or a decision came; a channel's own name is a door too."""

    API = "api", "API"
    DASHBOARD = "dashboard", "dashboard"
    ADMIN = "admin", "admin"
    SLACK = "slack", "Slack"
    EMAIL = "email", "e-mail"
    SMS = "sms", "SMS"
    RULE = "rule", "a rule"
    TIMEOUT_JOB = "timeout_job", "timeout job"
    ESCALATION_JOB = "escalation_job", "escalation job"
    RETRY_JOB = "retry_job", "retry job"
    EXECUTION_JOB = "execution_job", "execution job"
    COMMAND = "command", "command line"
    SYSTEM = "system", "system"
