"""What the clients can do: asking, waiting, talking, carrying out.

Each call says in its docstring what it returns and raises; see `sending` for how it is driven.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from hitl_client import operations as ops
from hitl_client import replies
from hitl_client.errors import HitlError, WaitTimeout
from hitl_client.fingerprints import Approved, checked
from hitl_client.models import Event, Lease, Remark, Started, Workflow
from hitl_client.sending import Pause, Sender, Steps
from hitl_client.vocabulary import RemarkKind, TimeoutAction

logger = logging.getLogger("hitl_client")

Until = Literal["decided", "settled", "asked"]

# What one answer is held back for: the server allows 60 seconds, but proxies cut long silences.
HOLD_SECONDS = 30


class Core(Sender):
    """The calls of both clients, each as a generator of what is to be done."""

    # --- Asking -----------------------------------------------------------------------------------

    def ask(
        self,
        action_type: str,
        action_data: Mapping[str, Any],
        *,
        name: str | None = None,
        reason: str | None = None,
        approvers: Sequence[str] | None = None,
        approver_email: str | None = None,
        policy: str | None = None,
        ui_schema: Mapping[str, Any] | None = None,
        expires_in: float | timedelta | None = None,
        expires_at: datetime | None = None,
        timeout_action: TimeoutAction | str | None = None,
        requester: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Workflow]:
        """Ask people for leave to do `action_type` with `action_data`; returns the PENDING request.

        `name` is one line for their inbox, `reason` why you want it, `ui_schema` the form in which
        they may edit. `expires_in` is in seconds. `approvers` (or one `approver_email`) are asked
        by name, or `policy` names one of the team's policies. The same `idempotency_key` with the
        same content asks once, however often it is sent: give your own to survive a crash.
        Raises NotJson, InvalidInput (with `errors`), KeyReused, Forbidden.
        """
        body = {
            "actionType": action_type,
            "actionData": dict(action_data),
            "name": name,
            "reason": reason,
            "approvers": None if approvers is None else list(approvers),
            "approverEmail": approver_email,
            "policy": policy,
            "uiSchema": None if ui_schema is None else dict(ui_schema),
            "timeoutSeconds": None if expires_in is None else _whole_seconds(expires_in),
            "expiresAt": None if expires_at is None else _instant(expires_at),
            "timeoutAction": None if timeout_action is None else str(timeout_action),
            "requester": requester,
            "metadata": None if metadata is None else dict(metadata),
        }
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        workflow: Workflow = yield from self.call(ops.CREATE, body=body, headers=headers)
        return workflow

    def get(self, workflow: Workflow | str) -> Steps[Workflow]:
        """The request as it stands. Raises NotFound."""
        found: Workflow = yield from self.call(ops.GET, id_of(workflow))
        return found

    def wait(
        self,
        workflow: Workflow | str,
        *,
        until: Until = "decided",
        timeout: float | None = None,
    ) -> Steps[Workflow]:
        """Wait until people have `decided`, it is `settled` (over), or they have `asked` the agent.

        Costs one open connection; the answer comes within milliseconds of the decision. Broken
        connections and restarts of the server lose nothing: it asks again. Raises WaitTimeout
        after `timeout` seconds (None: never), and Unreachable where nothing has answered for
        `patience` seconds.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        seen = workflow if isinstance(workflow, Workflow) else None
        failures, silent_since = 0, 0.0
        while True:
            began = time.monotonic()
            hold = int(max(0.0, min(HOLD_SECONDS, end - began)))
            try:
                seen, reply = yield from self.once(
                    ops.GET, id_of(workflow), query={"wait": hold, "until": until}, hold=hold
                )
                found: Workflow = seen
                if is_reached(found, until):
                    return found
                failures, now = 0, time.monotonic()
                # An answer before its time is an old server, or one that is being stopped.
                gap = (
                    0.0
                    if hold and now - began >= hold - 0.5
                    else min(1.0, max(0.25, (end - now) / 2))
                )
                pause = max(reply.retry_after or 0.0, gap)
            except HitlError as error:
                if not replies.is_transient(error):
                    raise
                now = time.monotonic()
                silent_since = silent_since if failures else now
                failures += 1
                pause = replies.pause(failures, error)
                if now - silent_since > self.patience:
                    raise
                logger.warning("Still waiting; asking again in %.1f s: %s", pause, error)
            if now + pause >= end - 0.01:
                yield Pause(max(0.0, end - now))
                raise WaitTimeout(timeout or 0.0, seen)
            yield Pause(pause)

    def cancel(self, workflow: Workflow | str, *, reason: str | None = None) -> Steps[Workflow]:
        """Withdraw a request that nobody has decided; harmless twice. Raises AlreadyDecided."""
        found: Workflow = yield from self.call(ops.CANCEL, id_of(workflow), body={"reason": reason})
        return found

    def events(self, workflow: Workflow | str, *, after: int = 0) -> Steps[list[Event]]:
        """What has happened to it above the number `after`, in order."""
        found: list[Event] = []
        following: int | None = after
        while following is not None:
            page = yield from self.call(ops.EVENTS, id_of(workflow), query={"after": following})
            found += page.items
            following = page.next_after
        return found

    # --- Talking ----------------------------------------------------------------------------------

    def remarks(self, workflow: Workflow | str) -> Steps[list[Remark]]:
        """Comments, questions and answers, oldest first."""
        page = yield from self.call(ops.REMARKS, id_of(workflow))
        return list(page.items)

    def questions(self, workflow: Workflow | str) -> Steps[list[Remark]]:
        """The questions that wait for the agent, oldest first."""
        now = yield from self.get(workflow)
        if not now.open_questions:
            return []
        said = yield from self.remarks(workflow)
        answered = {each.question_id for each in said}
        return [
            each
            for each in said
            if each.kind == RemarkKind.QUESTION
            and each.round == now.round
            and each.remark_id not in answered
        ]

    def answer(self, workflow: Workflow | str, question: Remark | str, text: str) -> Steps[Remark]:
        """Answer a question; whoever asked is told. The same answer again adds nothing.

        Raises Answered where another answer stands.
        """
        asked = question.remark_id if isinstance(question, Remark) else question
        body = {"kind": "answer", "questionId": asked, "text": text}
        said: Remark = yield from self.call(ops.ANSWER, id_of(workflow), body=body)
        return said

    # --- Carrying out -----------------------------------------------------------------------------

    def approved_data(self, workflow: Workflow | str) -> Steps[Any]:
        """Exactly what was approved, edits included, its bytes compared with the fingerprint.

        Raises NotApproved, or FingerprintMismatch: then do nothing.
        """
        approved = yield from self.approved(workflow)
        return approved.data

    def approved(self, workflow: Workflow | str) -> Steps[Approved]:
        """The approved bytes and what they say, checked."""
        known = workflow.approved_fingerprint if isinstance(workflow, Workflow) else None
        if known is None:
            fresh = yield from self.get(workflow)
            known = fresh.approved_fingerprint
        raw = yield from self.call(ops.APPROVED_DATA, id_of(workflow))
        return checked(raw, known)

    def start(self, workflow: Workflow | str, *, executor: str | None = None) -> Steps[Started]:
        """Claim the approved action before acting; a second claim by another is refused.

        The same `executor` may repeat a start, also after a crash; without one, a name is made
        that nobody else has. Raises ExecutionConflict.
        """
        started, _ = yield from self.claim(workflow, executor or new_executor())
        return started

    def claim(self, workflow: Workflow | str, executor: str) -> Steps[tuple[Started, float]]:
        """The same, with the seconds that the lease lasts from now."""
        found, reply = yield from self.answered(
            ops.START, id_of(workflow), body={"executor": executor}
        )
        return found, (found.lease_until - reply.date).total_seconds()

    def heartbeat(
        self, workflow: Workflow | str, *, attempt: int, patience: float | None = None
    ) -> Steps[Lease]:
        """The lease starts anew. Raises ExecutionConflict where it has run out."""
        lease, _ = yield from self.beat(workflow, attempt, patience)
        return lease

    def beat(
        self, workflow: Workflow | str, attempt: int, patience: float | None
    ) -> Steps[tuple[Lease, float]]:
        """The same, with the seconds that the lease lasts from now."""
        body = {"attempt": attempt}
        lease, reply = yield from self.answered(
            ops.HEARTBEAT, id_of(workflow), body=body, patience=patience
        )
        return lease, (lease.lease_until - reply.date).total_seconds()

    def complete(
        self,
        workflow: Workflow | str,
        *,
        attempt: int,
        result: Any = None,
        patience: float | None = None,
    ) -> Steps[Workflow]:
        """Report success; harmless twice.

        A report after the lease ran out changes nothing but is kept as evidence: look at `status`.
        """
        body = {"attempt": attempt, "result": result}
        found: Workflow = yield from self.call(
            ops.COMPLETE, id_of(workflow), body=body, patience=patience
        )
        return found

    def fail(
        self,
        workflow: Workflow | str,
        *,
        attempt: int,
        error: Mapping[str, Any],
        patience: float | None = None,
    ) -> Steps[Workflow]:
        """Report that the action has failed, like `{"code": "declined", "message": "…"}`.

        Only where you know it: not knowing is silence.
        """
        body = {"attempt": attempt, "error": dict(error)}
        found: Workflow = yield from self.call(
            ops.FAIL, id_of(workflow), body=body, patience=patience
        )
        return found


def is_reached(workflow: Workflow, until: Until) -> bool:
    """Whether a wait is over."""
    if until == "settled":
        return workflow.status.is_settled
    return workflow.status.is_decided or (until == "asked" and workflow.open_questions > 0)


def id_of(workflow: Workflow | str) -> str:
    """The id, of which the path of a request is made."""
    return workflow.workflow_id if isinstance(workflow, Workflow) else str(workflow)


def new_executor() -> str:
    """A name that no other process, and no other call, has."""
    return f"hitl-client/{os.getpid()}-{uuid.uuid4().hex[:16]}"


def _whole_seconds(length: float | timedelta) -> int:
    return math.ceil(length.total_seconds() if isinstance(length, timedelta) else length)


def _instant(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("expires_at has no time zone: say datetime.now(timezone.utc) + …")
    return moment.isoformat()
