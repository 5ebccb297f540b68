"""A policy tried on the past."""

from typing import Any

from tests.workflows.policies.builders import ANN, BOB, CAT, of, policy, stage
from workflows.policies import People, Person, Request, Vote, Withdrawal
from workflows.policies.trying import Past, dry_run

PEOPLE = People.of([Person(id_) for id_ in (ANN, BOB, CAT)])
ONE = policy(stage(of(1, ANN, BOB)))
TWO = policy(stage(of(2, ANN, BOB, CAT)))
THEN = policy(stage(of(1, ANN)), stage(of(1, BOB), when="data.amount > 100"))


def vote(user: str, verdict: str = "approved", **more: Any) -> Vote:
    return Vote(user, 0, verdict, frozenset({""}), fingerprint="f", **more)


def past(*acts: Any, amount: int = 5) -> Past:
    return Past(Request("pay", {"amount": amount}, "f"), acts, PEOPLE)


def test_same_answers_come_to_something_else() -> None:
    pasts = [past(vote(ANN)), past(vote(BOB)), past(vote(ANN, "rejected"))]
    found = dry_run(ONE, TWO, pasts)
    assert [(d.number, d.before, d.after, d.lost) for d in found] == [
        (0, "approved", None, ()), (1, "approved", None, ()),
    ]  # fmt: skip


def test_votes_that_would_have_had_no_place_are_named() -> None:
    (found,) = dry_run(ONE, policy(stage(of(1, CAT))), [past(vote(ANN))])
    assert (found.after, found.lost) == (None, (vote(ANN),))


def test_votes_move_to_the_stage_that_would_have_been_open() -> None:
    first = past(vote(ANN), vote(BOB), amount=500)
    assert dry_run(TWO, THEN, [first]) == []
    withdrawn = past(vote(ANN), Withdrawal(ANN, 0), vote(BOB), vote(CAT))
    assert dry_run(TWO, TWO, [withdrawn]) == []
    assert dry_run(TWO, THEN, [past(vote(ANN), vote(CAT))]) == []


def test_nothing_differs_from_itself() -> None:
    assert dry_run(ONE, ONE, [past(vote(ANN)), past(), past(vote(CAT))])[0].lost == (vote(CAT),)
