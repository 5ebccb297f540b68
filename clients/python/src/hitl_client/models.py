"""What the server tells, as frozen dataclasses: snake_case here, camelCase on the wire.

Fields that this version does not know stay in `raw` and break nothing; fields that are missing make
the answer an UnexpectedAnswer, because half an answer is none.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

from hitl_client import vocabulary as words
from hitl_client.errors import UnexpectedAnswer

T = TypeVar("T")
M = TypeVar("M", bound="Model")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def instant(value: Any) -> datetime:
    """A time as the API writes it, in UTC. Python 3.10 reads neither `Z` nor every fraction."""
    found = _INSTANT.fullmatch(string(value))
    if found is None:
        raise ValueError("not a time with a zone")
    seconds, fraction, zone = found.groups()
    micros = f"{fraction or '':0<6}"[:6]
    offset = "+00:00" if zone == "Z" else zone
    return datetime.fromisoformat(f"{seconds}.{micros}{offset}").astimezone(timezone.utc)


def string(value: Any) -> str:
    """Text, and nothing else."""
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def whole(value: Any) -> int:
    """A whole number; true is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not a whole number")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def content(value: Any) -> dict[str, Any]:
    """A JSON object, kept as it is."""
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def anything(value: Any) -> Any:
    """Any JSON value, kept as it is."""
    return value


