"""Policies and where a request stands, in words that a newcomer reads once."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given

from tests.workflows.policies.builders import ANN, BOB, CAT, DAN, of, policy, stage
from tests.workflows.policies.test_properties import policies as random_policies
from workflows.policies import Case, People, Person, Request, Vote, plain, shape
from workflows.policies.calendars import Calendar
from workflows.policies.escalation import schedule
from workflows.policies.plain import Names

NAMES = Names({ANN: "Ann", BOB: "Bob", CAT: "Cat", DAN: "Dan"}, {"finance": "Finance"})
STEP = {"after": 4 * 3600, "to": {"users": [DAN]}, "count": 1}
REFUNDS = policy(
    stage(of(2, group="finance"), reminders=[{"after": 3600}], escalation=[STEP], name="Finance"),
    stage(of(1, CAT), when="data.amount > 10000", name="CFO", timeoutAction="reject"),
    timeoutSeconds=86400,
)


def test_the_example_of_a_manager() -> None:
    assert plain.explain(REFUNDS, NAMES) == [
        "Two of Finance, then Cat if amount is more than 10,000.",
        "Finance: One rejection rejects the request.",
        "Finance: People are reminded 1 hour after being asked.",
        "Finance: After 4 hours Dan may answer, too; that is enough.",
        "CFO: One rejection rejects the request.",
        "CFO: If nobody decides in time, the request times out, which rejects it.",
        "The request has to be decided within 1 day.",
        "The agent’s owner and the requester may not decide.",
    ]


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (of(1, ANN), "Ann"),
        (of(1, ANN, BOB), "Ann or Bob"),
        (of(2, ANN, BOB), "both Ann and Bob"),
        (of(3, ANN, BOB, CAT), "all of Ann, Bob and Cat"),
        (of(2, ANN, BOB, CAT), "two of Ann, Bob and Cat"),
        (of(1, team="approvers"), "any approver"),
        (of(2, team="approvers"), "two of the approvers"),
        (of(12, group="finance"), "12 of Finance"),
        (of(1, roles=["manager", "lead"]), "one of the managers and leads"),
        (of(1, agentOwner=True), "the agent’s owner"),
        ({"who": {"group": "x"}, "count": "all"}, "all of x"),
        (of(1, group="x", label="the board"), "one of the board"),
        (
            of(1, expression="'a' in\n person.groups"),
            "one of those for whom “'a' in person.groups” holds",
        ),
        ({"allOf": [of(1, ANN), of(2, group="finance")]}, "Ann and two of Finance"),
        ({"anyOf": [of(1, ANN), of(1, BOB), of(1, CAT)]}, "Ann, Bob or Cat"),
        (
            {"allOf": [of(1, ANN), {"anyOf": [of(1, BOB), of(1, CAT)]}]},
            "Ann; and Bob or Cat",
        ),
    ],
)  # fmt: skip
def test_need(need: dict[str, Any], said: str) -> None:
    assert plain.need(shape.read(policy(stage(need))).stages[0].need, NAMES) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data.amount >= 10000.5", "amount is at least 10,000.5"),
        ('risk == "high" && action_type != "x"', 'risk is "high" and action type is not "x"'),
        ('agent.name in ["a", "b"]', 'agent.name is one of "a" or "b"'),
        ('data.to.endsWith("@x.org")', 'to ends with "@x.org"'),
        ("has(data.note)", "there is note"),
        (
            "data.a > 1 || data.b > 2 && data.c > 3",
            "“data.a > 1 || data.b > 2 && data.c > 3” holds",
        ),
        ("data.l.all(i, i > 1)", "“data.l.all(i, i > 1)” holds"),
        ("!(data.a > 1)", "“!(data.a > 1)” holds"),
        ("this is none", "“this is none” holds"),
    ],
)
def test_condition(text: str, said: str) -> None:
    assert plain.condition(text) == said


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({}, "after 4 hours Dan may answer, too; that is enough"),
        ({"mode": "replace"}, "after 4 hours only Dan may answer from then on; that is enough"),
        (
            {"to": {"group": "finance"}, "count": 2, "repeat": 2, "every": 5400},
            "after 4 hours Finance may answer, too; two of them are enough. "
            "They are told again twice, 1 hour 30 minutes apart",
        ),
        (
            {"to": {"roles": ["manager"]}, "count": "all"},
            "after 4 hours the managers may answer, too; all of them have to",
        ),
    ],
)
def test_step(step: dict[str, Any], said: str) -> None:
    read = shape.read(policy(stage(of(1, ANN), escalation=[STEP | step]))).stages[0]
    assert plain.step(read.escalation[0], read, NAMES) == said


def finance(*acts: Vote, **people: Person) -> Case:
    everybody = {
        id_: Person(id_, id_.title(), groups=frozenset({"finance"})) for id_ in (ANN, BOB, CAT)
    } | {DAN: Person(DAN, "Dan")}
    request = Request("pay", {"amount": 5}, "f", owner_id="eve", requester_id="fay")
    others = {"eve": Person("eve"), "fay": Person("fay"), "gus": Person("gus", active=False)}
    return Case.of(REFUNDS, request, acts, People(everybody | others | people))


def vote(user: str, **more: Any) -> Vote:
    return Vote(user, 0, "approved", frozenset({""}), "f", **more)


def test_progress() -> None:
    assert plain.waiting(finance(), NAMES) == "0 of 2, waiting for Finance."
    assert plain.waiting(finance(vote(ANN)), NAMES) == "1 of 2, waiting for Finance."
    assert plain.waiting(finance(vote(ANN), vote(BOB)), NAMES) == ""
    gone = {id_: Person(id_, active=False) for id_ in (BOB, CAT)}
    assert plain.waiting(finance(vote(ANN), **gone), NAMES) == (
        "1 of 2, waiting for Finance; but nobody who could answer is left."
    )


def test_progress_names_people_who_are_named() -> None:
    people = People.of([Person(id_) for id_ in (ANN, BOB, CAT)])
    request = Request("pay", {}, "f")
    two = Case.of(policy(stage(of(2, ANN, BOB, CAT))), request, [vote(BOB)], people)
    assert plain.waiting(two, NAMES) == "1 of 2, waiting for Ann or Cat."
    both = Case.of(policy(stage({"allOf": [of(1, ANN), of(1, CAT)]})), request, [], people)
    assert plain.waiting(both, NAMES) == "0 of 1, waiting for Ann; 0 of 1, waiting for Cat."


@pytest.mark.parametrize(
    ("person", "said"),
    [
        (BOB, ""),
        (ANN, "You have answered already"),
        (DAN, "The stage 'Finance' asks other people."),
        ("eve", "You own the agent"),
        ("fay", "You asked for this"),
        ("gus", "no right to decide"),
        ("nobody", "no right to decide"),
    ],
)
def test_why_somebody_may_not_answer(person: str, said: str) -> None:
    found = plain.why_not(finance(vote(ANN)), person)
    assert found.startswith(said) or said in found
    assert bool(found) == bool(said)


def test_stand_in_bears_both_names() -> None:
    assert plain.who_answered(vote(BOB, behalf=ANN), NAMES) == "Bob for Ann"
    assert plain.who_answered(vote(BOB), NAMES) == "Bob"


def test_who_is_next_and_when() -> None:
    opened = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
    read = shape.read(REFUNDS).stages[0]
    night = Calendar(quiet=((12 * 60, 15 * 60),))

    def next_after(*done: str) -> str:
        found = schedule(
            read, opened_at=opened, deadline=None, now=opened, done=done, calendars=[night]
        )
        return plain.comes_next(found, read, lambda moment: f"{moment:%H:%M}", NAMES)

    assert next_after() == ("At 15:00 (not at 13:00, in quiet or free hours) people are reminded.")
    assert next_after("reminder/0/0") == "At 16:00 Dan may answer, too; that is enough."
    assert next_after("reminder/0/0", "escalation/0/0") == ""


@given(random_policies())
def test_every_policy_has_words(rules: dict[str, Any]) -> None:
    said = plain.explain(rules, NAMES)
    assert len(said) > 1
    assert all(line.removeprefix("s: ")[0].isupper() or "“" in line for line in said)
    assert all(line.endswith(".") and "None" not in line and "{" not in line for line in said)
