"""An independent judge of policies, written from the rules and sharing nothing with the engine.

It works on plain dictionaries, tries every subset instead of counting, and starts over after each
act. Slow on purpose. A world is

    {"people": {id: {"roles": {…}, "groups": {…}, "active": bool, "acts_for": [id, …]}},
     "owner": id | None, "requester": id | None, "original": fingerprint,
     "data": {fingerprint: data}, "fired": {(stage, step), …}}

and an act is ("vote", actor, person, verdict, seen, made, places) or ("withdraw", actor, person),
both followed by the index of the stage.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

# What the conditions used in tests mean, without an interpreter.
CONDITIONS: dict[str, Callable[[Any], bool]] = {
    "data.amount > 10": lambda data: data["amount"] > 10,
    "data.amount <= 10": lambda data: data["amount"] <= 10,
    "data.missing > 1": lambda data: True,  # it fails, and what fails applies
}


def judge(
    policy: dict[str, Any], world: dict[str, Any], acts: list[tuple[Any, ...]]
) -> dict[str, Any]:
    """Everything the rules say about a request after these acts, the last one taken just now."""
    closed: dict[int, list[tuple[Any, ...]]] = {}
    stands = world["original"]
    page: list[tuple[Any, ...]] = []
    rejected = False
    for number, act in enumerate(acts):
        stage = open_stage(policy, world, closed, stands)
        if rejected or stage is None or act[-1] != stage:
            continue
        if act[0] == "withdraw":
            page = [vote for vote in page if (vote[1], vote[2]) != (act[1], act[2])]
            continue
        if not is_a_vote(policy, world, closed, stands, stage, page, act):
            continue
        page = [v for v in page if not same_say(policy, v, act)] + [act]
        if act[3] == "rejected":
            lenient = policy["stages"][stage].get("onReject", "deny") != "deny"
            is_last = number == len(acts) - 1  # what was not the end when it was recorded is none
            rejected = not lenient or (
                is_last and not reachable(policy, world, closed, stands, stage, page)
            )
        if not rejected and enough(policy, stage, agreeing(page, stands)):
            closed[stage] = agreeing(page, stands)
            stands, page = table(page, stands), []
    stage = None if rejected else open_stage(policy, world, closed, stands)
    verdict = "rejected" if rejected else None
    if not rejected and stage is None:
        edited = any(vote[3] == "modified" for votes in closed.values() for vote in votes)
        verdict = "modified" if edited and stands != world["original"] else "approved"
    out: dict[str, Any] = {
        "outcome": verdict,
        "stage": stage,
        "closed": set(closed),
        "table": table(page, stands),
    }
    if stage is not None:
        out["seats"] = all_seats(policy, world, closed, stands, stage, page)
        out["stuck"] = not reachable(policy, world, closed, stands, stage, page)
    else:
        out["seats"], out["stuck"] = set(), False
    return out


def open_stage(
    policy: dict[str, Any], world: dict[str, Any], closed: Any, stands: str
) -> int | None:
    for index, stage in enumerate(policy["stages"]):
        when = stage.get("when")
        if index not in closed and (when is None or CONDITIONS[when](world["data"][stands])):
            return index
    return None if closed else 0


def table(page: list[tuple[Any, ...]], stands: str) -> str:
    made = [vote[5] for vote in page if vote[3] == "modified"]
    return str(made[-1]) if made else stands


def agreed_to(vote: tuple[Any, ...]) -> Any:
    return vote[5] if vote[3] == "modified" else vote[4]


def agreeing(page: list[tuple[Any, ...]], stands: str) -> list[tuple[Any, ...]]:
    now = table(page, stands)
    return [vote for vote in page if vote[3] != "rejected" and agreed_to(vote) == now]


def lapsed(page: list[tuple[Any, ...]], stands: str) -> list[tuple[Any, ...]]:
    counted = agreeing(page, stands)
    return [vote for vote in page if vote[3] != "rejected" and vote not in counted]


def same_say(policy: dict[str, Any], one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one[2] == other[2] or (one[1] == other[1] and not policy.get("allowTwice", False))


def used_up(
    policy: dict[str, Any], closed: Any, stands: str, page: Any, actor: str, person: str
) -> bool:
    before = {who for votes in closed.values() for vote in votes for who in (vote[1], vote[2])}
    if policy.get("differentPeople") and before & {actor, person}:
        return True
    gone = lapsed(page, stands)
    new = ("vote", actor, person)
    return any(same_say(policy, vote, new) for vote in page if vote not in gone)


def is_a_vote(
    policy: Any, world: Any, closed: Any, stands: str, stage: int, page: Any, act: tuple[Any, ...]
) -> bool:
    _, actor, person, verdict, seen, _, places, _ = act
    known = {place for place, _ in places_of(policy["stages"][stage])}
    if not known & set(places) or seen != table(page, stands):
        return False
    if verdict == "modified" and not policy["stages"][stage].get("allowEdit", True):
        return False
    return not used_up(policy, closed, stands, page, actor, person)


def places_of(stage: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    steps = [(f"escalation/{n}", step["to"]) for n, step in enumerate(stage.get("escalation", []))]
    return [*tree_places(stage["need"], ""), *steps]


def tree_places(need: dict[str, Any], at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "who" in need:
        yield at, need["who"]
    for number, part in enumerate(need.get("allOf", need.get("anyOf", []))):
        yield from tree_places(part, f"{at}/{number}")


def enough(policy: dict[str, Any], stage: int, votes: list[tuple[Any, ...]]) -> bool:
    """Whether some subset of the votes, no two of one person, does it."""
    rules = policy["stages"][stage]
    for size in range(len(votes) + 1):
        for chosen in combinations(votes, size):
            if len({vote[2] for vote in chosen}) < size:
                continue
            hands = {vote[1] for vote in chosen}
            if not policy.get("allowTwice") and len(hands) < size:
                continue
            if len(hands) >= rules.get("minPeople", 1) and any_way(rules, [v[6] for v in chosen]):
                return True
    return False


def any_way(rules: dict[str, Any], places: list[Any]) -> bool:
    if tree_met(rules["need"], places, ""):
        return True
    steps = enumerate(rules.get("escalation", []))
    return any(sum(f"escalation/{n}" in p for p in places) >= step["count"] for n, step in steps)


def tree_met(need: dict[str, Any], places: list[Any], at: str) -> bool:
    if "who" in need:
        return bool(sum(at in place for place in places) >= need["count"])
    if "allOf" in need:
        return all(tree_met(part, places, f"{at}/{n}") for n, part in enumerate(need["allOf"]))
    return any(tree_met(part, places, f"{at}/{n}") for n, part in enumerate(need["anyOf"]))


def reachable(policy: Any, world: Any, closed: Any, stands: str, stage: int, page: Any) -> bool:
    """Whether the stage could still close if everybody who may answer agreed, hands unbounded."""
    rules = policy["stages"][stage]
    counted = agreeing(page, stands)
    seats = all_seats(policy, world, closed, stands, stage, page)
    people: dict[str, set[str]] = {}
    for vote in counted:
        people.setdefault(vote[2], set()).update(vote[6])
    for _, person, places in seats:
        people.setdefault(person, set()).update(places)
    hands = {vote[1] for vote in counted} | {actor for actor, _, _ in seats}
    enough_hands = len(hands) >= rules.get("minPeople", 1)
    return enough_hands and any_way(rules, list(people.values()))


def all_seats(
    policy: Any, world: Any, closed: Any, stands: str, stage: int, page: Any
) -> set[tuple[str, str, frozenset[str]]]:
    """(actor, person, places) of everybody who may answer."""
    found = set()
    rules = policy["stages"][stage]
    for actor, facts in world["people"].items():
        for person in [actor, *facts["acts_for"]]:
            if person not in world["people"] or not (
                entitled(policy, world, actor) and entitled(policy, world, person)
            ):
                continue
            places = frozenset(
                place
                for place, who in open_places(rules, stage, world["fired"])
                if is_meant(who, person, world)
            )
            if places and not used_up(policy, closed, stands, page, actor, person):
                found.add((actor, person, places))
    return found


def open_places(rules: dict[str, Any], stage: int, fired: Any) -> list[tuple[str, dict[str, Any]]]:
    places = list(tree_places(rules["need"], ""))
    for number, step in enumerate(rules.get("escalation", [])):
        if (stage, number) in fired:
            here = (f"escalation/{number}", step["to"])
            places = [here] if step.get("mode", "add") == "replace" else [*places, here]
    return places


def entitled(policy: dict[str, Any], world: dict[str, Any], id_: str) -> bool:
    facts = world["people"][id_]
    if not facts["active"] or not facts["roles"] & {"approver", "manager"}:
        return False
    if id_ == world["owner"] and not policy.get("allowOwner", False):
        return False
    return id_ != world["requester"] or bool(policy.get("allowRequester", False))


def is_meant(who: dict[str, Any], id_: str, world: dict[str, Any]) -> bool:
    facts = world["people"][id_]
    if "users" in who:
        return id_ in who["users"]
    if "group" in who:
        return who["group"] in facts["groups"]
    if "roles" in who:
        roles = facts["roles"] | ({"approver"} if "manager" in facts["roles"] else set())
        return bool(roles & set(who["roles"]))
    if "agentOwner" in who:
        return bool(id_ == world["owner"])
    return True
