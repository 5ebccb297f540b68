"""Receipts: signed proof of an approval for whoever acts for the agent, good for one use."""

from __future__ import annotations

import uuid

from hitl_client import operations as ops
from hitl_client.core import Core, id_of
from hitl_client.errors import HitlError, ReceiptConsumed
from hitl_client.models import CheckedReceipt, ConsumedReceipt, Receipt, Workflow
from hitl_client.sending import Steps

CONSUMER_LIMIT = 150


def issue(
    core: Core,
    workflow: Workflow | str,
    *,
    audience: str | None = None,
    ttl_seconds: int | None = None,
) -> Steps[Receipt]:
    """A receipt of an approved request, for `audience` (None: anybody of the team).

    A fresh one replaces the one before. Raises NotApproved, ExecutionConflict, ReceiptConsumed.
    """
    body = {"audience": audience, "ttlSeconds": ttl_seconds}
    found: Receipt = yield from core.call(ops.ISSUE_RECEIPT, id_of(workflow), body=body)
    return found


def verify(
    core: Core,
    receipt: Receipt | str,
    *,
    audience: str | None = None,
    fingerprint: str | None = None,
) -> Steps[CheckedReceipt]:
    """Whether somebody may act on it now; look at `valid` and `reason`. Changes nothing.

    `audience` is what you are called, `fingerprint` that of the data you hold (see
    `hitl_client.fingerprint`). Only `consume_receipt` makes sure that nobody else acts.
    """
    body = {"receipt": _token(receipt), "audience": audience, "fingerprint": fingerprint}
    found: CheckedReceipt = yield from core.call(ops.VERIFY_RECEIPT, body=body)
    return found


def consume(
    core: Core,
    receipt: Receipt | str,
    *,
    audience: str | None = None,
    fingerprint: str | None = None,
    consumer: str | None = None,
) -> Steps[ConsumedReceipt]:
    """Use it up, then act: of all who try, one returns, and it is the only one that may act.

    A lost answer is no lost use: the call knows its own by a name that it adds to `consumer`.
    Raises ReceiptConsumed or ReceiptInvalid; then do not act.
    """
    name = f"{(consumer or 'hitl-client')[:CONSUMER_LIMIT]} {uuid.uuid4()}"
    shown = {"receipt": _token(receipt), "audience": audience, "fingerprint": fingerprint}
    try:
        found: ConsumedReceipt = yield from core.call(
            ops.CONSUME_RECEIPT, body=shown | {"consumer": name}
        )
    except ReceiptConsumed as refusal:
        try:
            seen = yield from verify(core, receipt, audience=audience, fingerprint=fingerprint)
        except HitlError:
            raise refusal from None  # whose use it was cannot be said, so it is not ours
        if seen.consumed_by != name:
            raise
        return _used(seen)
    return found


def _used(seen: CheckedReceipt) -> ConsumedReceipt:
    claims = seen.claims or {}
    return ConsumedReceipt.parse(
        {
            "receiptId": claims.get("jti"),
            "workflowId": claims.get("sub"),
            "fingerprint": claims.get("fingerprint"),
            "consumedAt": seen.raw["consumedAt"],
            "consumedBy": seen.consumed_by,
            "claims": claims,
        }
    )


def _token(receipt: Receipt | str) -> str:
    return receipt.receipt if isinstance(receipt, Receipt) else receipt
