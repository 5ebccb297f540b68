"""Stage, quorum, votes, edits, absence, removal and the deadline: a table, and every short story.

Both are held against a judge that was written from the rules and shares no code with the engine.
"""

import datetime as dt
from typing import Any

import pytest

from tests.workflows.policies.builders import (
    ANN,
    BOB,
    CAT,
    DAN,
    case,
    compare,
    moves,
    of,
    person,
    policy,
    stage,
    world,
)
from workflows.policies import shape, silence

ONE = policy(stage(of(1, ANN, BOB)))
TWO = policy(stage(of(2, ANN, BOB, CAT)))
THEN = policy(stage(of(1, ANN, BOB)), stage(of(1, BOB, CAT)))
BOTH = policy(stage({"allOf": [of(1, ANN, CAT), of(1, BOB, CAT)]}))
BOTH_TWO = policy(stage({"allOf": [of(1, ANN, CAT), of(1, BOB, CAT)]}, minPeople=2))
EITHER = policy(stage({"anyOf": [of(2, ANN, BOB), of(1, CAT)]}))
NESTED = policy(stage({"allOf": [of(1, ANN), {"anyOf": [of(1, BOB), of(2, BOB, CAT)]}]}))
LENIENT = policy(stage(of(2, ANN, BOB, CAT), onReject="impossible"))
LENIENT_EITHER = policy(
    stage({"anyOf": [of(2, ANN, BOB), of(1, CAT)]}, onReject="impossible", minPeople=2)
)
ABOVE = policy(stage(of(1, ANN, BOB)), stage(of(1, CAT), when="data.amount > 10"))
SKIPPED = policy(stage(of(1, CAT), when="data.amount > 10"), stage(of(1, ANN, BOB)))
NEVER = policy(
    stage(of(1, CAT), when="data.amount > 10"), stage(of(1, ANN), when="data.amount > 10")
)
FAILING = policy(stage(of(1, CAT), when="data.missing > 1"), stage(of(1, ANN)))
FIXED = policy(stage(of(1, ANN, BOB), allowEdit=False), stage(of(1, CAT)))
APART = policy(stage(of(1, ANN, BOB)), stage(of(1, ANN, BOB, CAT)), differentPeople=True)
GROUP = policy(stage(of(2, group="finance")))
TWICE = policy(stage(of(2, group="finance")), allowTwice=True)
TWICE_TWO = policy(stage(of(2, group="finance"), minPeople=2), allowTwice=True)
STEP = {"after": 60, "to": {"users": [DAN]}, "count": 1}
ADDED = policy(stage(of(2, ANN, BOB), escalation=[STEP]))
REPLACED = policy(stage(of(2, ANN, BOB), escalation=[STEP | {"mode": "replace"}]))
CHAIN = policy(
    stage(
        of(2, ANN, BOB),
        onReject="impossible",
        escalation=[STEP, {"after": 90, "to": {"users": [CAT]}, "count": 1, "mode": "replace"}],
    )
)
OWNER = policy(stage(of(1, agentOwner=True)), stage(of(1, team="approvers")), allowOwner=True)
MANAGERS = policy(stage(of(1, roles=["manager"])), stage(of(1, roles=["approver"])))

THREE = world()
FOUR = world({id_: person() for id_ in (ANN, BOB, CAT, DAN)})
OWNED = world(owner=ANN, requester=BOB)
FINANCE = world(
    {
        ANN: person("finance"),
        BOB: person("finance", acts_for=[ANN]),
        CAT: person(acts_for=[ANN]),
        DAN: person("finance", roles=["viewer"], acts_for=[ANN]),
    }
)
RANKS = world({ANN: person(roles=["manager"]), BOB: person(), CAT: person(roles=["viewer"])})
LEFT = world({ANN: person() | {"active": False}, BOB: person(acts_for=[ANN]), CAT: person()})


def told(rules: dict[str, Any], around: dict[str, Any], story: str) -> dict[str, Any]:
    """The judgement on a story of words: `ann`, `bob:rejected`, `bob=f1` (an edit), `bob/ann` (for
    Ann), `-ann` (withdraws), `!bob` (loses the right), `cat@f0` (about other data than is there).

    Votes that have no seat are cast all the same, claiming every place: they must not count.
    """
    around = around | {"people": {id_: dict(p) for id_, p in around["people"].items()}}
    acts: list[tuple[Any, ...]] = []
    state = compare(rules, around, acts)
    for word in story.split():
        if word.startswith("!"):
            around["people"][word[1:]]["active"] = False
        else:
            acts.append(act_of(word, state, rules))
        state = compare(rules, around, acts)
    return state


def act_of(word: str, state: dict[str, Any], rules: dict[str, Any]) -> tuple[Any, ...]:
    at = state["stage"] or 0
    if word.startswith("-"):
        actor, _, behalf = word[1:].partition("/")
        return "withdraw", actor, behalf or actor, at
    word, _, verdict = word.partition(":")
    word, _, seen = word.partition("@")
    word, _, made = word.partition("=")
    actor, _, behalf = word.partition("/")
    everywhere = frozenset(leaf.place for leaf in shape.read(rules).stages[at].leaves)
    seats = {(a, p): places for a, p, places in state["seats"]}
    places = seats.get((actor, behalf or actor), everywhere if seen else frozenset())
    kind = verdict or ("modified" if made else "approved")
    return "vote", actor, behalf or actor, kind, seen or state["table"], made or None, places, at


