"""Rules: deny beats an error beats approve beats ask; bounds; which policy; dry runs."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib.errors import InvalidInput
from workflows.policies import Request, rules
from workflows.policies.rules import Choice, Ruling, Spent, choose_policy, decide, dry_run

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
DENY = {"name": "no crypto", "when": 'data.currency == "XBT"', "then": "deny"}
APPROVE: dict[str, Any] = {
    "name": "small", "when": "data.amount < 50", "then": "approve", "because": "Below the limit.",
    "until": "2027-01-01T00:00:00Z", "budget": {"count": 3, "per": 3600},
}  # fmt: skip
ASK = {"name": "large", "when": "data.amount > 1000", "then": "ask", "policy": "Two of Finance"}
BROKEN = {"name": "broken", "when": "data.missing > 1", "then": "deny"}
ALWAYS_ASK = {"name": "always", "when": "true", "then": "ask", "policy": "Anybody"}


def request(**data: Any) -> Request:
    given = {"amount": 10, "currency": "EUR"} | data
    return Request("pay", given, risk="low", created_at=NOW)


def ruling(given: list[dict[str, Any]], *, asked: Request | None = None, **more: Any) -> Ruling:
    read = rules.read(rules.normalise(given, now=NOW))
    return decide(read, asked or request(), now=more.pop("now", NOW), **more)


@pytest.mark.parametrize(
    ("given", "data", "outcome", "rule"),
    [
        ([], {}, "ask", None),
        ([APPROVE], {"amount": 80}, "ask", None),
        ([APPROVE], {}, "approve", "small"),
        ([ASK], {"amount": 2000}, "ask", "large"),
        ([APPROVE, DENY], {"currency": "XBT"}, "deny", "no crypto"),
        ([ALWAYS_ASK, APPROVE], {}, "approve", "small"),
        ([ALWAYS_ASK, ASK], {"amount": 2000}, "ask", "always"),
        ([BROKEN, DENY], {"currency": "XBT"}, "deny", "no crypto"),
        ([APPROVE, BROKEN], {}, "ask", "broken"),
        ([APPROVE, BROKEN | {"enabled": False}], {}, "approve", "small"),
        ([APPROVE | {"enabled": False}], {}, "ask", None),
    ],
)
def test_what_beats_what(given: Any, data: Any, outcome: str, rule: str | None) -> None:
    found = ruling(given, asked=request(**data))
    assert (found.outcome, found.rule.name if found.rule else None) == (outcome, rule)
    assert len(found.findings) == len(given)


def test_says_which_rule_matched_and_why() -> None:
    assert ruling([APPROVE]).why == "The rule 'small' matches: data.amount is 10. Below the limit."
    assert ruling([APPROVE], asked=request(amount=80)).findings[0].state == "other"
    assert ruling([]).why == "No rule speaks of this request, so people are asked."


def test_error_is_said_and_asks_a_person() -> None:
    found = ruling([BROKEN])
    assert found.outcome == "ask"
    assert found.policy is None
    assert found.why == (
        "The rule 'broken' cannot be judged, so people are asked: "
        "There is no 'missing'. Ask first with has(…)."
    )


@pytest.mark.parametrize(
    ("budget", "spent", "amount", "outcome"),
    [
        ({}, Spent(2), 10, "approve"),
        ({}, Spent(3), 10, "ask"),
        ({"of": "data.amount", "sum": 100}, Spent(1, 90), 10, "approve"),
        ({"of": "data.amount", "sum": 100}, Spent(1, 91), 10, "ask"),
        ({"of": "data.amount", "sum": 100}, Spent(1, 0), -10, "ask"),
        ({"of": "data.missing", "sum": 100}, Spent(), 10, "ask"),
        ({"of": "data.currency", "sum": 100}, Spent(), 10, "ask"),
    ],
)
def test_budget(budget: Any, spent: Spent, amount: int, outcome: str) -> None:
    rule = APPROVE | {"budget": APPROVE["budget"] | budget}
    found = ruling([rule], asked=request(amount=amount), spent={"small": spent})
    assert found.outcome == outcome
    assert found.amount == (amount if outcome == "approve" and "of" in budget else 0)


def test_approval_ends_by_itself() -> None:
    until = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert ruling([APPROVE], now=until - dt.timedelta(seconds=1)).outcome == "approve"
    found = ruling([APPROVE], now=until)
    assert (found.outcome, found.findings[0].state) == ("ask", "expired")
    assert "ended 2027-01-01 00:00 UTC" in found.why


def test_used_up_budget_still_lets_another_rule_speak() -> None:
    other = APPROVE | {"name": "other"}
    found = ruling([APPROVE, other], spent={"small": Spent(3)})
    assert found.rule is not None
    assert (found.outcome, found.rule.name) == ("approve", "other")


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"name": ""}, "/0/name", "Write a text"),
        ({"when": "data.amount = 3"}, "/0/when", "Write == to compare"),
        ({"then": "allow"}, "/0/then", "Write deny, approve or ask"),
        ({"until": None}, "/0/until", "write until, too"),
        ({"until": "2028-01-01T00:00:00Z"}, "/0/until", "At most a year"),
        ({"until": "2027-01-01T00:00:00"}, "/0/until", "with its zone"),
        ({"until": "soon"}, "/0/until", "with its zone"),
        ({"budget": None}, "/0/budget", "write budget, too"),
        ({"budget": {"count": 0, "per": 60}}, "/0/budget/count", "from 1"),
        ({"budget": {"count": 1, "per": 1}}, "/0/budget/per", "from 60"),
        ({"budget": {"count": 1, "per": 60, "sum": 3}}, "/0/budget", "of and sum together"),
        ({"budget": {"count": 1, "per": 60, "sum": 3, "of": "risk"}}, "/0/budget/of", "a number"),
        ({"policy": "x"}, "/0/policy", "Only a rule that asks"),
        ({"then": "deny"}, "/0/until", "Only a rule that approves"),
        ({"wen": "true"}, "/0/wen", "Did you mean when?"),
    ],
)
def test_faults_are_named(change: Any, place: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules.normalise([APPROVE | change], now=NOW)
    assert (place, True) in [(e.pointer, said in e.message) for e in caught.value.errors]


def test_names_are_unique_and_policies_known() -> None:
    with pytest.raises(InvalidInput, match="name already"):
        rules.normalise([DENY, DENY], now=NOW)
    with pytest.raises(InvalidInput, match="Two of Fin"):
        rules.normalise([ASK], now=NOW, policies=["Two of Fin", "One"])
    with pytest.raises(InvalidInput, match="At most 100"):
        rules.normalise([DENY | {"name": str(n)} for n in range(101)], now=NOW)


def test_normal_form_is_stable() -> None:
    normal = rules.normalise([DENY, APPROVE, ASK, BROKEN | {"enabled": False}], now=NOW)
    assert rules.normalise(normal, now=NOW) == normal


def test_rule_that_is_stored_without_bounds_approves_nothing() -> None:
    rule = rules.Rule("old", "true", "approve")
    assert decide([rule], request(), now=NOW).outcome == "ask"


@pytest.mark.parametrize(
    ("given", "named", "by_type", "expected"),
    [
        ([ALWAYS_ASK], "Easy", "Normal", "Anybody"),
        ([], "Easy", "Normal", "Easy"),
        ([], None, "Normal", "Normal"),
        ([], None, None, None),
    ],
)
def test_rule_beats_what_the_agent_names(
    given: Any, named: str | None, by_type: str | None, expected: str | None
) -> None:
    choice = choose_policy(ruling(given), named=named, by_type=by_type)
    assert isinstance(choice, Choice)
    assert choice.policy == expected
    assert choice.why.endswith(".")


def past(*amounts: float, apart: int = 600) -> list[Request]:
    return [
        Request("pay", {"amount": amount}, created_at=NOW + dt.timedelta(seconds=apart * n))
        for n, amount in enumerate(amounts)
    ]


def test_dry_run_names_what_would_have_differed() -> None:
    old = rules.read([APPROVE])
    new = rules.read([APPROVE | {"when": "data.amount < 20"}, ASK])
    found = dry_run(old, new, past(10, 30, 80, 2000))
    assert [(d.number, d.before.outcome, d.after.outcome) for d in found.differences] == [
        (1, "approve", "ask"), (3, "ask", "ask"),
    ]  # fmt: skip
    assert found.before == {"approve": 2, "ask": 2}
    assert found.after == {"approve": 1, "ask": 3}
    assert dry_run(old, old, past(10, 30)).differences == ()


def test_dry_run_spends_budgets_as_time_goes() -> None:
    given = rules.read([APPROVE | {"budget": {"count": 2, "per": 1200}}])
    found = dry_run([], given, past(1, 1, 1, 1, 1, apart=500))
    # Two in the first 1,200 seconds, then one for each that falls out of the window.
    assert [d.number for d in found.differences] == [0, 1, 3, 4]


texts = st.text(max_size=10)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3),
    max_leaves=8,
)
odd_rules = st.lists(
    st.builds(lambda base, key, value: base | {key: value}, st.sampled_from([APPROVE, ASK, DENY]),
              st.sampled_from([*APPROVE, "policy", "x"]), anything),
    max_size=2,
)  # fmt: skip


@given(odd_rules | anything)
def test_anything_is_read_or_refused_with_places(given: Any) -> None:
    try:
        normal = rules.normalise(given, now=NOW)
    except InvalidInput as error:
        assert all(fault.message for fault in error.errors)  # noqa: PT017
    else:
        assert ruling(normal).outcome in ("deny", "approve", "ask")
