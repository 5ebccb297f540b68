"""What holds for every policy: checked on random ones, with random people and random acts."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.workflows.policies import brute_force
from tests.workflows.policies.builders import ANN, BOB, CAT, DAN, DATA, case, compare, moves, world
from workflows.policies import format as policy_format
from workflows.policies.freezing import freeze

IDS = (ANN, BOB, CAT, DAN)
GROUPS = ("finance", "legal")

whos = st.one_of(
    st.just({"team": "approvers"}),
    st.lists(st.sampled_from(IDS), min_size=1, unique=True).map(lambda ids: {"users": ids}),
    st.sampled_from(GROUPS).map(lambda group: {"group": group}),
    st.sampled_from(["approver", "manager"]).map(lambda role: {"roles": [role]}),
)
leaves = st.builds(
    lambda who, count: {"who": who, "count": min(count, len(who.get("users", IDS)))},
    whos,
    st.integers(1, 3),
)
needs = st.recursive(
    leaves,
    lambda parts: st.builds(
        lambda word, given: {word: given},
        st.sampled_from(["allOf", "anyOf"]),
        st.lists(parts, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
steps = st.builds(
    lambda leaf, mode: {"to": leaf["who"], "count": leaf["count"], "mode": mode},
    leaves,
    st.sampled_from(["add", "replace"]),
)


@st.composite
def stages(draw: st.DrawFn, when: str | None) -> dict[str, Any]:
    drawn = draw(st.lists(steps, max_size=2))
    stage: dict[str, Any] = {
        "name": "s",
        "need": draw(needs),
        "onReject": draw(st.sampled_from(["deny", "impossible"])),
        "minPeople": draw(st.sampled_from([1, 1, 2])),
        "allowEdit": draw(st.booleans()),
        "escalation": [step | {"after": 60 * (n + 1)} for n, step in enumerate(drawn)],
    }
    return stage | ({"when": when} if when else {})


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    whens = draw(st.lists(st.sampled_from([None, *brute_force.CONDITIONS]), max_size=2))
    flags = ("allowOwner", "allowRequester", "allowTwice", "differentPeople")
    return {
        "format": 1,
        "name": "p",
        **{flag: draw(st.booleans()) for flag in flags},
        "stages": [draw(stages(when)) for when in draw(st.permutations([*whens, None]))],
    }


def others(id_: str) -> list[str]:
    return [other for other in IDS if other != id_]


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    people = {
        id_: {
            "roles": {draw(st.sampled_from(["approver", "approver", "manager", "viewer"]))},
            "groups": draw(st.sets(st.sampled_from(GROUPS))),
            "active": draw(st.sampled_from([True, True, True, False])),
            "acts_for": draw(st.lists(st.sampled_from(others(id_)), max_size=2, unique=True)),
        }
        for id_ in IDS
    }
    someone = st.sampled_from([None, None, *IDS])
    fired = draw(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 1))))
    return world(people, owner=draw(someone), requester=draw(someone), fired=fired)


@st.composite
def stories(draw: st.DrawFn) -> tuple[Any, Any, list[tuple[Any, ...]]]:
    """A policy, a world, and acts: mostly such as the rules take, some that they do not."""
    rules, around = draw(policies()), draw(worlds())
    acts: list[tuple[Any, ...]] = []
    length: int = draw(st.integers(0, 7))
    for _ in range(length):
        state = brute_force.judge(rules, around, acts)
        possible = list(moves(state, acts, DATA))
        tame: int = draw(st.integers(0, 4))
        if possible and tame:
            acts.append(draw(st.sampled_from(possible)))
        else:
            acts.append(draw(wild_acts(len(rules["stages"]))))
    return rules, around, acts


def wild_acts(count: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """Votes by anybody, for anybody, about anything, claiming any place."""
    person, at = st.sampled_from(IDS), st.integers(0, count - 1)
    places = st.frozensets(st.sampled_from(["", "/0", "/1", "/0/1", "escalation/0", "nowhere"]))
    kinds = st.sampled_from(["approved", "rejected", "modified"])
    prints = st.sampled_from(list(DATA))
    vote = st.tuples(st.just("vote"), person, person, kinds, prints, prints, places, at)
    return st.one_of(vote, st.tuples(st.just("withdraw"), person, person, at))


@settings(max_examples=300)
@given(stories())
def test_engine_agrees_with_the_other_judge(story: tuple[Any, Any, Any]) -> None:
    compare(*story)


@settings(max_examples=150)
@given(stories(), st.data())
def test_closed_stages_never_open_again(story: tuple[Any, Any, Any], data: st.DataObject) -> None:
    rules, around, acts = story
    left = data.draw(worlds())
    closed: set[int] = set()
    outcome = None
    for length in range(len(acts) + 1):
        people = around if length % 2 else left  # people join, leave and change all the time
        found = case(rules, {**around, "people": people["people"]}, acts[:length])
        assert closed <= set(found.state.agreed)
        closed = set(found.state.agreed)
        if outcome in ("approved", "modified"):
            assert found.outcome == outcome
        outcome = found.outcome


@settings(max_examples=150)
@given(stories())
def test_verdict_is_final(story: tuple[Any, Any, Any]) -> None:
    """Whatever is recorded afterwards; "impossible" trusts that nothing is."""
    rules, around, acts = story
    for stage in rules["stages"]:
        stage["onReject"] = "deny"
    verdicts = [case(rules, around, acts[:length]).outcome for length in range(len(acts) + 1)]
    decided = [verdict for verdict in verdicts if verdict]
    assert len(set(decided)) <= 1
    assert verdicts == [None] * (len(verdicts) - len(decided)) + decided


@settings(max_examples=150)
@given(stories())
def test_nobody_counts_twice(story: tuple[Any, Any, Any]) -> None:
    rules, around, acts = story
    state = case(rules, around, acts).state
    for votes in [state.live, *state.agreed.values()]:
        people = [vote.person for vote in votes]
        assert len(people) == len(set(people))
        hands = [vote.user_id for vote in votes]
        assert rules["allowTwice"] or len(hands) == len(set(hands))
    if rules["differentPeople"]:
        everybody = [
            {v.user_id for v in votes} | {v.person for v in votes}
            for votes in state.agreed.values()
        ]
        assert sum(map(len, everybody)) == len(set().union(*everybody))


@settings(max_examples=150)
@given(stories(), st.randoms())
def test_order_of_agreeing_votes_does_not_matter(story: Any, random: Any) -> None:
    """Within a stage, among votes that are about the same data and edit nothing."""
    rules, around, acts = story
    before = brute_force.judge(rules, around, acts)
    assume(before["stage"] is not None)
    more: list[tuple[Any, ...]] = []
    state = before
    while state["stage"] == before["stage"] and len(more) < 4:
        plain = [m for m in moves(state, [], ()) if m[0] == "vote" and m[3] == "approved"]
        if not plain:
            break
        more.append(random.choice(plain))
        state = brute_force.judge(rules, around, acts + more)
    shuffled = random.sample(more, len(more))
    one, other = case(rules, around, acts + more), case(rules, around, acts + shuffled)
    assert (one.outcome, set(one.state.agreed)) == (other.outcome, set(other.state.agreed))


@settings(max_examples=150)
@given(stories())
def test_one_more_agreeing_vote_never_sets_back(story: tuple[Any, Any, Any]) -> None:
    rules, around, acts = story
    found = case(rules, around, acts)
    missing = {progress.leaf.place: progress.missing for progress in found.progress}
    state = brute_force.judge(rules, around, acts)
    for move in moves(state, acts, ()):
        if move[0] == "vote" and move[3] == "approved":
            later = case(rules, around, [*acts, move])
            assert later.outcome != "rejected"
            assert set(found.state.agreed) <= set(later.state.agreed)
            if later.stage == found.stage:
                after = {progress.leaf.place: progress.missing for progress in later.progress}
                assert all(after[place] <= count for place, count in missing.items())


@settings(max_examples=150)
@given(policies(), worlds())
def test_normal_form_means_the_same(rules: dict[str, Any], around: dict[str, Any]) -> None:
    for stage in rules["stages"]:
        stage["minPeople"] = 1
    normal = policy_format.normalise(rules)
    assert policy_format.normalise(normal) == normal
    assert case(normal, around, []).policy == case(rules, around, []).policy


@given(worlds(), whos)
def test_all_is_counted_once_and_for_all(around: dict[str, Any], who: dict[str, Any]) -> None:
    rules: dict[str, Any] = {"format": 1, "name": "p", "allowOwner": False, "stages": [
        {"name": "s", "need": {"who": who, "count": "all"}, "onReject": "deny"}
    ]}  # fmt: skip
    found = case(rules, around, [])
    frozen = freeze(rules, found.request, found.people)
    entitled = {
        id_ for id_ in IDS
        if brute_force.entitled(rules, around, id_) and brute_force.is_meant(who, id_, around)
    }  # fmt: skip
    need = frozen["stages"][0]["need"]
    assert need["count"] == max(len(entitled), 1) == found.wanted(found.policy.stages[0].leaves[0])
    assert not entitled or set(need["who"]["users"]) == entitled
    assert rules["stages"][0]["need"]["count"] == "all"
