"""Small policies and worlds, in the words of the rules."""

from collections.abc import Iterable, Iterator
from typing import Any

from tests.workflows.policies import brute_force
from workflows.policies import Act, Case, People, Person, Request, Vote, Withdrawal

ANN, BOB, CAT, DAN = "ann", "bob", "cat", "dan"
DATA = {"f0": {"amount": 5}, "f1": {"amount": 50}, "f2": {"amount": 7}}


def of(count: int, *users: str, **who: Any) -> dict[str, Any]:
    return {"who": who or {"users": list(users)}, "count": count}


def stage(need: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "s", "need": need, "onReject": "deny", **more}


def policy(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": 1, "name": "p", "allowOwner": False, **more, "stages": list(stages)}


def person(
    *groups: str, roles: Iterable[str] = ("approver",), acts_for: Iterable[str] = ()
) -> dict[str, Any]:
    return {
        "roles": set(roles), "groups": set(groups), "active": True, "acts_for": list(acts_for),
    }  # fmt: skip


def world(people: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    everybody = people or {id_: person() for id_ in (ANN, BOB, CAT)}
    base: dict[str, Any] = {
        "people": everybody, "owner": None, "requester": None, "original": "f0", "data": DATA,
        "fired": set(),
    }  # fmt: skip
    return base | more


def case(rules: dict[str, Any], around: dict[str, Any], acts: Iterable[tuple[Any, ...]]) -> Case:
    """The engine's view of what the brute-force judge sees: the last act is taken now."""
    people = {
        id_: Person(
            id_, id_.title(), frozenset(facts["roles"]), frozenset(facts["groups"]),
            facts["active"], tuple(facts["acts_for"]),
        )
        for id_, facts in around["people"].items()
    }  # fmt: skip
    request = Request(
        action_type="pay",
        data=around["data"][around["original"]],
        fingerprint=around["original"],
        owner_id=around["owner"],
        requester_id=around["requester"],
        versions=around["data"],
    )
    *recorded, new = [None, *map(as_act, acts)]
    before = Case.of(rules, request, filter(None, recorded), People(people), around["fired"])
    return before.after(new) if new else before


def as_act(act: tuple[Any, ...]) -> Act:
    if act[0] == "withdraw":
        _, actor, who, at = act
        return Withdrawal(actor, at, "" if who == actor else who)
    _, actor, who, verdict, seen, made, places, at = act
    return Vote(
        actor, at, verdict, frozenset(places), seen, made or "", "" if who == actor else who
    )


def seen_by(found: Case) -> dict[str, Any]:
    """The engine's answers, shaped as those of the brute-force judge."""
    seats = {
        (actor, seat.person, seat.leaves)
        for actor, seats in found.may_answer.items()
        for seat in seats
    }
    return {
        "outcome": str(found.outcome) if found.outcome else None,
        "stage": found.stage.index if found.stage else None,
        "closed": set(found.state.agreed),
        "table": found.fingerprint,
        "seats": seats,
        "stuck": found.is_stuck,
    }


def compare(
    rules: dict[str, Any], around: dict[str, Any], acts: list[tuple[Any, ...]]
) -> dict[str, Any]:
    """Both judges agree on everything; what they say."""
    expected = brute_force.judge(rules, around, acts)
    found = case(rules, around, acts)
    assert seen_by(found) == expected, (rules, around, acts)
    return expected


def moves(
    state: dict[str, Any], acts: list[tuple[Any, ...]], edits: Iterable[str]
) -> Iterator[tuple[Any, ...]]:
    """Every act the rules take in a state: votes of all kinds, and every withdrawal."""
    at = state["stage"]
    if at is None:
        return
    for actor, who, places in sorted(state["seats"], key=str):
        seen = state["table"]
        yield "vote", actor, who, "approved", seen, None, places, at
        yield "vote", actor, who, "rejected", seen, None, places, at
        for made in edits:
            if made != seen:
                yield "vote", actor, who, "modified", seen, made, places, at
    for pair in sorted({(a[1], a[2]) for a in acts if a[0] == "vote" and a[-1] == at}):
        yield "withdraw", *pair, at
