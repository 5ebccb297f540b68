"""Policies that several tests speak of, and the people in them."""

from typing import Any

from hitl.accounts.models import Group, Role, Team, User
from hitl.accounts.services import add_member
from tests.accounts.factories import UserFactory
from workflows.models import Policy, Workflow
from workflows.policies import format as policy_format

DAY, HOUR = 86_400, 3_600


def member(team: Team, name: str, role: Role = Role.APPROVER) -> User:
    """Somebody more in the team."""
    user = UserFactory(name=name, email=f"{name.split()[0].lower()}@example.com")
    add_member(team, user, role)
    return user


def group(team: Team, name: str, *people: User) -> Group:
    """A group with these members."""
    made = Group.objects.create(team=team, name=name, slug=name.lower())
    made.members.set(people)
    return made


def one_approver(name: str = "Refunds") -> dict[str, Any]:
    """The simplest policy."""
    return {"name": name, "stages": [stage("Any approver", {"team": "approvers"})]}


def stage(name: str, who: dict[str, Any], count: Any = 1, **more: Any) -> dict[str, Any]:
    """A stage with one place."""
    return {"name": name, "need": {"who": who, "count": count}, **more}


def finance_then_cfo(cfo: User, deputy: User, group_slug: str = "finance") -> dict[str, Any]:
    """Two of Finance, then the CFO above 10,000; remind after 1 h, the deputy after 4 h, reject
    after 1 day."""
    pace: dict[str, Any] = {
        "reminders": [{"after": HOUR}],
        "escalation": [{"after": 4 * HOUR, "to": {"users": [str(deputy.pk)]}, "count": 1}],
        "timeoutAction": "reject",
    }
    return {
        "name": "Large refunds",
        "timeoutSeconds": DAY,
        "stages": [
            stage("Finance", {"group": group_slug}, 2, **pace),
            stage("CFO", {"users": [str(cfo.pk)]}, when="data.amount > 10000", **pace),
        ],
    }


def adopt(team: Team, *stages: dict[str, Any], name: str = "Refunds", **more: Any) -> Policy:
    """Make a policy of these stages the team's default."""
    document = policy_format.normalise({"name": name, "stages": list(stages), **more})
    return Policy.objects.create(team=team, name=name, document=document, is_default=True)


def demand_second_factor(workflow: Workflow) -> None:
    """From now on an answer to this request takes one, whatever its messages still offer."""
    stages = [{**one, "stepUp": ["low", "medium", "high"]} for one in workflow.policy["stages"]]
    policy = {**workflow.policy, "stages": stages}
    Workflow.objects.filter(pk=workflow.pk).update(policy=policy)
