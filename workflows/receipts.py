"""Receipts: signed, expiring proof of an approval, good for acting once, whoever acts.

A round of a request is used once: a newer receipt replaces the one before, and after one was used
there are no more. Every judgement that counts is made under the workflow's lock, by the database's
clock.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from events.restores import gate
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib import jws, signing_keys
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, Forbidden
from workflows import cases, executions, receipt_claims, selectors
from workflows.errors import (
    NotApproved,
    NotExecutable,
    ReceiptConsumed,
    ReceiptInvalid,
    Reconciling,
)
from workflows.models import Executor, Receipt, Status, Workflow
from workflows.receipt_claims import Shown
from workflows.transitions import amend, lock

SHORTEST_SECONDS, USUAL_SECONDS, LONGEST_SECONDS = 10, 300, 3600
MOST_PER_ROUND = 100
# Longer than ours with ninety approvers; nobody has to look at more.
MAX_CHARACTERS = 64 * 1024
IN_FORCE = (Status.APPROVED, Status.EXECUTING)

# Why a receipt is not valid, for programs, and the sentence for people.
REASONS = {
    jws.MALFORMED: "This is not a receipt of this server.",
    jws.UNKNOWN_KEY: "The receipt was signed with a key that this server does not know.",
    jws.FORGED: "The signature does not fit: the receipt was altered or is not from here.",
    "unknown": "There is no such receipt.",
    "consumed": "The receipt has been used. Do not act again.",
    "replaced": "A newer receipt for the same approval has replaced this one.",
    "void": "The approval is not in force any more: the request was settled or asked again.",
    "held": "The server was restored from a backup: nobody has confirmed yet what happened since.",
    "not-yet-valid": "The receipt is not valid yet.",
    "expired": "The receipt has expired: ask for a fresh one.",
    "wrong-audience": "The receipt is for somebody else, or names nobody whom it is for.",
    "fingerprint-mismatch": "The receipt is for other data than the data you are about to act on.",
}
_PLACES = {"wrong-audience": "/audience", "fingerprint-mismatch": "/fingerprint"}


@dataclass(frozen=True)
class Presented:
    """A receipt as somebody who is about to act shows it. Empty `fingerprint`: not compared."""

    token: str
    audience: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Issued:
    """A receipt as it is handed out, the only time that it is at hand whole."""

    receipt: Receipt
    token: str
    claims: dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What became of a look at a receipt. `reason` is a key of REASONS, or "" where it is valid.

    `claims` and `receipt` are None where it is none of ours, or nothing of the caller's.
    """

    reason: str
    claims: dict[str, Any] | None = None
    receipt: Receipt | None = None


# --- Handing out ----------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def issue(
    workflow_id: UUID, *, agent: Agent, audience: str = "", seconds: int = USUAL_SECONDS
) -> Issued:
    """A fresh receipt for the agent that asked; the one before it is void from now on.

    Raises NotFound, Forbidden, NotExecutable (the server acts itself), NotApproved,
    ReceiptConsumed, Reconciling (after a restore), Conflict (too many), or NoSigningKey.
    """
    workflow = lock(workflow_id, team_id=agent.team_id)
    _check_may_have_one(workflow, agent)
    now = database_now()
    row = _replace(workflow, audience=audience, now=now, lifetime=dt.timedelta(seconds=seconds))
    claims = receipt_claims.of(row, cases.load(workflow, now=now))
    amend(
        workflow,
        EventType.RECEIPT_ISSUED,
        actor=agent.actor,
        source=Source.API,
        data=_facts(row) | {"expiresAt": row.expires_at.isoformat(), "kid": row.kid},
        now=now,
    )
    return Issued(row, jws.sign(claims, typ=receipt_claims.TYPE), claims)


def _check_may_have_one(workflow: Workflow, agent: Agent) -> None:
    if workflow.agent_id != agent.pk:
        raise Forbidden("Only the agent that asked may fetch a receipt.")
    if workflow.execution_plan["by"] != Executor.AGENT:
        raise NotExecutable(
            "The server carries out this action itself: a receipt would let somebody do it again."
        )
    if workflow.status not in IN_FORCE:
        raise NotApproved(f"The request is {workflow.status}: there is nothing to carry out.")
    if gate.holds(workflow.pk):
        raise Reconciling
    if not executions.is_intact(workflow):
        raise NotApproved("The stored data is not the data that was approved; do not act.")


