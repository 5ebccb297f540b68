"""Policies and rules in the admin: the same writers, the same refusals, nothing overwritten."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from hitl.accounts.models import Team, User
from tests.workflows.factories import ActionTypeFactory
from tests.workflows.policy_samples import one_approver
from workflows import policy_books
from workflows.models import ActionType, Policy, PolicyVersion, RuleSet

pytestmark = pytest.mark.django_db

YAML = "name: Refunds\ntimeout: 1d\nstages:\n  - name: Any\n    need: approvers\n"


@pytest.fixture
def desk(db: None) -> Client:
    """Staff who manage no team."""
    client = Client()
    client.force_login(User.objects.create_superuser("ops@example.com", name="Ops"))
    return client


def page(model: str, name: str, *args: Any) -> str:
    return reverse(f"admin:workflows_{model}_{name}", args=args)


def errors(answer: Any) -> str:
    return str(answer.context["adminform"].form.errors)


def test_policy_is_made_and_changed_through_the_writer(desk: Client, team: Team) -> None:
    fields = {"team": team.pk, "yaml": YAML, "note": "By hand"}
    assert desk.post(page("policy", "add"), fields).status_code == 302
    policy = Policy.objects.get()
    assert (policy.name, policy.version) == ("Refunds", 1)
    change = page("policy", "change", policy.pk)
    assert b"Any approver." in desk.get(change).content
    longer = YAML.replace("1d", "2d")
    assert desk.post(change, {"yaml": longer, "version_shown": 1, "note": ""}).status_code == 302
    newest = PolicyVersion.objects.first()
    assert newest is not None
    assert (newest.number, str(newest.created_by)) == (2, "Ops")
    assert b"timeoutSeconds" in desk.get(page("policyversion", "change", newest.pk)).content


def test_faults_name_their_lines(desk: Client, team: Team) -> None:
    bad = YAML.replace("approvers", "group nobody")
    answer = desk.post(page("policy", "add"), {"team": team.pk, "yaml": bad, "note": ""})
    assert "Line 5: There is no group" in errors(answer)
    assert not Policy.objects.exists()


def test_nobody_is_overwritten(desk: Client, team: Team, manager: User) -> None:
    policy = policy_books.save_policy(team, one_approver(), by=manager)
    later = one_approver() | {"timeoutSeconds": 60}
    policy_books.save_policy(team, later, by=manager, policy_id=policy.pk)
    fields = {"yaml": YAML, "version_shown": 1, "note": ""}
    answer = desk.post(page("policy", "change", policy.pk), fields)
    assert "was saved meanwhile" in errors(answer)
    assert Policy.objects.get().version == 2


def test_name_that_is_taken_is_refused(desk: Client, team: Team, manager: User) -> None:
    policy_books.save_policy(team, one_approver(), by=manager)
    answer = desk.post(page("policy", "add"), {"team": team.pk, "yaml": YAML, "note": ""})
    assert "already" in errors(answer)


def test_archiving_asks_the_writer(desk: Client, team: Team, manager: User) -> None:
    policy = policy_books.save_policy(team, one_approver(), by=manager)
    policy_books.make_default(team, policy.pk, by=manager)
    pressed = {"action": "archive", "_selected_action": [policy.pk]}
    answer = desk.post(page("policy", "changelist"), pressed, follow=True)
    assert "its default" in " ".join(str(each) for each in answer.context["messages"])
    policy_books.make_default(team, None, by=manager)
    desk.post(page("policy", "changelist"), pressed)
    assert Policy.objects.get().archived_at
    desk.post(page("policy", "changelist"), pressed | {"action": "bring_back"})
    assert Policy.objects.get().archived_at is None


def test_nothing_is_deleted(desk: Client, team: Team, manager: User) -> None:
    policy = policy_books.save_policy(team, one_approver(), by=manager)
    rules = policy_books.save_rules(team, [], by=manager)
    assert rules.number == 0
    assert desk.post(page("policy", "delete", policy.pk), {"post": "yes"}).status_code == 403


def test_rules_are_replaced_by_a_new_set(desk: Client, team: Team) -> None:
    yaml = "rules:\n  - {name: No, when: data.amount > 100, then: deny}\n"
    fields = {"team": team.pk, "yaml": yaml, "note": ""}
    assert desk.post(page("ruleset", "add"), fields).status_code == 302
    rules = RuleSet.objects.get()
    shown = desk.get(page("ruleset", "change", rules.pk)).content
    assert b"If amount is more than 100, it is rejected without asking anybody." in shown
    assert desk.post(page("ruleset", "change", rules.pk), fields).status_code == 403


def test_action_type_takes_policies_of_its_team_only(
    desk: Client, team: Team, manager: User, stranger: User
) -> None:
    mine = policy_books.save_policy(team, one_approver(), by=manager)
    other = policy_books.save_policy(stranger.teams.get(), one_approver(), by=stranger)
    kind = ActionTypeFactory(team=team, name="a.b")
    fields: dict[str, Any] = {
        "team": team.pk, "name": "a.b", "risk": "low", "timeout_action": "reject",
        "executor": "agent", "semantics": "at_most_once", "max_attempts": 1,
        "executor_config": "{}",
    }  # fmt: skip
    change = page("actiontype", "change", kind.pk)
    assert "another team" in errors(desk.post(change, fields | {"policy": other.pk}))
    assert desk.post(change, fields | {"policy": mine.pk}).status_code == 302
    assert ActionType.objects.get().policy == mine
