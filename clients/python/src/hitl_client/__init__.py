"""Ask a person before your agent acts: the Python client of hitl."""

from hitl_client import webhooks
from hitl_client.aio import AsyncClient
from hitl_client.approval import requires_approval
from hitl_client.client import Client
from hitl_client.errors import (
    ActionFailed,
    AlreadyDecided,
    AlreadyExecuted,
    Answered,
    Cancelled,
    Conflict,
    ExecutionConflict,
    Expired,
    FieldError,
    FingerprintMismatch,
    Forbidden,
    HitlError,
    IllegalTransition,
    Internal,
    InvalidInput,
    KeyInUse,
    KeyReused,
    NoApproval,
    NotApproved,
    NotFound,
    NotJson,
    NotReported,
    OutcomeUnknown,
    RateLimited,
    ReceiptConsumed,
    ReceiptInvalid,
    Reconciling,
    Rejected,
    ServerError,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from hitl_client.execution import Execution
from hitl_client.fingerprints import fingerprint
from hitl_client.models import (
    Actor,
    CheckedReceipt,
    ConsumedReceipt,
    Event,
    ExecutionState,
    FeedEvent,
    Lease,
    Person,
    Receipt,
    Remark,
    Speaker,
    Stage,
    Started,
    Workflow,
)
from hitl_client.vocabulary import (
    ActorKind,
    AttemptStatus,
    EventType,
    Executor,
    Reason,
    RemarkKind,
    Risk,
    Semantics,
    Source,
    SpeakerKind,
    TimeoutAction,
    Verdict,
    WorkflowStatus,
)

__version__ = "0.1.0"
__all__ = [
    "ActionFailed", "Actor", "ActorKind", "AlreadyDecided", "AlreadyExecuted", "Answered",
    "AsyncClient", "AttemptStatus", "Cancelled", "CheckedReceipt", "Client", "Conflict",
    "ConsumedReceipt", "Event", "EventType", "Execution", "ExecutionConflict", "ExecutionState",
    "Executor", "Expired", "FeedEvent", "FieldError", "FingerprintMismatch", "Forbidden",
    "HitlError", "IllegalTransition", "Internal", "InvalidInput", "KeyInUse", "KeyReused",
    "Lease", "NoApproval", "NotApproved", "NotFound", "NotJson", "NotReported",
    "OutcomeUnknown", "Person", "RateLimited", "Reason", "Receipt", "ReceiptConsumed",
    "ReceiptInvalid", "Reconciling", "Rejected", "Remark", "RemarkKind", "Risk", "Semantics",
    "ServerError", "Source", "Speaker", "SpeakerKind", "Stage", "Started", "TimedOut",
    "TimeoutAction", "TooLarge", "Unauthenticated", "Unavailable", "UnexpectedAnswer",
    "Unreachable", "Verdict", "WaitTimeout", "Workflow", "WorkflowStatus",
    "fingerprint", "requires_approval", "webhooks",
]  # fmt: skip
