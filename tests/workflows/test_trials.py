"""Policies and rules tried on past requests: what would have differed, and nothing is written."""

import datetime as dt
import time
from typing import Any

import pytest

from events.models import Event
from hitl.accounts.models import Agent, Membership, Team, User
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import group, one_approver, stage
from workflows import trials
from workflows.models import Workflow
from workflows.policies.format import normalise
from workflows.policies.rules import normalise as normalise_rules
from workflows.rule_words import explain

pytestmark = pytest.mark.django_db


def policy(who: dict[str, Any], count: int = 1, **more: Any) -> dict[str, Any]:
    return normalise({"name": "New", "stages": [stage("S", who, count, **more)]})


TWO = policy({"team": "approvers"}, 2)


class TestPolicies:
    def test_the_same_policy_changes_nothing(
        self, team: Team, agent: Agent, approver: User
    ) -> None:
        decide(make_workflow(agent), approver)
        decide(make_workflow(agent), approver, "rejected", comment="no")
        trial = trials.try_policy(team, normalise(one_approver()))
        assert (trial.tried, trial.changes) == (2, ())
        assert trial.sentence == "The last 2 requests would have gone the same way."
        assert trial.counts == (("Approved", 1, 1), ("Rejected", 1, 1))

    def test_one_answer_would_not_have_been_enough(
        self, team: Team, agent: Agent, approver: User, colleague: User
    ) -> None:
        approved = decide(make_workflow(agent, name="Approved"), approver).workflow
        decide(make_workflow(agent), approver, "rejected", comment="no")
        make_workflow(agent)
        trial = trials.try_policy(team, TWO)
        assert trial.sentence == "1 of the last 3 requests would have gone another way."
        change = trial.changes[0]
        assert change.workflow.pk == approved.pk
        assert (change.before, change.after) == ("Approved", "Not decided by these answers")
        assert change.why == ("Stage 'S': 1 of 2, waiting for the approvers.",)

    def test_answers_of_people_it_does_not_ask_are_named(
        self, team: Team, agent: Agent, approver: User, colleague: User
    ) -> None:
        group(team, "Finance", colleague)
        decide(make_workflow(agent), approver)
        trial = trials.try_policy(team, policy({"group": "finance"}))
        assert "The answer of Ann Approver would not have counted" in trial.changes[0].why[1]

    def test_edits_are_told_on_their_data(
        self, team: Team, agent: Agent, approver: User, colleague: User
    ) -> None:
        workflow = make_workflow(agent)
        decide(
            workflow,
            approver,
            "modified",
            response_data={
                "amount": 90,
                "currency": "EUR",
                "orderId": "A-1009",
                "note": "Damaged in transit",
            },
        )
        assert not trials.try_policy(team, normalise(one_approver())).changes
        stages = [
            stage("Any", {"team": "approvers"}),
            stage("Large", {"users": [str(colleague.pk)]}, when="data.amount > 100"),
        ]
        trial = trials.try_policy(team, normalise({"name": "P", "stages": stages}))
        assert not trial.changes, "the edit brought it below the second stage"

    def test_who_has_left_is_no_difference(
        self, team: Team, agent: Agent, approver: User, colleague: User
    ) -> None:
        decide(make_workflow(agent), approver)
        Membership.objects.filter(user=approver).delete()
        assert not trials.try_policy(team, normalise(one_approver())).changes

    def test_requests_are_chosen(
        self, team: Team, agent: Agent, approver: User, colleague: User
    ) -> None:
        for kind in ("a.b", "a.b", "c.d"):
            decide(make_workflow(agent, action_type=kind), approver)
        assert trials.try_policy(team, TWO, action_type="a.b").tried == 2
        assert trials.try_policy(team, TWO, last=1).tried == 1
        assert trials.try_policy(team, TWO, named="Nobody's").tried == 0
        had = Workflow.objects.first().policy["name"]  # type: ignore[union-attr]
        assert trials.try_policy(team, TWO, named=had, last=2).tried == 2

    def test_other_teams_requests_are_not_looked_at(
        self, team: Team, agent: Agent, approver: User, stranger: User
    ) -> None:
        decide(make_workflow(agent), approver)
        elsewhere = Team.objects.get(slug="elsewhere")
        assert trials.try_policy(elsewhere, TWO).sentence == (
            "There are no requests yet that it could be tried on."
        )

    def test_nothing_is_written(self, team: Team, agent: Agent, approver: User) -> None:
        decide(make_workflow(agent), approver)
        before = (Event.objects.count(), Workflow.objects.get().updated_at)
        trials.try_policy(team, TWO)
        assert (Event.objects.count(), Workflow.objects.get().updated_at) == before

    def test_queries_do_not_grow_with_the_requests(
        self, team: Team, agent: Agent, approver: User, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(8):
            decide(make_workflow(agent), approver)
        started = time.monotonic()
        with django_assert_max_num_queries(8):
            assert trials.try_policy(team, TWO).tried == 8
        assert time.monotonic() - started < 5


class TestRules:
    DENY = {"name": "No", "when": "data.amount > 100", "then": "deny"}
    ASK = {"name": "Ask", "when": "data.amount > 100", "then": "ask", "policy": "Large"}

    def rules(self, *rules: dict[str, Any]) -> list[dict[str, Any]]:
        return normalise_rules(list(rules), now=dt.datetime(2026, 11, 23, tzinfo=dt.UTC))

    def test_what_a_new_rule_would_have_done(self, team: Team, agent: Agent) -> None:
        make_workflow(agent)
        make_workflow(
            agent, action_data={"amount": 5, "currency": "EUR", "note": "", "orderId": ""}
        )
        trial = trials.try_rules(team, [], self.rules(self.DENY))
        assert trial.tried == 2
        change = trial.changes[0]
        assert (change.before, change.after) == ("People are asked", "Rejected by a rule")
        assert change.why == ("The rule 'No' matches: data.amount is 120.",)
        assert trial.counts == (("Rejected by a rule", 0, 1), ("People are asked", 2, 1))

    def test_another_policy_is_a_difference(self, team: Team, agent: Agent) -> None:
        make_workflow(agent)
        trial = trials.try_rules(team, [], self.rules(self.ASK))
        assert trial.changes[0].after == "People are asked, by Large"
        assert not trials.try_rules(team, self.rules(self.ASK), self.rules(self.ASK)).changes


class TestWords:
    def test_rules_in_words(self) -> None:
        base = {"name": "R", "when": "data.amount > 100"}
        approve = base | {
            "then": "approve",
            "until": "2027-01-01T10:30:00Z",
            "budget": {"count": 1, "per": 3600},
        }
        assert [
            explain(base | {"then": "deny"}),
            explain(base | {"then": "ask"}),
            explain(base | {"then": "ask", "policy": "P", "enabled": False}),
            explain(approve | {"when": "true"}),
        ] == [
            "If amount is more than 100, it is rejected without asking anybody.",
            "If amount is more than 100, people are asked.",
            "Switched off: if amount is more than 100, people are asked by the policy P.",
            "Always, it is approved without asking anybody: at most once within 1 hour, until "
            "2027-01-01 10:30:00 UTC.",
        ]
