"""When answers are enough: a table over small policies."""

from typing import Any

import pytest

from workflows import policies
from workflows.models import Verdict
from workflows.policies import Case, People, Person, Request, Seat

ANN, BOB, CAT = "ann", "bob", "cat"


def policy(*needs: dict[str, Any]) -> dict[str, Any]:
    stages = [{"name": "s", "need": need, "onReject": "deny"} for need in needs]
    return {"format": 1, "name": "p", "allowOwner": False, "stages": stages}


def need(count: int, *users: str) -> dict[str, Any]:
    return {"who": {"users": list(users)}, "count": count}


def case(rules: dict[str, Any], *answers: str) -> Case:
    """The case after `ann`, `bob:rejected`, …; an answer that would not be taken is left out."""
    people = People.of([Person(id_) for id_ in (ANN, BOB, CAT)])
    found = Case.of(rules, Request(action_type="pay", data=None), people=people)
    for answer in answers:
        who, _, verdict = answer.partition(":")
        vote = found.vote(who, Verdict(verdict or "approved"), "")
        found = found.after(vote) if vote else found
    return found


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
    assert case(rules, *answers).outcome == expected


def test_stage_is_open_to_those_it_names_only() -> None:
    assert case(STAGES).seats(CAT) == []
    assert case(STAGES, "ann").seats(CAT) == [Seat(CAT, frozenset({""}))]


def test_default_policy_is_open_to_every_approver() -> None:
    assert case(policies.default_policy()).seats(CAT)
    assert case(policies.default_policy([ANN])).seats(BOB) == []