@pytest.mark.parametrize(
    ("rules", "around", "story", "outcome"),
    [
        (ONE, THREE, "", None),
        (ONE, THREE, "ann", "approved"),
        (ONE, THREE, "cat", None),
        (ONE, THREE, "ann:rejected", "rejected"),
        (ONE, THREE, "ann:rejected bob", "rejected"),
        (ONE, THREE, "ann bob:rejected", "approved"),
        (ONE, THREE, "ann -ann", "approved"),
        (ONE, THREE, "ann=f1", "modified"),
        (TWO, THREE, "ann ann", None),
        (TWO, THREE, "ann bob", "approved"),
        (TWO, THREE, "ann -ann bob", None),
        (TWO, THREE, "ann -ann bob ann", "approved"),
        (TWO, THREE, "ann -bob bob", "approved"),
        (TWO, THREE, "ann bob:rejected", "rejected"),
        # Edits: a vote counts while what it agreed to is on the table.
        (TWO, THREE, "ann bob=f1", None),
        (TWO, THREE, "ann bob=f1 cat", "modified"),
        (TWO, THREE, "ann bob=f1 ann", "modified"),
        (TWO, THREE, "ann bob=f1 cat@f0", None),
        (TWO, THREE, "ann bob=f1 cat=f0", "approved"),
        (TWO, THREE, "ann bob=f1 -bob cat", "approved"),
        (TWO, THREE, "ann=f1 bob=f2", None),
        (TWO, THREE, "ann=f1 bob=f2 cat", "modified"),
        (TWO, THREE, "ann=f1 bob=f2 -bob cat", "modified"),
        (FIXED, THREE, "ann=f1", None),
        (FIXED, THREE, "ann cat=f1", "modified"),
        # Stages, conditions on the data that stands, separation of duty.
        (THEN, THREE, "ann ann", None),
        (THEN, THREE, "ann cat", "approved"),
        (THEN, THREE, "bob bob", "approved"),
        (THEN, THREE, "ann cat:rejected", "rejected"),
        (THEN, THREE, "ann=f1 cat", "modified"),
        (THEN, THREE, "ann=f1 cat=f0", "approved"),
        (ABOVE, THREE, "ann", "approved"),
        (ABOVE, THREE, "ann=f1", None),
        (ABOVE, THREE, "ann=f1 cat", "modified"),
        (ABOVE, THREE, "ann=f2", "modified"),
        (SKIPPED, THREE, "ann", "approved"),
        (SKIPPED, THREE, "ann=f1", None),
        (SKIPPED, THREE, "ann=f1 cat", "modified"),
        (SKIPPED, THREE, "ann=f1 cat=f0", "approved"),
        (NEVER, THREE, "", None),
        (NEVER, THREE, "ann", None),
        (NEVER, THREE, "cat", "approved"),
        (FAILING, THREE, "ann", None),
        (FAILING, THREE, "cat ann", "approved"),
        (APART, THREE, "ann ann", None),
        (APART, THREE, "ann bob", "approved"),
        # Trees.
        (BOTH, THREE, "ann", None),
        (BOTH, THREE, "cat", "approved"),
        (BOTH, THREE, "ann bob", "approved"),
        (BOTH_TWO, THREE, "cat", None),
        (BOTH_TWO, THREE, "cat ann", "approved"),
        (EITHER, THREE, "ann", None),
        (EITHER, THREE, "cat", "approved"),
        (EITHER, THREE, "ann bob", "approved"),
        (NESTED, THREE, "ann cat", None),
        (NESTED, THREE, "bob ann", "approved"),
        # One rejection is not the end while the others can make up the number.
        (LENIENT, THREE, "ann:rejected", None),
        (LENIENT, THREE, "ann:rejected bob cat", "approved"),
        (LENIENT, THREE, "ann:rejected bob:rejected", "rejected"),
        (LENIENT, THREE, "ann:rejected -ann ann cat", "approved"),
        (LENIENT, THREE, "ann:rejected bob !bob cat", "approved"),
        (LENIENT, THREE, "!bob ann:rejected", "rejected"),
        (LENIENT, THREE, "ann:rejected -ann !bob cat ann", "approved"),
        (LENIENT, THREE, "bob !bob ann:rejected cat", "approved"),
        (LENIENT_EITHER, THREE, "ann:rejected", None),
        (LENIENT_EITHER, THREE, "cat:rejected", None),
        (LENIENT_EITHER, THREE, "cat ann:rejected", None),
        (LENIENT_EITHER, THREE, "ann:rejected bob:rejected", "rejected"),
        # Removal: the vote counts as recorded, a new vote needs the right now.
        (TWO, THREE, "ann !ann bob", "approved"),
        (TWO, THREE, "!ann ann bob", None),
        (TWO, THREE, "ann !ann bob=f1 ann", None),
        (ONE, OWNED, "ann", None),
        (ONE, OWNED, "bob", None),
        (OWNER, world(owner=CAT), "ann", None),
        (OWNER, world(owner=CAT), "cat ann", "approved"),
        (MANAGERS, RANKS, "bob", None),
        (MANAGERS, RANKS, "ann cat", None),
        (MANAGERS, RANKS, "ann bob", "approved"),
        # Absence: one hand has one vote, and one person is counted once.
        (GROUP, FINANCE, "bob bob/ann", None),
        (GROUP, FINANCE, "bob/ann bob", None),
        (GROUP, FINANCE, "bob cat/ann", "approved"),
        (GROUP, FINANCE, "cat/ann bob/ann", None),
        (GROUP, FINANCE, "cat/ann ann", None),
        (GROUP, FINANCE, "dan/ann bob", None),
        (GROUP, FINANCE, "cat bob", None),
        (GROUP, LEFT, "bob/ann", None),
        (TWICE, FINANCE, "bob bob/ann", "approved"),
        (TWICE_TWO, FINANCE, "bob bob/ann", None),
        # Escalation.
        (ADDED, FOUR, "dan", None),
        (ADDED, FOUR | {"fired": {(0, 0)}}, "dan", "approved"),
        (ADDED, FOUR | {"fired": {(0, 0)}}, "ann dan", "approved"),
        (REPLACED, FOUR | {"fired": {(0, 0)}}, "ann bob", None),
        (REPLACED, FOUR | {"fired": {(0, 0)}}, "dan", "approved"),
        (CHAIN, FOUR, "ann:rejected", "rejected"),
        (CHAIN, FOUR | {"fired": {(0, 0)}}, "ann:rejected dan", "approved"),
        (CHAIN, FOUR | {"fired": {(0, 0), (0, 1)}}, "dan cat", "approved"),
    ],
)
def test_story(
    rules: dict[str, Any], around: dict[str, Any], story: str, outcome: str | None
) -> None:
    assert told(rules, around, story)["outcome"] == outcome


