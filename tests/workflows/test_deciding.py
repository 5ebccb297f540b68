"""Requests under real policies, through the gate: stages, numbers, edits, stand-ins."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.models import Absence, Agent, Group, Membership, Role, Team, User
from hitl.lib import canonical
from hitl.lib.errors import InvalidInput
from tests.accounts.factories import TeamFactory, UserFactory
from tests.workflows.factories import REFUND, decide, make_workflow
from tests.workflows.policy_samples import group, member, stage
from workflows import services
from workflows.errors import (
    AlreadyDecided,
    DigestMismatch,
    NotYours,
    StageMoved,
    StepUpNeeded,
    outcome_sentence,
)
from workflows.models import Decision, Policy, Status, Verdict, Workflow
from workflows.policies import format as policy_format

pytestmark = pytest.mark.django_db


def adopt(team: Team, *stages: dict[str, Any], name: str = "Refunds", **more: Any) -> Policy:
    """The team's default policy."""
    document = policy_format.normalise({"name": name, "stages": list(stages), **more})
    return Policy.objects.create(team=team, name=name, document=document, is_default=True)


@pytest.fixture
def finance(team: Team) -> list[User]:
    """Fay, Finn and Fritz of Finance."""
    people = [member(team, f"{name} Finance") for name in ("Fay", "Finn", "Fritz")]
    group(team, "Finance", *people)
    return people


@pytest.fixture
def cfo(team: Team) -> User:
    return member(team, "Cleo Chief")


@pytest.fixture
def two_then_cfo(team: Team, finance: list[User], cfo: User) -> Policy:
    """Two of Finance, then the CFO above 100."""
    return adopt(
        team,
        stage("Finance", {"group": "finance"}, 2),
        stage("CFO", {"users": [str(cfo.pk)]}, when="data.amount > 100.0"),
    )


def now(workflow: Workflow) -> Workflow:
    return Workflow.objects.get(pk=workflow.pk)


def asked(workflow: Workflow, **only: Any) -> set[str]:
    """Who was written to."""
    rows = Delivery.objects.filter(workflow=workflow, **only)
    return set(rows.values_list("user__name", flat=True))


def told(workflow: Workflow) -> list[str]:
    return list(Event.objects.filter(workflow=workflow).values_list("type", flat=True))


# --- Stages --------------------------------------------------------------------------------------


def test_stage_by_stage_to_the_verdict(
    agent: Agent, two_then_cfo: Policy, finance: list[User], cfo: User
) -> None:
    workflow = make_workflow(agent)
    assert asked(workflow) == {"Fay Finance", "Finn Finance", "Fritz Finance"}
    assert workflow.policy["from"]["name"] == "Refunds"

    first = decide(workflow, finance[0])
    assert (first.workflow.status, first.workflow.stage) == (Status.PENDING, 0)
    assert not first.decision.is_effective

    second = decide(workflow, finance[1], stage=0)
    assert (second.workflow.status, second.workflow.stage) == (Status.PENDING, 1)
    assert asked(workflow, stage=1) == {"Cleo Chief"}

    last = decide(workflow, cfo, stage=1)
    assert last.workflow.status == Status.APPROVED
    assert last.workflow.responded_by == cfo
    assert told(workflow) == [
        "workflow.created", "human.responded", "human.responded", "stage.opened", "human.responded",
    ]  # fmt: skip


def test_stage_whose_condition_does_not_hold_is_left_out(
    agent: Agent, two_then_cfo: Policy, finance: list[User]
) -> None:
    workflow = make_workflow(agent, action_data=REFUND | {"amount": 90})
    decide(workflow, finance[0])
    assert decide(workflow, finance[2]).workflow.status == Status.APPROVED


