"""Everything that can go wrong, as exceptions. The base of all is `HitlError`.

What the server refuses is a `ServerError` whose class follows from the stable `code` of its problem
document (RFC 9457); `str(error)` is the server's sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitl_client.models import Started, Workflow


class HitlError(Exception):
    """The base of everything this package raises. Can be copied and sent to other processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[HitlError], args: tuple[Any, ...], state: dict[str, Any]) -> HitlError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


# --- No usable answer -----------------------------------------------------------------------------


class Unreachable(HitlError):
    """No answer came: refused, dropped, too slow. Whether the request arrived is not known."""


class UnexpectedAnswer(HitlError):
    """Something answered, but not as the server does: a proxy, another service, half an answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


# --- Refusals of the server -----------------------------------------------------------------------


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with the input; `pointer` (RFC 6901, `?name` for a parameter) says where."""

    pointer: str
    message: str
    code: str = ""


class ServerError(HitlError):
    """The server understood and refused. `code` is stable; `request_id` is found in its log.

    `status` is that of HTTP, `workflow_status` tells (with 409) where the request stands, and
    `retry_after` is in seconds, None where the server named no time.
    """

    def __init__(
        self, problem: Mapping[str, Any], *, status: int, retry_after: float | None = None
    ) -> None:
        self.status = status
        self.code = _text(problem, "code")
        self.title = _text(problem, "title")
        self.detail = _text(problem, "detail") or self.title or f"The server answered {status}."
        self.request_id = _text(problem, "requestId")
        self.workflow_status = _text(problem, "workflowStatus")
        self.errors = _field_errors(problem.get("errors"))
        self.retry_after = retry_after
        self.raw = dict(problem)
        super().__init__(self.detail)

    def __str__(self) -> str:
        others = [f"{each.pointer}: {each.message}" for each in self.errors[1:]]
        return "\n  ".join([self.detail, *others])


class InvalidInput(ServerError):
    """`errors` names each place and how to mend it."""


class Unauthenticated(ServerError):
    """The key is missing, unknown, expired or revoked."""


class Forbidden(ServerError):
    """The key is known, but its agent may not do this."""


class NotFound(ServerError):
    """Absent, or in another team: the two look alike on purpose."""


class Conflict(ServerError):
    """Allowed to you, but not in the state in which the request is."""


class AlreadyDecided(Conflict):
    """Somebody has decided, or it was withdrawn."""


class Expired(Conflict):
    """The deadline has passed."""


class Answered(Conflict):
    """The question has another answer already."""


class KeyInUse(Conflict):
    """The first request with this idempotency key is still being worked on."""


class IllegalTransition(Conflict):
    """The request cannot go from here to there."""


class ExecutionConflict(Conflict):
    """Not approved, started by somebody else, carried out by the server, or the lease ran out."""


class NotApproved(Conflict):
    """There is no approval in force, so there is nothing to carry out."""


class Reconciling(Conflict):
    """The server was restored from a backup: do not act, and tell an operator what you know."""


class ReceiptInvalid(Conflict):
    """The receipt proves nothing, at least not here and now: do not act on it."""


class ReceiptConsumed(Conflict):
    """The approval has been used before: do not act on it again."""


class TooLarge(ServerError):
    """The request has more bytes than the server takes."""


class KeyReused(ServerError):
    """The idempotency key belongs to a request with another body."""


class RateLimited(ServerError):
    """Too many requests; `retry_after` says when to come again."""


class Internal(ServerError):
    """Something broke in the server; its log has it under `request_id`."""


class Unavailable(ServerError):
    """The server cannot answer just now, mostly because its database does not."""


