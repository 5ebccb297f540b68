"""The data format of a policy: what is taken, its normal form, and every refusal."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import canonical
from hitl.lib.errors import InvalidInput
from workflows.policies import default_policy, shape
from workflows.policies.format import normalise, validate

STEP: dict[str, Any] = {"after": 14400, "to": {"users": ["dora"]}}
FULL: dict[str, Any] = {
    "format": 1,
    "name": "Refunds",
    "allowRequester": True,
    "timeoutSeconds": 86400,
    "calendar": {"zone": "Europe/Berlin", "quiet": [["22:00", "07:00"]]},
    "stages": [
        {
            "name": "Finance",
            "need": {"allOf": [
                {"who": {"group": 42, "label": "Finance"}, "count": 2},
                {"anyOf": [
                    {"who": {"roles": ["manager"]}}, {"who": {"team": "approvers"}, "count": "all"},
                ]},
            ]},
            "onReject": "impossible",
            "minPeople": 2,
            "allowEdit": False,
            "channels": ["slack", "email"],
            "reminders": [3600, {"before": 900}],
            "escalation": [
                STEP | {"repeat": 2, "every": 600}, STEP | {"after": 20000, "mode": "replace"},
            ],
            "stepUp": ["high"],
            "timeoutAction": "escalate",
            "extendMax": 7200,
        },
        {
            "name": "CFO",
            "when": "data.amount > 10000",
            "need": {"who": {"expression": '"cfo" in person.roles'}},
        },
    ],
}  # fmt: skip


def changed(place: str, value: Any) -> dict[str, Any]:
    policy = copy.deepcopy(FULL)
    here: Any = policy
    *path, last = place.strip("/").split("/")
    for part in path:
        here = here[int(part) if isinstance(here, list) else part]
    here[int(last) if isinstance(here, list) else last] = value
    return policy


def test_normal_form_writes_out_shorthands_and_leaves_out_defaults() -> None:
    normal = normalise(FULL)
    first, second = normal["stages"]
    assert first["reminders"] == [{"after": 3600}, {"before": 900}]
    assert first["need"]["allOf"][0]["who"] == {"group": "42", "label": "Finance"}
    assert first["escalation"][0]["count"] == 1
    assert list(second) == ["name", "need", "onReject", "when"]
    assert normal["allowOwner"] is False
    assert normalise(normal) == normal
    assert canonical.loads(canonical.dumps(normal)) == normal


def test_default_policies_are_in_normal_form() -> None:
    for policy in (default_policy(), default_policy(["ann", "bob"])):
        assert normalise(policy) == policy


def test_read_fills_in_what_is_left_out() -> None:
    stage = shape.read(normalise(FULL)).stages[1]
    assert (stage.min_people, stage.allow_edit, stage.extend_max) == (1, True, 0)
    assert (stage.on_reject, stage.timeout_action, stage.reminders) == ("deny", None, ())


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("/format", 2, "Only format 1"),
        ("/name", " ", "Write a text"),
        ("/name", "x" * 121, "At most 120"),
        ("/name", "Ref\u202eunds", "cannot be seen"),
        ("/nme", "x", "Did you mean name?"),
        ("/allowOwner", "yes", "true or false"),
        ("/timeoutSeconds", 0, "from 1 to 2592000 seconds"),
        ("/timeoutSeconds", True, "whole number"),
        ("/timeoutSeconds", 2592001, "from 1"),
        ("/calendar/zone", "Nowhere", "time zone"),
        ("/stages", [], "at least one stage"),
        ("/stages", FULL["stages"] * 6, "At most 10"),
        ("/stages", "x", "Write a list"),
        ("/stages/0", 3, "Write an object"),
        ("/stages/0/name", None, "Write a text"),
        ("/stages/0/onReject", "ignore", "deny or impossible"),
        ("/stages/0/minPeople", 0, "from 1 to 100"),
        ("/stages/0/allowEdit", 1, "true or false"),
        ("/stages/0/channels", ["slack", "slack"], "there twice"),
        ("/stages/0/channels", ["fax"], "slack"),
        ("/stages/0/reminders", [{"afer": 3}], "Did you mean after?"),
        ("/stages/0/reminders", [{"after": 3, "before": 3}], "after or before"),
        ("/stages/0/reminders", [60] * 11, "At most 10"),
        ("/stages/0/reminders", [0], "from 1"),
        ("/stages/0/escalation", [STEP, STEP], "later than the one before"),
        ("/stages/0/escalation", [{"after": 60}], "to is missing"),
        ("/stages/0/escalation", [STEP | {"repeat": 21, "every": 60}], "from 0 to 20"),
        ("/stages/0/escalation", [STEP | {"repeat": 2}], "from 60"),
        ("/stages/0/escalation", [STEP | {"every": 600}], "Write repeat, too"),
        ("/stages/0/escalation", [STEP | {"mode": "ad"}], "Did you mean add?"),
        ("/stages/0/escalation", [STEP | {"count": 2}], "Only 1 can answer here"),
        ("/stages/0/escalation", [], "steps of the escalation"),
        ("/stages/0/stepUp", ["extreme"], "low, medium or high"),
        ("/stages/0/timeoutAction", "wait", "reject, hold, escalate or approve"),
        ("/stages/0/extendMax", -1, "from 0"),
        ("/stages/1/when", "data.amount >", "missing at the end"),
        ("/stages/1/when", "x" * 1001, "longer than 1000"),
        ("/stages/1/need", {}, "who and count, or allOf, or anyOf"),
        ("/stages/1/need", {"who": {"team": "approvers"}, "allOf": []}, "who and count"),
        ("/stages/1/need", {"allOf": []}, "at least one need"),
        ("/stages/1/need/who", {}, "Write one of team"),
        ("/stages/1/need/who", {"team": "everybody"}, "approvers"),
        ("/stages/1/need/who", {"users": []}, "Name at least one"),
        ("/stages/1/need/who", {"users": ["a", "a"]}, "there twice"),
        ("/stages/1/need/who", {"users": ["a", 3]}, "Write a text"),
        ("/stages/1/need/who", {"users": ["a"], "roles": ["b"]}, "Write one of"),
        ("/stages/1/need/who", {"expression": "person.nam == 'x'"}, "Did you mean name?"),
        ("/stages/1/need/who", {"agentOwner": True}, "set allowOwner to true"),
        ("/stages/1/need/who", {"agentOwner": 1}, "Write true"),
        ("/stages/1/need/count", 0, "from 1"),
        ("/stages/1/need/count", "two", 'or "all"'),
        ("/stages/1/need/count", 1.5, "whole number"),
    ],
)
def test_refusal_has_a_place_and_a_remedy(place: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(changed(place, value), channels=("slack", "email"))
    faults = [(error.pointer, error.message) for error in caught.value.errors]
    assert any(said in message for _, message in faults), faults
    parent = place[: place.rfind("/")]
    assert any(pointer.startswith(parent) or parent.startswith(pointer) for pointer, _ in faults)


def nested(depth: int) -> dict[str, Any]:
    need: dict[str, Any] = {"who": {"team": "approvers"}}
    for _ in range(depth):
        need = {"allOf": [need]}
    return need


def test_needs_are_bounded_in_depth_and_breadth() -> None:
    normalise(changed("/stages/1/need", nested(4)))
    for need in (nested(5), nested(300), {"anyOf": [{"allOf": [nested(0)] * 10}] * 4}):
        with pytest.raises(InvalidInput):
            normalise(changed("/stages/1/need", need))


def test_policy_is_bounded_in_bytes() -> None:
    with pytest.raises(InvalidInput, match="larger than 64000 bytes"):
        normalise(FULL | {"name": "x" * 64_000})


def test_something_always_applies() -> None:
    with pytest.raises(InvalidInput, match="has to apply always"):
        normalise(FULL | {"stages": [FULL["stages"][1]]})


def test_enough_people_are_asked() -> None:
    stage = {"name": "s", "need": {"who": {"users": ["a", "b"]}, "count": 1}, "minPeople": 3}
    with pytest.raises(InvalidInput, match="Only 2 are asked"):
        normalise({"name": "p", "stages": [stage]})
    step = STEP | {"to": {"users": ["c"]}}
    normalise({"name": "p", "stages": [stage | {"escalation": [step]}]})


keys = st.sampled_from([*FULL, *FULL["stages"][0], "who", "count", "to", "after", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(keys, parts, max_size=4),
    max_leaves=12,
)
places = st.sampled_from(
    ["/name", "/stages", "/stages/0", "/stages/0/need", "/stages/0/escalation", "/calendar"]
)


@given(places, values)
def test_anything_else_is_refused_and_never_breaks(place: str, value: Any) -> None:
    try:
        normal = normalise(changed(place, value))
    except InvalidInput as error:
        said = [fault.message for fault in error.errors]
    else:
        said = [normal["name"]]
        assert normalise(normal) == normal
    assert said
    assert all(said)