def _replace(
    workflow: Workflow, *, audience: str, now: dt.datetime, lifetime: dt.timedelta
) -> Receipt:
    """The round's one receipt that counts. Times are whole seconds, as the claims tell them."""
    earlier = Receipt.objects.filter(workflow=workflow, round=workflow.round)
    used = earlier.filter(consumed_at__isnull=False).first()
    if used:
        raise _consumed(used)
    if earlier.count() >= MOST_PER_ROUND:
        raise Conflict(f"{MOST_PER_ROUND} receipts were issued for this approval; that is all.")
    earlier.filter(replaced_at=None).update(replaced_at=now)
    start = now.replace(microsecond=0)
    return Receipt.objects.create(
        workflow=workflow,
        round=workflow.round,
        fingerprint=workflow.approved_fingerprint,
        audience=audience,
        kid=signing_keys.current().kid,
        issued_at=start,
        expires_at=start + lifetime,
    )


# --- Looking and using ----------------------------------------------------------------------------


def verify(shown: Presented, *, caller: Agent | User) -> Found:
    """Whether somebody may act on this now. What belongs to another team is unknown.

    Raises NoSigningKey. The answer may be old when it is read: only `consume` makes sure.
    """
    try:
        claims, said = _read(shown.token)
    except jws.Untrusted as error:
        return Found(error.reason)
    rows = Receipt.objects.select_related("workflow")
    row = rows.filter(pk=said.id, workflow__in=selectors.visible_to(caller)).first()
    if row is None:
        return Found("unknown")
    return Found(_judge(row, row.workflow, said, shown, database_now()), claims, row)


@transaction.atomic(durable=True)
def consume(shown: Presented, *, agent: Agent, consumer: str = "") -> Found:
    """Use a receipt up, before acting: of any number of calls one returns, and only one.

    `consumer` says who acts. Durable: it is on disk before the caller acts. Raises ReceiptInvalid,
    ReceiptConsumed or NoSigningKey; then the caller must not act.
    """
    try:
        claims, said = _read(shown.token)
    except jws.Untrusted as error:
        raise _invalid(error.reason) from None
    mine = Receipt.objects.filter(workflow__team_id=agent.team_id)
    workflow_id = mine.filter(pk=said.id).values_list("workflow_id", flat=True).first()
    if workflow_id is None:
        raise _invalid("unknown")
    workflow = lock(workflow_id, team_id=agent.team_id)
    row, now = mine.get(pk=said.id), database_now()
    reason = _judge(row, workflow, said, shown, now)
    if reason:
        raise _consumed(row) if reason == "consumed" else _invalid(reason)
    row.consumed_at, row.consumed_by = now, consumer or agent.name
    row.save(update_fields=["consumed_at", "consumed_by"])
    amend(
        workflow,
        EventType.RECEIPT_CONSUMED,
        actor=agent.actor,
        source=Source.API,
        data=_facts(row) | {"consumer": row.consumed_by},
        now=now,
    )
    return Found("", claims, row)


def _read(token: str) -> tuple[dict[str, Any], Shown]:
    claims = jws.read(token, typ=receipt_claims.TYPE)
    try:
        return claims, receipt_claims.read(claims)
    except ValueError:
        raise jws.Untrusted(jws.MALFORMED) from None


def _judge(
    row: Receipt, workflow: Workflow, said: Shown, shown: Presented, now: dt.datetime
) -> str:
    """The first reason why nobody may act on it, or ""."""
    if (said.workflow_id, said.round) != (row.workflow_id, row.round):
        return "unknown"
    if row.consumed_at:
        return "consumed"
    if row.replaced_at:
        return "replaced"
    if not _is_in_force(row, workflow):
        return "void"
    if gate.holds(workflow.pk):
        return "held"
    if now.timestamp() < said.not_before:
        return "not-yet-valid"
    if now.timestamp() >= said.expires:
        return "expired"
    if shown.audience != said.audience:
        return "wrong-audience"
    wanted = shown.fingerprint or said.fingerprint
    return "" if wanted == said.fingerprint else "fingerprint-mismatch"


def _is_in_force(row: Receipt, workflow: Workflow) -> bool:
    """The approval it was issued for stands, and is about the same data."""
    return (
        workflow.status in IN_FORCE
        and workflow.round == row.round
        and workflow.approved_fingerprint == row.fingerprint
    )


def _facts(row: Receipt) -> dict[str, Any]:
    """What every event about a receipt says of it: never the receipt itself."""
    return {
        "receiptId": str(row.pk),
        "fingerprint": row.fingerprint,
        "audience": row.audience or None,
    }


def _invalid(reason: str) -> ReceiptInvalid:
    return ReceiptInvalid(reason, REASONS[reason], _PLACES.get(reason, "/receipt"))


def _consumed(row: Receipt) -> ReceiptConsumed:
    when = row.consumed_at.strftime("%Y-%m-%d %H:%M:%S UTC") if row.consumed_at else ""
    return ReceiptConsumed(
        f"This approval was used by {row.consumed_by} at {when}. Do not act again."
    )