# Every code an agent can be told; codes that newer servers add are told by their status.
CODES: dict[str, type[ServerError]] = {
    "validation": InvalidInput,
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "method-not-allowed": ServerError,
    "already-decided": AlreadyDecided,
    "asked-again": Conflict,
    "expired": Expired,
    "digest-mismatch": Conflict,
    "stage-moved": Conflict,
    "step-up-needed": Forbidden,
    "claimed": Conflict,
    "answered": Answered,
    "request-in-progress": KeyInUse,
    "illegal-transition": IllegalTransition,
    "execution-conflict": ExecutionConflict,
    "not-approved": NotApproved,
    "reconciling": Reconciling,
    "receipt-invalid": ReceiptInvalid,
    "receipt-consumed": ReceiptConsumed,
    "cannot-resend": Conflict,
    "webhook-off": Conflict,
    "export-too-large": Conflict,
    "conflict": Conflict,
    "too-large": TooLarge,
    "media-type": ServerError,
    "misdirected": ServerError,
    "key-reused": KeyReused,
    "rate-limited": RateLimited,
    "internal": Internal,
    "unavailable": Unavailable,
}
STATUSES: dict[int, type[ServerError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: RateLimited,
    500: Internal,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def from_problem(
    problem: Mapping[str, Any], *, status: int, retry_after: float | None = None
) -> ServerError:
    """The exception for an answer of 400 or above; an empty `problem` is told by its status."""
    code = problem.get("code")
    known = CODES.get(code) if isinstance(code, str) else None
    kind = known or STATUSES.get(status, ServerError)
    return kind(problem, status=status, retry_after=retry_after)


def _text(problem: Mapping[str, Any], name: str) -> str:
    found = problem.get(name)
    return found if isinstance(found, str) else ""


def _field_errors(found: Any) -> list[FieldError]:
    rows = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [
        FieldError(_text(row, "pointer"), _text(row, "message"), _text(row, "code")) for row in rows
    ]


# --- What is wrong on this side -------------------------------------------------------------------


class NotJson(HitlError, TypeError):
    """A value that JSON, or the server's strict reading, cannot hold; `pointer` says where."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"At {pointer}: {message}" if pointer else message)
        self.pointer = pointer


class WaitTimeout(HitlError, TimeoutError):
    """Your own time is over; the request is still open. `workflow` is as it was last seen."""

    def __init__(self, seconds: float, workflow: Workflow | None) -> None:
        super().__init__(f"Nothing has happened within {seconds:g} seconds; the request is open.")
        self.workflow = workflow


class FingerprintMismatch(HitlError):
    """The data is not the data that was approved. Nothing may be done with it."""


# --- No approval ----------------------------------------------------------------------------------


class NoApproval(HitlError):
    """The request has ended without an approval; `workflow` has the whole story."""

    def __init__(self, message: str, workflow: Workflow) -> None:
        super().__init__(message)
        self.workflow = workflow


class Rejected(NoApproval):
    """Somebody said no: `by` is their name, `feedback` what they said."""

    @property
    def by(self) -> str:
        """The name of who rejected; empty where a rule did."""
        person = self.workflow.responded_by
        return person.name if person else ""

    @property
    def feedback(self) -> str:
        """Why, in their words."""
        return self.workflow.feedback


class TimedOut(NoApproval):
    """Nobody answered before the deadline."""


class Cancelled(NoApproval):
    """The request was withdrawn."""


class AlreadyExecuted(HitlError):
    """This request was carried out before, so it is not again; `workflow` has its result."""

    def __init__(self, workflow: Workflow) -> None:
        super().__init__(f"The request is {workflow.status}: it has been carried out before.")
        self.workflow = workflow


# --- Carrying out ---------------------------------------------------------------------------------


class ActionFailed(HitlError):
    """Raise it while carrying out, to report a failure under a `code` of your own."""

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


class OutcomeUnknown(HitlError):
    """Raise it while carrying out, where you cannot know whether the action happened.

    Nothing is reported then: the lease runs out, and a person settles what became of it.
    """


class NotReported(HitlError):
    """The action was carried out, but the server could not be told. Do not do it again.

    `started` is the attempt, `result` what should have been reported: `client.complete(workflow,
    attempt=…, result=…)` may still tell it.
    """

    def __init__(self, started: Started, result: Any) -> None:
        super().__init__("The action was carried out, but its report did not reach the server.")
        self.started = started
        self.result = result
