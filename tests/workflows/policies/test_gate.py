"""What somebody's answer would be recorded as, and what it takes to take it back."""

from typing import Any

import pytest

from tests.workflows.policies.builders import ANN, BOB, CAT, case, of, person, policy, stage, world
from workflows.models import Verdict
from workflows.policies import Vote, Withdrawal, shape

FINANCE = world({ANN: person("finance"), BOB: person("finance", acts_for=[ANN]), CAT: person()})
TWO = policy(stage(of(2, group="finance"), allowEdit=False, stepUp=["high"]))
OPEN = policy(stage(of(1, group="finance")))


def test_vote_is_recorded_with_what_it_counts_for() -> None:
    found = case(TWO, FINANCE, []).vote(BOB, Verdict.APPROVED, "f0", behalf=ANN)
    assert found == Vote(BOB, 0, "approved", frozenset({""}), "f0", "", ANN)
    edit = case(OPEN, FINANCE, []).vote(BOB, Verdict.MODIFIED, "f0", result="f1")
    assert edit is not None
    assert edit.agreed == "f1"


@pytest.mark.parametrize(
    ("user", "verdict", "seen", "more"),
    [
        (CAT, Verdict.APPROVED, "f0", {}),
        (CAT, Verdict.APPROVED, "f0", {"behalf": ANN}),
        ("nobody", Verdict.APPROVED, "f0", {}),
        (ANN, Verdict.APPROVED, "f1", {}),
        (ANN, Verdict.REJECTED, "", {}),
        (ANN, Verdict.MODIFIED, "f0", {"result": "f1"}),
    ],
)
def test_vote_that_would_not_count_is_none(
    user: str, verdict: Verdict, seen: str, more: dict[str, Any]
) -> None:
    assert case(TWO, FINANCE, []).vote(user, verdict, seen, **more) is None


def test_nobody_votes_twice_or_after_the_verdict() -> None:
    first = case(TWO, FINANCE, [("vote", ANN, ANN, "approved", "f0", None, {""}, 0)])
    assert first.vote(ANN, Verdict.REJECTED, "f0") is None
    assert first.vote(BOB, Verdict.APPROVED, "f0", behalf=ANN) is None
    second = first.vote(BOB, Verdict.APPROVED, "f0")
    assert second is not None
    decided = first.after(second)
    assert decided.outcome == Verdict.APPROVED
    assert decided.vote(CAT, Verdict.REJECTED, "f0") is None
    assert decided.withdrawal(ANN) is None


def test_withdrawal_needs_a_vote_that_stands() -> None:
    found = case(TWO, FINANCE, [("vote", BOB, ANN, "approved", "f0", None, {""}, 0)])
    assert found.withdrawal(BOB) is None
    assert found.withdrawal(ANN) is None
    taken = found.withdrawal(BOB, behalf=ANN)
    assert taken == Withdrawal(BOB, 0, ANN)
    assert found.after(taken).state.standing == ()


def test_second_factor_is_wanted_by_risk() -> None:
    read = shape.read(TWO).stages[0]
    assert read.wants_second_factor("high")
    assert not read.wants_second_factor("low")
