"""Who must answer and when it is enough: pure functions over the policy frozen on the request.

A policy is plain data: `{"version": 1, "name": …, "allowOwner": false, "stages": [{"name": …,
"who": {"team": "approvers"} | {"users": [id, …]}, "required": n}]}`. It is read, never changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workflows.models import Verdict


@dataclass(frozen=True)
class Vote:
    """One answer as the rules see it."""

    user_id: str
    stage: int
    verdict: str


def default_policy(user_ids: Sequence[str] = ()) -> dict[str, Any]:
    """One stage, one answer: of the people named, or of any approver of the team."""
    who: dict[str, Any] = {"users": list(user_ids)} if user_ids else {"team": "approvers"}
    stage = {"name": "Approval", "who": who, "required": 1}
    return {"version": 1, "name": "Anyone asked", "allowOwner": False, "stages": [stage]}


def current_stage(policy: dict[str, Any], votes: Sequence[Vote]) -> int | None:
    """Index of the first stage that still wants answers; None when all are satisfied."""
    for index, stage in enumerate(policy["stages"]):
        if _agreeing(votes, index) < stage["required"]:
            return index
    return None


def outcome(policy: dict[str, Any], votes: Sequence[Vote]) -> Verdict | None:
    """The verdict these votes add up to, or None while more are needed. One rejection rejects."""
    if any(vote.verdict == Verdict.REJECTED for vote in votes):
        return Verdict.REJECTED
    if current_stage(policy, votes) is not None:
        return None
    edited = any(vote.verdict == Verdict.MODIFIED for vote in votes)
    return Verdict.MODIFIED if edited else Verdict.APPROVED


def is_named(policy: dict[str, Any], stage: int, user_id: str) -> bool:
    """Whether the stage is open to this (then deciding) member of the team."""
    who = policy["stages"][stage]["who"]
    return "users" not in who or user_id in who["users"]


def _agreeing(votes: Sequence[Vote], stage: int) -> int:
    agreeing = {Verdict.APPROVED, Verdict.MODIFIED}
    return len({vote.user_id for vote in votes if vote.stage == stage and vote.verdict in agreeing})