def maybe(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """The same, or null."""
    return lambda value: None if value is None else read(value)


def many(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A list of these."""

    def reads(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise TypeError("not a list")
        return tuple(read(each) for each in value)

    return reads


def wire(name: str, read: Callable[[Any], Any], *, optional: bool = False) -> Any:
    """A field called `name` on the wire; an `optional` one may be missing, and then is None."""
    return dataclasses.field(metadata={"name": name, "read": read, "optional": optional})


@dataclass(frozen=True)
class Model:
    """What the server said; `raw` has all of it."""

    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)

    @classmethod
    def parse(cls: type[M], raw: Any) -> M:
        """The object that a JSON object stands for. Raises UnexpectedAnswer."""
        if not isinstance(raw, dict):
            raise UnexpectedAnswer(f"The server sent no {cls.__name__}.")
        values: dict[str, Any] = {"raw": raw}
        for field in dataclasses.fields(cls):
            if field.metadata:
                values[field.name] = _read(cls, field.metadata, raw)
        return cls(**values)


def _read(cls: type[Model], spec: Mapping[str, Any], raw: Mapping[str, Any]) -> Any:
    name: str = spec["name"]
    if name not in raw and spec["optional"]:
        return None
    try:
        return spec["read"](raw[name])
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(
            f"The server sent a {cls.__name__} without a good {name}."
        ) from error


@dataclass(frozen=True)
class Person(Model):
    """Who decided, or looks after it."""

    name: str = wire("name", string)
    email: str | None = wire("email", string, optional=True)


@dataclass(frozen=True)
class Stage(Model):
    """The stage of the policy that is open, or was last; `index` counts from 0."""

    index: int = wire("index", whole)
    name: str = wire("name", string)
    of: int = wire("of", whole)


@dataclass(frozen=True)
class ExecutionState(Model):
    """Who carries the action out, and how far it has come."""

    by: words.Executor = wire("by", words.Executor)
    semantics: words.Semantics = wire("semantics", words.Semantics)
    attempt: int | None = wire("attempt", maybe(whole))
    status: words.AttemptStatus | None = wire("status", maybe(words.AttemptStatus))
    lease_until: datetime | None = wire("leaseUntil", maybe(instant))


@dataclass(frozen=True)
class Workflow(Model):
    """One request and its life."""

    workflow_id: str = wire("workflowId", string)
    name: str = wire("name", string)
    reason: str = wire("reason", string)
    agent_id: str = wire("agentId", string)
    action_type: str = wire("actionType", string)
    action_data: dict[str, Any] = wire("actionData", content)
    fingerprint: str = wire("fingerprint", string)
    ui_schema: dict[str, Any] | None = wire("uiSchema", maybe(content))
    risk: words.Risk = wire("risk", words.Risk)
    metadata: dict[str, Any] = wire("metadata", content)
    status: words.WorkflowStatus = wire("status", words.WorkflowStatus)
    round: int = wire("round", whole)
    approver_email: str | None = wire("approverEmail", maybe(string))
    approvers: tuple[str, ...] = wire("approvers", many(string))
    policy: dict[str, Any] = wire("policy", content)
    expires_at: datetime = wire("expiresAt", instant)
    timeout_action: words.TimeoutAction = wire("timeoutAction", words.TimeoutAction)
    requester: str | None = wire("requester", maybe(string))
    stage: Stage = wire("stage", Stage.parse)
    claimed_by: Person | None = wire("claimedBy", maybe(Person.parse))
    open_questions: int = wire("openQuestions", whole)
    proposed_data: Any = wire("proposedData", anything)
    current_fingerprint: str = wire("currentFingerprint", string)
    decision: words.Verdict | None = wire("decision", maybe(words.Verdict))
    response_data: Any = wire("responseData", anything)
    approved_fingerprint: str | None = wire("approvedFingerprint", maybe(string))
    feedback: str = wire("feedback", string)
    responded_at: datetime | None = wire("respondedAt", maybe(instant))
    responded_by: Person | None = wire("respondedBy", maybe(Person.parse))
    responded_via: words.Source | None = wire("respondedVia", maybe(words.Source))
    execution: ExecutionState = wire("execution", ExecutionState.parse)
    result: Any = wire("result", anything)
    error: Any = wire("error", anything)
    compensates: str | None = wire("compensates", maybe(string))
    compensation: str | None = wire("compensation", maybe(string))
    url: str = wire("url", string)
    created_at: datetime = wire("createdAt", instant)
    updated_at: datetime = wire("updatedAt", instant)

    def __repr__(self) -> str:
        return f"Workflow({self.workflow_id!r}, {self.action_type!r}, {self.status.value!r})"


@dataclass(frozen=True)
class Started(Model):
    """A running attempt with the data to act on."""

    attempt: int = wire("attempt", whole)
    lease_until: datetime = wire("leaseUntil", instant)
    fingerprint: str = wire("fingerprint", string)
    data: Any = wire("data", anything)
    workflow: Workflow = wire("workflow", Workflow.parse)


@dataclass(frozen=True)
class Lease(Model):
    """A lease that starts anew."""

    attempt: int = wire("attempt", whole)
    lease_until: datetime = wire("leaseUntil", instant)


@dataclass(frozen=True)
class Actor(Model):
    """Who did it; `id` is empty for the system."""

    kind: words.ActorKind = wire("kind", words.ActorKind)
    id: str = wire("id", string)
    name: str = wire("name", string)


@dataclass(frozen=True)
class Event(Model):
    """One fact, with the complete state after it."""

    seq: int = wire("seq", whole)
    type: words.EventType = wire("type", words.EventType)
    timestamp: datetime = wire("timestamp", instant)
    round: int = wire("round", whole)
    status: words.WorkflowStatus = wire("status", words.WorkflowStatus)
    actor: Actor = wire("actor", Actor.parse)
    source: words.Source = wire("source", words.Source)
    data: dict[str, Any] = wire("data", content)
    state_snapshot: dict[str, Any] = wire("stateSnapshot", content)
    previous_hash: str = wire("previousHash", string)
    hash: str = wire("hash", string)


@dataclass(frozen=True)
class FeedEvent(Event):
    """One fact in the feed of all requests; go on behind it with `follow(after=event.cursor)`."""

    cursor: str = wire("cursor", string)
    workflow_id: str = wire("workflowId", string)
    team_id: str = wire("teamId", string)


@dataclass(frozen=True)
class FeedPage(Model):
    """Some events of all requests, each request's in order."""

    items: tuple[FeedEvent, ...] = wire("items", many(FeedEvent.parse))
    next: str = wire("next", string)


@dataclass(frozen=True)
class EventPage(Model):
    """Some events, oldest first."""

    items: tuple[Event, ...] = wire("items", many(Event.parse))
    next_after: int | None = wire("nextAfter", maybe(whole))


@dataclass(frozen=True)
class Speaker(Model):
    """Who said it."""

    kind: words.SpeakerKind = wire("kind", words.SpeakerKind)
    name: str = wire("name", string)
    email: str | None = wire("email", string, optional=True)


@dataclass(frozen=True)
class Remark(Model):
    """A comment, a question to the agent, or its answer."""

    remark_id: str = wire("remarkId", string)
    kind: words.RemarkKind = wire("kind", words.RemarkKind)
    text: str = wire("text", string)
    question_id: str | None = wire("questionId", maybe(string))
    by: Speaker = wire("by", Speaker.parse)
    via: words.Source = wire("via", words.Source)
    round: int = wire("round", whole)
    created_at: datetime = wire("createdAt", instant)


@dataclass(frozen=True)
class RemarkPage(Model):
    """Everything that was said, oldest first."""

    items: tuple[Remark, ...] = wire("items", many(Remark.parse))


@dataclass(frozen=True)
class Receipt(Model):
    """A receipt that was just issued: hand on `receipt`, over TLS and to nobody else."""

    receipt_id: str = wire("receiptId", string)
    receipt: str = wire("receipt", string)
    expires_at: datetime = wire("expiresAt", instant)
    claims: dict[str, Any] = wire("claims", content)

    def __repr__(self) -> str:
        return f"Receipt({self.receipt_id!r})"


@dataclass(frozen=True)
class CheckedReceipt(Model):
    """Whether somebody may act on a receipt; `claims` is None where it is not the team's."""

    valid: bool = wire("valid", flag)
    reason: words.Reason | None = wire("reason", maybe(words.Reason))
    detail: str = wire("detail", string)
    claims: Any = wire("claims", anything)
    consumed_at: datetime | None = wire("consumedAt", maybe(instant))
    consumed_by: str | None = wire("consumedBy", maybe(string))


@dataclass(frozen=True)
class ConsumedReceipt(Model):
    """The receipt is used: act now, on the data of this fingerprint. Nobody else may."""

    receipt_id: str = wire("receiptId", string)
    workflow_id: str = wire("workflowId", string)
    fingerprint: str = wire("fingerprint", string)
    consumed_at: datetime = wire("consumedAt", instant)
    consumed_by: str = wire("consumedBy", string)
    claims: dict[str, Any] = wire("claims", content)
