"""What the Workflow Manager keeps, by subject; import everything from here."""

from workflows.models.conversation import Remark
from workflows.models.policy import FiredStep, HandOver, Policy, PolicyVersion, RuleSet, RuleUse
from workflows.models.receipt import Receipt
from workflows.models.statistics import ApproverCount, CountedDay, CountMark, RequestCount
from workflows.models.workflow import (
    AFTER_APPROVAL,
    SETTLED,
    ActionType,
    Decision,
    ExecutionAttempt,
    Executor,
    IdempotencyKey,
    Risk,
    Semantics,
    Status,
    TimeoutAction,
    Verdict,
    View,
    Withdrawal,
    Workflow,
    doors,
)

__all__ = [
    "AFTER_APPROVAL",
    "SETTLED",
    "ActionType",
    "ApproverCount",
    "CountMark",
    "CountedDay",
    "Decision",
    "ExecutionAttempt",
    "Executor",
    "FiredStep",
    "HandOver",
    "IdempotencyKey",
    "Policy",
    "PolicyVersion",
    "Receipt",
    "Remark",
    "RequestCount",
    "Risk",
    "RuleSet",
    "RuleUse",
    "Semantics",
    "Status",
    "TimeoutAction",
    "Verdict",
    "View",
    "Withdrawal",
    "Workflow",
    "doors",
]
