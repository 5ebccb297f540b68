"""One carried-out action, from the claim to the report: the part that both clients share.

Invariant: the body of an execution never runs on data other than what was approved, and what its
end is reported as is what is known about it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from hitl_client.core import Core
from hitl_client.errors import (
    ActionFailed,
    ExecutionConflict,
    FingerprintMismatch,
    HitlError,
    InvalidInput,
    NotJson,
    NotReported,
    OutcomeUnknown,
    TooLarge,
)
from hitl_client.json_values import check
from hitl_client.models import Started, Workflow
from hitl_client.sending import Pause, Steps
from hitl_client.vocabulary import WorkflowStatus

logger = logging.getLogger("hitl_client")

MESSAGE_LIMIT = 2000  # characters of an exception that are reported
QUICKEST_BEAT = 0.2


@dataclass
class Execution:
    """What the body of `with client.execution(workflow) as run:` gets.

    Act on `data`, use `key` as the idempotency key of whoever you call, put what came of it into
    `result`. `lease_lost` turns true when the server gave the attempt up: then stop if you can.
    Afterwards `workflow` is the request as it ended.
    """

    workflow: Workflow
    started: Started
    data: Any = field(repr=False)
    raw: bytes = field(repr=False)
    result: Any = None
    lease_lost: bool = False

    @property
    def attempt(self) -> int:
        """The number of the attempt."""
        return self.started.attempt

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of `raw`, as people approved it."""
        return self.started.fingerprint

    @property
    def key(self) -> str:
        """The same at every try to carry out this approval, and at no other."""
        return f"{self.workflow.workflow_id}-{self.workflow.round}"


def begin(core: Core, workflow: Workflow | str, executor: str) -> Steps[tuple[Execution, float]]:
    """Check the data, claim the action; the execution, and the seconds that its lease lasts.

    Raises NotApproved, ExecutionConflict, or FingerprintMismatch: then nothing may be done.
    """
    approved = yield from core.approved(workflow)
    started, seconds = yield from core.claim(workflow, executor)
    run = Execution(started.workflow, started, approved.data, approved.raw)
    if started.fingerprint != approved.fingerprint:
        # Rolled back and approved anew between the two calls: what we hold is of the other round.
        error = FingerprintMismatch("The approval changed while the action was being claimed.")
        yield from finish(core, run, error)
        raise error
    return run, seconds


def keep_alive(core: Core, run: Execution, seconds: float) -> Steps[None]:
    """Send heartbeats for ever, three within a lease; ends only where the lease is lost."""
    pause = seconds / 3
    while True:
        yield Pause(max(pause, QUICKEST_BEAT))
        try:
            _, seconds = yield from core.beat(run.workflow, run.attempt, patience=seconds / 3)
            pause = seconds / 3
        except ExecutionConflict as error:
            run.lease_lost = True
            logger.warning("The lease of attempt %s is lost: %s", run.attempt, error)
            return
        except HitlError as error:
            pause = seconds / 6
            logger.warning("A heartbeat failed: %s", error)


def finish(core: Core, run: Execution, error: BaseException | None) -> Steps[None]:
    """Report how the body ended: its result, its exception, or nothing where nothing is known.

    What interrupts from outside (Ctrl-C, cancellation) leaves the outcome unknown. Raises
    NotReported where a success could not be told; a failure that cannot be told is only logged.
    """
    if error is None:
        yield from _report_success(core, run)
    elif isinstance(error, Exception) and not isinstance(error, OutcomeUnknown):
        try:
            run.workflow = yield from core.fail(
                run.workflow, attempt=run.attempt, error=told(error), patience=core.patience
            )
        except HitlError as trouble:
            logger.warning("The failure of attempt %s is not reported: %s", run.attempt, trouble)


def _report_success(core: Core, run: Execution) -> Steps[None]:
    try:
        try:
            run.workflow = yield from _complete(core, run, reportable(run.result))
        except (InvalidInput, TooLarge) as refusal:
            # The action has happened: its report must not fail because of what it brings along.
            run.workflow = yield from _complete(core, run, {"unreportable": str(refusal)})
    except HitlError as trouble:
        raise NotReported(run.started, run.result) from trouble
    if run.workflow.status != WorkflowStatus.COMPLETED:
        logger.warning("The report came late: the request is %s", run.workflow.status)


def _complete(core: Core, run: Execution, result: Any) -> Steps[Workflow]:
    return (
        yield from core.complete(
            run.workflow, attempt=run.attempt, result=result, patience=core.patience
        )
    )


def reportable(result: Any) -> Any:
    """The result if JSON can hold it, else how Python writes it."""
    try:
        check(result)
    except NotJson:
        return {"repr": repr(result).encode("utf-8", "replace").decode()[:MESSAGE_LIMIT]}
    return result


def told(error: Exception) -> dict[str, str]:
    """An exception as the server keeps it: its type (or an ActionFailed's code), and its text."""
    code = error.code if isinstance(error, ActionFailed) else type(error).__name__
    message = str(error).encode("utf-8", "replace").decode().replace("\0", "")
    return {"code": code, "message": message[:MESSAGE_LIMIT] or type(error).__name__}
