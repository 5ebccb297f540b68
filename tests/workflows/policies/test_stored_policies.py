"""When answers are enough: a table over small policies."""

from typing import Any

import pytest

from workflows import policies
from workflows.policies import Vote

ANN, BOB, CAT = "ann", "bob", "cat"


def policy(*needs: dict[str, Any]) -> dict[str, Any]:
    stages = [{"name": "s", "need": need, "onReject": "deny"} for need in needs]
    return {"format": 1, "name": "p", "allowOwner": False, "stages": stages}


def need(count: int, *users: str) -> dict[str, Any]:
    return {"who": {"users": list(users)}, "count": count}


def cast(rules: dict[str, Any], *answers: str) -> list[Vote]:
    """Votes as `ann`, `bob:rejected`, …, each cast at the stage that is open then."""
    votes: list[Vote] = []
    for answer in answers:
        who, _, verdict = answer.partition(":")
        stage = policies.current_stage(rules, votes) or 0
        leaves = frozenset(policies.leaves_for(rules, stage, who))
        votes.append(Vote(who, stage, verdict or "approved", leaves))
    return votes


ANY = policy(need(1, ANN, BOB))
TWO = policy(need(2, ANN, BOB, CAT))
STAGES = policy(need(1, ANN, BOB), need(1, CAT))
BOTH = policy({"allOf": [need(1, ANN), need(1, BOB, CAT)]})
EITHER = policy({"anyOf": [need(2, ANN, BOB), need(1, CAT)]})


@pytest.mark.parametrize(
    ("rules", "answers", "expected"),
    [
        (ANY, [], None),
        (ANY, ["ann"], "approved"),
        (ANY, ["bob:modified"], "modified"),
        (ANY, ["ann:rejected"], "rejected"),
        (TWO, ["ann"], None),
        (TWO, ["ann", "ann"], None),
        (TWO, ["ann", "cat"], "approved"),
        (TWO, ["ann", "cat:rejected"], "rejected"),
        (STAGES, ["ann"], None),
        (STAGES, ["ann", "cat"], "approved"),
        (STAGES, ["ann", "bob"], None),
        (BOTH, ["bob", "cat"], None),
        (BOTH, ["cat", "ann"], "approved"),
        (EITHER, ["ann"], None),
        (EITHER, ["cat"], "approved"),
        (EITHER, ["ann", "bob"], "approved"),
    ],
)
def test_outcome(rules: dict[str, Any], answers: list[str], expected: str | None) -> None:
    assert policies.outcome(rules, cast(rules, *answers)) == expected


def test_stage_is_open_to_those_it_names_only() -> None:
    assert policies.leaves_for(STAGES, 0, CAT) == []
    assert policies.leaves_for(STAGES, 1, CAT) == [""]


def test_default_policy_is_open_to_every_approver() -> None:
    assert policies.leaves_for(policies.default_policy(), 0, "anybody") == [""]
    assert policies.leaves_for(policies.default_policy([ANN]), 0, BOB) == []
