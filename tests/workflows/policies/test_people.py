"""Whom a policy means: every form, and an expression over a person and the request."""

from typing import Any

import pytest

from tests.workflows.policies.builders import ANN, BOB, CAT, policy, stage
from workflows.policies import Case, People, Person, Request, Vote
from workflows.policies.people import Matcher

MANAGER = Person(ANN, "Ann", frozenset({"manager"}), frozenset({"7", "finance"}))
APPROVER = Person(BOB, "Bob", frozenset({"approver", "cfo"}))
VIEWER = Person(CAT, "Cat", frozenset({"viewer"}))
REQUEST = Request("pay", {"amount": 50}, "f0", owner_id=BOB, versions={"f1": {"amount": 5}})


@pytest.mark.parametrize(
    ("who", "meant"),
    [
        ({"team": "approvers"}, [ANN, BOB]),
        ({"users": [CAT, ANN]}, [ANN, CAT]),
        ({"roles": ["manager"]}, [ANN]),
        ({"roles": ["approver"]}, [ANN, BOB]),
        ({"roles": ["viewer"]}, [ANN, BOB, CAT]),
        ({"roles": ["cfo", "cto"]}, [BOB]),
        ({"group": "finance"}, [ANN]),
        ({"group": "7"}, [ANN]),
        ({"agentOwner": True}, [BOB]),
        ({"expression": '"finance" in person.groups'}, [ANN]),
        ({"expression": 'person.name == "Cat" || "cfo" in person.roles'}, [BOB, CAT]),
        ({"expression": 'request.data.amount > 10 && person.id != "ann"'}, [BOB, CAT]),
        ({"expression": "request.agent.owner == person.id"}, [BOB]),
        ({"expression": "request.data.missing == person.id"}, []),
        ({"expression": "no expression"}, []),
    ],
)
def test_who_is_meant(who: dict[str, Any], meant: list[str]) -> None:
    matcher = Matcher(REQUEST, "f0")
    assert [p.id for p in (MANAGER, APPROVER, VIEWER) if matcher.means(who, p)] == meant


def test_expression_sees_the_data_on_the_table() -> None:
    """An edit in one stage changes whom the next one asks."""
    small = {"who": {"expression": 'request.data.amount < 10 || person.id == "ann"'}, "count": 1}
    anybody = {"who": {"team": "approvers"}, "count": 1}
    rules = policy(stage(anybody), stage(small), allowOwner=True)
    people = People.of([MANAGER, APPROVER, VIEWER])
    vote = Vote(ANN, 0, "approved", frozenset({""}), "f0")
    edit = Vote(ANN, 0, "modified", frozenset({""}), "f0", "f1")
    assert set(Case.of(rules, REQUEST, [vote], people).may_answer) == {ANN}
    assert set(Case.of(rules, REQUEST, [edit], people).may_answer) == {ANN, BOB}


def test_data_of_an_unknown_edit_asks_everybody_a_condition_could_ask() -> None:
    always = stage({"who": {"team": "approvers"}, "count": 1})
    large = stage({"who": {"users": [ANN]}, "count": 1}, when="data.amount > 100")
    edit = Vote(ANN, 0, "modified", frozenset({""}), "f0", "unknown")
    found = Case.of(policy(always, large), REQUEST, [edit], People.of([MANAGER]))
    assert found.stage is not None
    assert found.stage.index == 1


def test_who_has_left_keeps_an_id() -> None:
    assert People.of([MANAGER]).name(ANN) == "Ann"
    assert People.of([MANAGER]).name("gone") == "gone"