@pytest.mark.parametrize(
    ("rules", "around", "edits", "depth"),
    [
        (ONE, THREE, ("f1",), 4),
        (TWO, THREE, ("f1", "f2"), 4),
        (THEN, THREE, ("f1",), 3),
        (ABOVE, THREE, ("f1",), 3),
        (SKIPPED, THREE, ("f1", "f2"), 4),
        (NEVER, THREE, ("f1",), 3),
        (FIXED, THREE, ("f1",), 3),
        (BOTH_TWO, THREE, (), 4),
        (EITHER, THREE, (), 4),
        (NESTED, THREE, (), 4),
        (LENIENT, THREE, (), 5),
        (LENIENT_EITHER, THREE, ("f1",), 4),
        (APART, THREE, (), 4),
        (GROUP, FINANCE, (), 4),
        (TWICE, FINANCE, (), 4),
        (TWICE_TWO, FINANCE, (), 3),
        (LENIENT, LEFT, (), 4),
        (CHAIN, FOUR | {"fired": {(0, 0)}}, (), 4),
        (CHAIN, FOUR | {"fired": {(0, 0), (0, 1)}}, (), 4),
        (REPLACED, FOUR | {"fired": {(0, 0)}}, ("f1",), 3),
        (OWNER, world(owner=CAT, requester=BOB), (), 4),
        (MANAGERS, RANKS, (), 4),
    ],
)
def test_every_short_story(
    rules: dict[str, Any], around: dict[str, Any], edits: tuple[str, ...], depth: int
) -> None:
    stories = 0
    waiting: list[list[tuple[Any, ...]]] = [[]]
    while waiting:
        acts = waiting.pop()
        state = compare(rules, around, acts)
        stories += 1
        if len(acts) < depth:
            waiting += [[*acts, move] for move in moves(state, acts, edits)]
    assert stories > 2


@pytest.mark.parametrize(
    ("action", "risk", "story", "ending"),
    [
        (None, "low", "ann bob", "approved"),
        (None, "low", "ann bob=f1 cat", "modified"),
        (None, "low", "ann:rejected", "rejected"),
        (None, "low", "ann", "timeout"),
        ("reject", "low", "ann", "timeout"),
        ("hold", "high", "ann", "held"),
        ("approve", "low", "", "silence"),
        ("approve", "low", "ann:rejected", "rejected"),
        ("approve", "medium", "", "timeout"),
        ("approve", "high", "ann", "timeout"),
        ("escalate", "low", "ann", "escalated"),
        ("escalate", "low", "ann bob", "approved"),
    ],
)
def test_deadline(action: str | None, risk: str, story: str, ending: str) -> None:
    rules = policy(stage(of(2, ANN, BOB, CAT), timeoutAction=action, escalation=[STEP]))
    acts: list[tuple[Any, ...]] = []
    for word in story.split():
        acts.append(act_of(word, compare(rules, THREE, acts), rules))
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    silent = silence.at_deadline(shape.read(rules).stages[0], deadline=now, risk=risk)

    assert silence.ending(case(rules, THREE, acts), silent) == ending
