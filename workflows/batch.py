"""Several requests of one action type answered together: exactly those that were shown, one by one.

Each goes through the gate in a transaction of its own and gets a result of its own: one that was
decided or changed meanwhile takes nothing from the others, and no rule is made of any of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hitl.accounts.models import User
from hitl.lib.errors import FieldError, HitlError, InvalidInput, NotFound
from workflows import selectors, services
from workflows.errors import NotYours
from workflows.models import Risk, Verdict, Workflow

MOST = 50
HIGH_RISK = "high-risk"


@dataclass(frozen=True)
class Item:
    """One request as it was shown: the fingerprint of its data and, where known, its stage and
    round."""

    workflow_id: UUID
    fingerprint: str
    stage: int | None = None
    round: int | None = None


@dataclass(frozen=True)
class Result:
    """What became of one item. `code` is "" where the answer counts, else that of the problem."""

    item: Item
    workflow: Workflow | None
    says: str
    code: str = ""
    decided: services.Decided | None = None

    @property
    def is_recorded(self) -> bool:
        return self.decided is not None


def decide(
    items: Sequence[Item],
    *,
    user: User,
    verdict: Verdict,
    comment: str,
    source: str,
    strength: str,
) -> list[Result]:
    """Give the same answer to each; the results in the same order.

    Raises InvalidInput where the batch itself is wrong (/items, /decision, /feedback): then
    nothing has happened.
    """
    rows = shown(user, [item.workflow_id for item in items])
    _check(items, rows, verdict, comment)
    return [
        _decide(item, rows.get(item.workflow_id), user, verdict, comment, source, strength)
        for item in items
    ]


def shown(user: User, ids: Sequence[UUID]) -> dict[UUID, Workflow]:
    """Those of the requests that the person may see, by id, in the order of `ids`."""
    found = {row.pk: row for row in selectors.visible_to(user).filter(pk__in=ids)}
    return {id_: found[id_] for id_ in ids if id_ in found}


def _check(
    items: Sequence[Item], rows: dict[UUID, Workflow], verdict: Verdict, comment: str
) -> None:
    place, message = "", ""
    if verdict == Verdict.MODIFIED:
        place, message = "/decision", "Edits are for one request at a time: open it."
    elif not items:
        place, message = "/items", "Choose at least one request."
    elif len(items) > MOST:
        place, message = "/items", f"At most {MOST} at once, please."
    elif len({item.workflow_id for item in items}) < len(items):
        place, message = "/items", "Name each request once."
    elif len({row.action_type for row in rows.values()}) > 1:
        place, message = "/items", "Choose requests of one action type."
    elif verdict == Verdict.REJECTED and not comment.strip():
        place, message = "/feedback", "Say why, so that the agents can do better."
    if message:
        raise InvalidInput(message, [FieldError(place, message)])


def _decide(
    item: Item,
    row: Workflow | None,
    user: User,
    verdict: Verdict,
    comment: str,
    source: str,
    strength: str,
) -> Result:
    if row is None:
        return Result(item, None, "There is no such workflow.", NotFound.code)
    if row.risk == Risk.HIGH and verdict == Verdict.APPROVED:
        return Result(item, row, "High risk is approved one by one: open it.", HIGH_RISK)
    try:
        decided = services.decide(
            row.pk,
            user=user,
            verdict=verdict,
            fingerprint=item.fingerprint,
            source=source,
            comment=comment,
            strength=strength,
            stage=item.stage,
            round=item.round,
        )
    except HitlError as error:
        if isinstance(error, NotYours):
            services.record_refusal(row.pk, actor=user.actor, source=source, why=error.detail)
        return Result(item, row, error.detail, error.code)
    return Result(item, decided.workflow, _said(decided), decided=decided)


def _said(decided: services.Decided) -> str:
    if decided.replayed:
        return "Your answer had already been recorded."
    if decided.workflow.is_open:
        return "Your answer is recorded. More answers are needed."
    return f"{Verdict(decided.decision.verdict).label}."
