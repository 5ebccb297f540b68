"""Rules that decide without a person, or choose the policy, and what bounds them."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.models import Agent, Team, User
from tests.accounts.factories import TeamFactory
from tests.racing import race
from tests.workflows.factories import REFUND, decide, make_workflow
from tests.workflows.policy_samples import stage
from tests.workflows.test_deciding import adopt, now, told
from workflows.errors import AlreadyDecided, outcome_sentence
from workflows.models import Policy, RuleSet, RuleUse, Status, Workflow
from workflows.policies import format as policy_format
from workflows.policies import rules as rule_format

pytestmark = pytest.mark.django_db


def rules(team: Team, *written: dict[str, Any]) -> RuleSet:
    """The team's rules in force."""
    found = rule_format.normalise(list(written), now=timezone.now())
    number = RuleSet.objects.filter(team=team).count() + 1
    return RuleSet.objects.create(team=team, number=number, rules=found)


def small(count: int = 2, **budget: Any) -> dict[str, Any]:
    return {
        "name": "Small refunds",
        "when": "data.amount < 200.0",
        "then": "approve",
        "until": (timezone.now() + dt.timedelta(days=30)).isoformat(),
        "budget": {"count": count, "per": 86_400, **budget},
    }


def test_rule_approves_and_says_so_everywhere(agent: Agent, team: Team, approver: User) -> None:
    rules(team, small())
    workflow = make_workflow(agent)
    row = now(workflow)
    assert (row.status, row.decision, row.responded_by) == (Status.APPROVED, "approved", None)
    assert row.responded_via == "rule"
    assert "Small refunds" in row.feedback
    assert "by a rule" in outcome_sentence(row)
    assert told(workflow) == ["workflow.created", "rule.applied"]
    assert Event.objects.latest("seq").actor["name"] == "the rule “Small refunds”"
    assert not Delivery.objects.exists()
    with pytest.raises(AlreadyDecided):
        decide(workflow, approver)


def test_rule_rejects(agent: Agent, team: Team, approver: User) -> None:
    rules(team, {"name": "No euros", "when": "data.currency == 'EUR'", "then": "deny"})
    row = now(make_workflow(agent))
    assert (row.status, row.decision) == (Status.REJECTED, "rejected")
    assert told(row) == ["workflow.created", "rule.applied", "workflow.rejected"]


def test_deny_beats_approve(agent: Agent, team: Team, approver: User) -> None:
    rules(team, small(), {"name": "No euros", "when": "data.currency == 'EUR'", "then": "deny"})
    assert now(make_workflow(agent)).status == Status.REJECTED


def test_rule_that_fails_asks_a_person(agent: Agent, team: Team, approver: User) -> None:
    rules(team, small(), {"name": "Broken", "when": "data.nothing.there > 1.0", "then": "deny"})
    workflow = make_workflow(agent)
    assert workflow.is_open
    assert Delivery.objects.exists()


def test_budget_is_spent_and_then_people_are_asked(
    agent: Agent, team: Team, approver: User
) -> None:
    rules(team, small(count=2))
    assert [now(make_workflow(agent)).status for _ in range(3)] == [
        Status.APPROVED, Status.APPROVED, Status.PENDING,
    ]  # fmt: skip
    assert RuleUse.objects.count() == 2


def test_sum_is_bounded_too(agent: Agent, team: Team, approver: User) -> None:
    rules(team, small(count=9, of="data.amount", sum=200))
    assert now(make_workflow(agent)).status == Status.APPROVED
    assert now(make_workflow(agent)).status == Status.PENDING
    assert now(make_workflow(agent, action_data=REFUND | {"amount": 80})).status == Status.APPROVED


def test_rule_chooses_the_policy_over_the_agent(
    agent: Agent, team: Team, approver: User, manager: User
) -> None:
    adopt(team, stage("Any", {"team": "approvers"}), name="Easy")
    strict = {"name": "Strict", "stages": [stage("Managers", {"roles": ["manager"]})]}
    Policy.objects.create(team=team, name="Strict", document=policy_format.normalise(strict))
    rules(
        team,
        {"name": "Large", "when": "data.amount > 100.0", "then": "ask", "policy": "Strict"},
    )
    workflow = make_workflow(agent, policy="Easy")
    assert workflow.policy["from"]["name"] == "Strict"
    assert "Large" in workflow.policy["from"]["why"]
    small_one = make_workflow(agent, policy="Easy", action_data=REFUND | {"amount": 5})
    assert small_one.policy["from"]["name"] == "Easy"


def test_rule_with_a_policy_that_is_no_more_still_asks(
    agent: Agent, team: Team, approver: User
) -> None:
    rules(team, {"name": "Large", "when": "true", "then": "ask", "policy": "Gone"})
    assert make_workflow(agent).is_open


def test_rules_of_another_team_do_not_count(agent: Agent, approver: User) -> None:
    rules(TeamFactory(), small())
    assert make_workflow(agent).is_open


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_at_once_cannot_spend_the_same_budget(agent: Agent, team: Team, approver: User) -> None:
    for turn in range(50):
        rules(team, small(count=1) | {"name": f"Turn {turn}"})
        race(*[lambda: make_workflow(agent)] * 3)
        assert RuleUse.objects.filter(rule=f"Turn {turn}").count() == 1
    assert Workflow.objects.filter(status=Status.APPROVED).count() == 50
