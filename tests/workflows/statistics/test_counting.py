"""What a request counts as where its life has taken a turn: rollbacks, stand-ins, withdrawals."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hitl.accounts.models import Agent, Team, User
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import stage
from tests.workflows.test_deciding import adopt
from tests.workflows.test_rollback import failed, roll
from workflows import services, sharing
from workflows.models import ApproverCount, RequestCount, Workflow
from workflows.statistics import sweeping

pytestmark = pytest.mark.django_db(transaction=connection.vendor == "postgresql")
AGO = dt.timedelta(days=10)


def long_ago(workflow: Workflow) -> Workflow:
    """Created ten days before whatever else has happened to it."""
    Workflow.objects.filter(pk=workflow.pk).update(created_at=timezone.now() - AGO)
    return Workflow.objects.get(pk=workflow.pk)


def counted() -> Any:
    """The only request there is, as it was counted."""
    sweeping.sweep()
    row = RequestCount.objects.get()
    assert row.day == (timezone.now() - AGO).date()
    return row


def load(person: User) -> dict[str, int]:
    """What everything meant for a person, without noughts."""
    sweeping.sweep()
    found: dict[str, int] = {}
    names = ("asked", "viewed", "answered", "approved", "modified", "rejected", "for_others")
    for row in ApproverCount.objects.filter(user=person):
        for name in names:
            found[name] = found.get(name, 0) + getattr(row, name)
    return {name: number for name, number in found.items() if number}


def test_a_request_that_is_asked_again_is_open_again(agent: Agent, approver: User) -> None:
    workflow = long_ago(make_workflow(agent))
    decide(workflow, approver, "rejected", comment="no")
    assert (counted().rejected, counted().verdict_14) == (1, 1)
    roll(workflow, approver)
    row = counted()
    assert (row.pending, row.rejected, row.verdict_seconds, row.channel) == (1, 0, 0, "")


def test_times_begin_with_the_round_in_which_people_were_asked(
    agent: Agent, approver: User
) -> None:
    workflow = long_ago(make_workflow(agent))
    decide(workflow, approver, "rejected", comment="no")
    roll(workflow, approver)
    again = Workflow.objects.get(pk=workflow.pk)
    services.mark_viewed(again.pk, user=approver, source="dashboard")
    decide(again, approver, round=2)
    row = counted()
    assert (row.approved, row.rejected) == (1, 0)
    assert row.verdict_seconds < 60
    assert row.view_seconds < 60
    assert load(approver) == {
        "asked": 1, "viewed": 1, "answered": 1, "approved": 1, "rejected": 1
    }  # fmt: skip


def test_running_again_keeps_the_time_the_verdict_took(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = failed(agent, approver)
    workflow = long_ago(workflow)
    assert (counted().failed, counted().verdict_14) == (1, 1)
    roll(workflow, manager, "APPROVED", acknowledged=True)
    row = counted()
    assert (row.approved, row.failed, row.verdict_14) == (1, 0, 1)


def test_an_answer_for_somebody_else_counts_for_who_gave_it(
    agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    workflow = make_workflow(agent)
    sharing.hand_over(
        workflow.pk, user=approver, to=colleague.pk, person=None, reason="", source="dashboard"
    )
    decide(workflow, colleague)
    assert load(colleague) == {"asked": 1, "answered": 1, "approved": 1, "for_others": 1}
    assert load(approver) == {"asked": 1}


def test_an_answer_that_was_taken_back_is_none(
    agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    adopt(team, stage("Two", {"team": "approvers"}, 2))
    workflow = make_workflow(agent)
    decide(workflow, approver)
    assert load(approver) == {"asked": 1, "answered": 1, "approved": 1}
    services.withdraw(workflow.pk, user=approver, source="slack")
    assert load(approver) == {"asked": 1}
