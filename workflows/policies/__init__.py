"""Who must answer and when it is enough: pure functions over the policy frozen on the request.

A policy is plain data and never changes once it stands on a request:

    {"format": 1, "name": …, "allowOwner": false, "stages": [STAGE, …]}
    STAGE = {"name": …, "need": NEED, "onReject": "deny"}
    NEED  = {"who": WHO, "count": n} | {"allOf": [NEED, …]} | {"anyOf": [NEED, …]}
    WHO   = {"team": "approvers"} | {"users": [id, …]}

A vote counts for the leaves of the need whose WHO it satisfied when it was cast, as recorded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.models import Verdict

AGREEING = frozenset({Verdict.APPROVED, Verdict.MODIFIED})


@dataclass(frozen=True)
class Vote:
    """One answer as the rules see it; `leaves` are the places in the need it counts for."""

    user_id: str
    stage: int
    verdict: str
    leaves: frozenset[str]


def default_policy(user_ids: Sequence[str] = ()) -> dict[str, Any]:
    """One stage, one answer: of the people named, or of any approver of the team."""
    who: dict[str, Any] = {"users": list(user_ids)} if user_ids else {"team": "approvers"}
    name = "Anyone named" if user_ids else "Any approver"
    stage = {"name": name, "need": {"who": who, "count": 1}, "onReject": "deny"}
    return {"format": 1, "name": name, "allowOwner": False, "stages": [stage]}


def current_stage(policy: dict[str, Any], votes: Sequence[Vote]) -> int | None:
    """Index of the first stage that still wants answers; None when all are satisfied."""
    for index, stage in enumerate(policy["stages"]):
        here = [vote for vote in votes if vote.stage == index and vote.verdict in AGREEING]
        if not _is_met(stage["need"], here, ""):
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


def leaves_for(policy: dict[str, Any], stage: int, user_id: str) -> list[str]:
    """The places in the stage's need that this (then deciding) member of the team answers for.

    Empty: the stage does not ask this person.
    """
    return [
        place for place, who in _leaves(policy["stages"][stage]["need"], "")
        if "users" not in who or user_id in who["users"]
    ]  # fmt: skip


def _is_met(need: dict[str, Any], agreeing: Sequence[Vote], place: str) -> bool:
    for word, rule in (("allOf", all), ("anyOf", any)):
        if word in need:
            parts = enumerate(need[word])
            return rule(_is_met(part, agreeing, f"{place}/{n}") for n, part in parts)
    people = {vote.user_id for vote in agreeing if place in vote.leaves}
    return len(people) >= int(need["count"])


def _leaves(need: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "who" in need:
        yield place, need["who"]
    for number, part in enumerate(need.get("allOf") or need.get("anyOf") or ()):
        yield from _leaves(part, f"{place}/{number}")