def test_first_stage_may_be_left_out(
    agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    adopt(
        team,
        stage("Large", {"users": [str(colleague.pk)]}, when="data.amount > 1000.0"),
        stage("Any", {"users": [str(approver.pk)]}),
    )
    workflow = make_workflow(agent)
    assert (workflow.stage, asked(workflow)) == (1, {"Ann Approver"})
    assert decide(workflow, approver, stage=1).workflow.status == Status.APPROVED


def test_one_rejection_rejects(agent: Agent, two_then_cfo: Policy, finance: list[User]) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    done = decide(workflow, finance[1], "rejected", comment="No receipt.")
    assert (done.workflow.status, done.workflow.feedback) == (Status.REJECTED, "No receipt.")


def test_rejection_counts_only_once_it_cannot_be_reached_any_more(
    agent: Agent, team: Team, finance: list[User]
) -> None:
    adopt(team, stage("Finance", {"group": "finance"}, 2, onReject="impossible"))
    workflow = make_workflow(agent)
    assert decide(workflow, finance[0], "rejected", comment="no").workflow.is_open
    assert decide(workflow, finance[1], "rejected", comment="no").workflow.status == Status.REJECTED


def test_double_click_does_not_answer_in_the_next_stage_as_well(
    agent: Agent, team: Team, approver: User
) -> None:
    adopt(team, stage("One", {"team": "approvers"}), stage("Two", {"team": "approvers"}))
    workflow = make_workflow(agent)
    decide(workflow, approver, stage=0)
    again = decide(workflow, approver, stage=0)
    assert again.replayed
    assert decide(workflow, approver).replayed
    assert now(workflow).is_open
    assert decide(workflow, approver, stage=1).workflow.status == Status.APPROVED


def test_answer_in_a_stage_that_is_closed_is_refused(
    agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    adopt(team, stage("One", {"team": "approvers"}), stage("Two", {"team": "approvers"}))
    workflow = make_workflow(agent)
    decide(workflow, approver, stage=0)
    with pytest.raises(StageMoved, match="up to Two"):
        decide(workflow, colleague, stage=0)
    assert Decision.objects.count() == 1


def test_nobody_answers_twice_where_different_people_are_wanted(
    agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    stages = (stage("One", {"team": "approvers"}), stage("Two", {"team": "approvers"}))
    adopt(team, *stages, differentPeople=True)
    workflow = make_workflow(agent)
    decide(workflow, approver, stage=0)
    with pytest.raises(NotYours, match="different people"):
        decide(workflow, approver, stage=1)
    assert decide(workflow, colleague, stage=1).workflow.status == Status.APPROVED


def test_strangers_to_the_stage_are_refused(
    agent: Agent, two_then_cfo: Policy, finance: list[User], approver: User, cfo: User
) -> None:
    workflow = make_workflow(agent)
    for person in (approver, cfo):
        with pytest.raises(NotYours, match="'Finance' asks other people"):
            decide(workflow, person)


# --- Whom it takes -------------------------------------------------------------------------------


def test_too_few_people_are_refused_at_creation(agent: Agent, team: Team, approver: User) -> None:
    group(team, "Finance", approver)
    adopt(team, stage("Finance", {"group": "finance"}, 2))
    with pytest.raises(InvalidInput, match="asks more people in 'Finance'"):
        make_workflow(agent)
    assert not Workflow.objects.exists()


def test_requester_does_not_decide(agent: Agent, team: Team, approver: User) -> None:
    colleague = member(team, "Rita Requester")
    workflow = make_workflow(agent, requester=colleague.email.upper())
    assert asked(workflow) == {"Ann Approver"}
    with pytest.raises(NotYours, match="You asked for this"):
        decide(workflow, colleague)
    assert workflow.requester == colleague


def test_unknown_policy_is_an_error_that_names_the_field(agent: Agent, approver: User) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_workflow(agent, policy="Nothing")
    assert [(one.pointer, one.code) for one in caught.value.errors] == [
        ("/policy", "unknown_policy")
    ]


def test_policy_and_people_do_not_go_together(agent: Agent, approver: User, team: Team) -> None:
    adopt(team, stage("Any", {"team": "approvers"}))
    with pytest.raises(InvalidInput, match="not both"):
        make_workflow(agent, policy="Refunds", approvers=[approver.email])


def test_later_edit_of_the_policy_changes_nothing_that_is_open(
    agent: Agent, two_then_cfo: Policy, finance: list[User], approver: User
) -> None:
    workflow = make_workflow(agent, action_data=REFUND | {"amount": 1})
    two_then_cfo.document = policy_format.normalise(
        {"name": "Refunds", "stages": [stage("Any", {"team": "approvers"})]}
    )
    two_then_cfo.save()
    decide(workflow, finance[0])
    assert now(workflow).is_open
    assert decide(make_workflow(agent), approver).workflow.status == Status.APPROVED


def test_vote_stands_when_its_voter_leaves_the_group(
    agent: Agent, two_then_cfo: Policy, finance: list[User]
) -> None:
    workflow = make_workflow(agent, action_data=REFUND | {"amount": 1})
    decide(workflow, finance[0])
    Group.objects.get().members.remove(finance[0])
    assert decide(workflow, finance[1]).workflow.status == Status.APPROVED


def test_new_vote_needs_the_right_now(
    agent: Agent, two_then_cfo: Policy, finance: list[User], approver: User
) -> None:
    workflow = make_workflow(agent)
    Group.objects.get().members.remove(finance[0])
    Group.objects.get().members.add(approver)
    with pytest.raises(NotYours):
        decide(workflow, finance[0])
    assert decide(workflow, approver).workflow.is_open
    Membership.objects.filter(user=finance[1]).update(role=Role.VIEWER)
    with pytest.raises(NotYours, match="viewer"):
        decide(workflow, finance[1])


# --- Edits ---------------------------------------------------------------------------------------


def test_edit_puts_other_data_on_the_table_and_asks_again(
    agent: Agent, two_then_cfo: Policy, finance: list[User], cfo: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    edited = REFUND | {"amount": 110}

    decide(workflow, finance[1], "modified", response_data=edited)
    row = now(workflow)
    assert (row.stage, row.current_data, row.wave) == (0, edited, 2)
    assert row.response_data is None
    assert asked(workflow, wave=2) == {"Fay Finance", "Fritz Finance"}

    with pytest.raises(DigestMismatch):
        decide(workflow, finance[2])
    decide(workflow, finance[0], fingerprint=row.current_fingerprint)
    assert now(workflow).stage == 1
    done = decide(workflow, cfo, fingerprint=row.current_fingerprint, stage=1).workflow
    assert (done.status, done.decision, done.response_data) == (
        Status.APPROVED, Verdict.MODIFIED, edited,
    )  # fmt: skip
    assert done.response_fingerprint == canonical.fingerprint(edited)
    assert done.proposed_data is None


def test_edit_that_makes_a_later_stage_needless(
    agent: Agent, two_then_cfo: Policy, finance: list[User]
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0], "modified", response_data=REFUND | {"amount": 100})
    row = now(workflow)
    done = decide(workflow, finance[1], fingerprint=row.current_fingerprint).workflow
    assert (done.status, done.decision) == (Status.APPROVED, Verdict.MODIFIED)


def test_repeated_edit_is_the_same_answer(
    agent: Agent, two_then_cfo: Policy, finance: list[User]
) -> None:
    workflow = make_workflow(agent)
    edited = REFUND | {"amount": 110}
    decide(workflow, finance[1], "modified", response_data=edited)
    assert decide(workflow, finance[1], "modified", response_data=edited).replayed
    assert Decision.objects.count() == 1


def test_stage_that_allows_no_edits(agent: Agent, team: Team, approver: User) -> None:
    adopt(team, stage("Any", {"team": "approvers"}, allowEdit=False))
    workflow = make_workflow(agent)
    with pytest.raises(InvalidInput, match="cannot be edited in this stage"):
        decide(workflow, approver, "modified", response_data=REFUND | {"amount": 1})
    assert decide(workflow, approver).workflow.status == Status.APPROVED


# --- Taking back ---------------------------------------------------------------------------------


def test_answer_taken_back_counts_no_more(
    agent: Agent, two_then_cfo: Policy, finance: list[User]
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    services.withdraw(workflow.pk, user=finance[0], source="dashboard", reason="Wrong one")
    decide(workflow, finance[1])
    assert (now(workflow).stage, now(workflow).is_open) == (0, True)

    again = decide(workflow, finance[0])
    assert (again.replayed, again.decision.turn, again.workflow.stage) == (False, 1, 1)
    assert "human.withdrew" in told(workflow)


def test_edit_taken_back_brings_the_data_back(
    agent: Agent, two_then_cfo: Policy, finance: list[User]
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0], "modified", response_data=REFUND | {"amount": 110})
    row = services.withdraw(workflow.pk, user=finance[0], source="dashboard")
    assert (row.current_fingerprint, row.proposed_data) == (workflow.fingerprint, None)
    assert asked(workflow, wave=row.wave) == {"Fay Finance", "Finn Finance", "Fritz Finance"}


def test_nothing_can_be_taken_back_once_the_stage_is_closed(
    agent: Agent, two_then_cfo: Policy, finance: list[User], cfo: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    decide(workflow, finance[1])
    with pytest.raises(NotYours, match="no answer in this stage"):
        services.withdraw(workflow.pk, user=finance[0], source="dashboard")
    decide(workflow, cfo, stage=1)
    with pytest.raises(AlreadyDecided):
        services.withdraw(workflow.pk, user=cfo, source="dashboard")


# --- Stand-ins -----------------------------------------------------------------------------------


def away(person: User, delegate: User | None) -> Absence:
    return Absence.objects.create(
        user=person, delegate=delegate, start=timezone.now() - dt.timedelta(hours=1)
    )


def test_stand_in_answers_with_both_names(
    agent: Agent, two_then_cfo: Policy, finance: list[User], cfo: User, approver: User
) -> None:
    away(cfo, approver)
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    decide(workflow, finance[1])
    assert asked(workflow, stage=1) == {"Ann Approver"}
    assert Delivery.objects.filter(stage=1).first().message["on_behalf"] == "Cleo Chief"  # type: ignore[union-attr]

    done = decide(workflow, approver, stage=1)
    assert (done.decision.user, done.decision.behalf) == (approver, cfo)
    assert done.workflow.status == Status.APPROVED
    event = Event.objects.filter(workflow=workflow).latest("seq")
    assert event.data["onBehalfOf"]["name"] == "Cleo Chief"


def test_stand_in_has_one_say_only(agent: Agent, team: Team, finance: list[User]) -> None:
    adopt(team, stage("Finance", {"group": "finance"}, 2))
    away(finance[0], finance[1])
    workflow = make_workflow(agent)
    decide(workflow, finance[1])
    with pytest.raises(NotYours):
        decide(workflow, finance[1], behalf=finance[0].pk)
    assert now(workflow).is_open


def test_absent_person_may_still_answer(
    agent: Agent, team: Team, approver: User, colleague: User
) -> None:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    away(approver, colleague)
    workflow = make_workflow(agent)
    assert decide(workflow, approver).workflow.responded_by == approver


def test_without_a_delegate_the_absent_person_is_asked(
    agent: Agent, team: Team, approver: User
) -> None:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    away(approver, None)
    assert asked(make_workflow(agent)) == {"Ann Approver"}


# --- Second factor -------------------------------------------------------------------------------


def test_second_factor_is_demanded_whatever_the_door(
    agent: Agent, team: Team, approver: User
) -> None:
    adopt(team, stage("Any", {"team": "approvers"}, stepUp=["medium"]))
    workflow = make_workflow(agent)
    for strength in ("session", "slack", "link", "mail-reply", "jwt"):
        with pytest.raises(StepUpNeeded):
            decide(workflow, approver, strength=strength)
    assert not Decision.objects.exists()
    assert decide(workflow, approver, strength="totp").decision.strength == "totp"


# --- Words ---------------------------------------------------------------------------------------


def test_losers_hear_who_was_first(agent: Agent, team: Team, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    assert outcome_sentence(now(workflow)).startswith("Already approved by Ann Approver in ")


def test_manager_of_another_team_gives_nobodys_say_away(
    agent: Agent, team: Team, approver: User, colleague: User, manager: User
) -> None:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    elsewhere = TeamFactory()
    boss = UserFactory()
    Membership.objects.create(team=elsewhere, user=boss, role=Role.MANAGER)
    Membership.objects.create(team=elsewhere, user=approver, role=Role.APPROVER)
    entered = away(approver, colleague)
    Absence.objects.filter(pk=entered.pk).update(created_by=boss)
    workflow = make_workflow(agent)
    assert asked(workflow) == {"Ann Approver"}
    with pytest.raises(NotYours):
        decide(workflow, colleague)

    Absence.objects.filter(pk=entered.pk).update(created_by=manager)
    assert decide(workflow, colleague).decision.behalf == approver


def test_answer_for_somebody_one_does_not_stand_in_for_says_so(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow = make_workflow(agent)
    with pytest.raises(NotYours, match="cannot answer for this person"):
        decide(workflow, approver, behalf=colleague.pk)


def test_agent_that_names_people_reads_that_the_policy_asks_others(
    agent: Agent, two_then_cfo: Policy, approver: User
) -> None:
    workflow = make_workflow(agent, approvers=[approver.email])
    assert asked(workflow) == {"Fay Finance", "Finn Finance", "Fritz Finance"}
    assert "whom the agent named are not asked" in workflow.policy["from"]["why"]
