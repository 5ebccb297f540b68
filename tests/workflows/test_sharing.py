"""Handing one request over, and looking after one: who may, who is told, and what it changes."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from dashboard import selectors
from deliveries.models import Delivery
from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Absence, Agent, Membership, Role, Team, User
from hitl.lib.errors import Forbidden, InvalidInput
from tests.workflows.factories import decide, make_overdue, make_workflow
from tests.workflows.policy_samples import HOUR, member, stage
from tests.workflows.test_deciding import adopt, asked, told
from workflows import cases, pace, services, sharing
from workflows.errors import AlreadyDecided, Claimed, Expired, NotYours, verdict_sentence
from workflows.models import HandOver, Status, Workflow

pytestmark = pytest.mark.django_db


def give(workflow: Workflow, user: User, to: User, **more: Any) -> Workflow:
    return sharing.hand_over(workflow.pk, user=user, to=to.pk, source=Source.DASHBOARD, **more)


def claim(workflow: Workflow, user: User) -> Workflow:
    return sharing.claim(workflow.pk, user=user, source=Source.DASHBOARD)


def release(workflow: Workflow, user: User) -> Workflow:
    return sharing.release(workflow.pk, user=user, source=Source.DASHBOARD)


def waits_for(user: User) -> set[Any]:
    return {row.pk for row in selectors.asking(selectors.circle(user))}


@pytest.fixture
def anns(team: Team, agent: Agent, approver: User, colleague: User) -> Workflow:
    """A request that asks Ann alone; Carl is of the team, too."""
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    return make_workflow(agent)


# --- Handing over --------------------------------------------------------------------------------


def test_the_other_is_asked_and_decides_under_both_names(
    anns: Workflow, approver: User, colleague: User
) -> None:
    assert waits_for(approver) == {anns.pk}
    assert waits_for(colleague) == set()
    give(anns, approver, colleague, reason="I know the customer.")
    workflow = Workflow.objects.get()
    assert waits_for(colleague) == {anns.pk}
    assert waits_for(approver) == set()
    assert asked(workflow, wave=workflow.wave) == {"Carl Colleague"}
    message = Delivery.objects.get(wave=workflow.wave).to_message()
    assert message.notice == "Ann Approver has handed this to you: “I know the customer.”"
    assert message.on_behalf == "Ann Approver"
    event = Event.objects.filter(type=EventType.WORKFLOW_HANDED_OVER).get()
    assert event.data["person"]["name"] == "Ann Approver"
    assert event.data["to"]["name"] == "Carl Colleague"
    decided = decide(workflow, colleague)
    assert decided.decision.behalf == approver
    workflow.refresh_from_db()
    assert workflow.status == Status.APPROVED
    assert verdict_sentence(workflow).startswith("Approved by Carl Colleague for Ann Approver in")


def test_the_copies_of_who_gave_it_away_say_so(
    anns: Workflow, approver: User, colleague: User
) -> None:
    Delivery.objects.update(status=Delivery.Status.SENT, sent_at=timezone.now())
    give(anns, approver, colleague)
    closed = Delivery.objects.get(user=approver)
    assert closed.status in (Delivery.Status.SENT, Delivery.Status.CANCELLED)
    assert not Delivery.objects.filter(user=approver, status=Delivery.Status.PENDING).exists()
    assert Delivery.objects.get(user=colleague).status == Delivery.Status.PENDING


def test_who_handed_over_may_still_answer_first(
    anns: Workflow, approver: User, colleague: User
) -> None:
    give(anns, approver, colleague)
    decide(anns, approver)
    with pytest.raises((AlreadyDecided, NotYours)):
        decide(anns, colleague)


def test_it_can_be_passed_on_but_not_in_a_circle(
    anns: Workflow, team: Team, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    give(anns, approver, colleague)
    with pytest.raises(InvalidInput, match="circle: Carl Colleague to Ann Approver to Carl"):
        give(anns, colleague, approver)
    give(anns, colleague, dora)
    assert waits_for(dora) == {anns.pk}
    decision = decide(anns, dora).decision
    assert (decision.user, decision.behalf) == (dora, approver)


def test_another_one_later_takes_the_place_of_the_first(
    anns: Workflow, team: Team, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    give(anns, approver, colleague)
    give(anns, approver, dora)
    assert decide(anns, dora).decision.behalf == approver


def test_an_absence_closes_a_circle_too(anns: Workflow, approver: User, colleague: User) -> None:
    start = timezone.now() - dt.timedelta(hours=1)
    Absence.objects.create(user=colleague, delegate=approver, start=start)
    with pytest.raises(InvalidInput, match="circle"):
        give(anns, approver, colleague)


@pytest.mark.parametrize("who", ["viewer", "stranger", "owner", "self"])
def test_to_whom_it_cannot_go(
    anns: Workflow, agent: Agent, approver: User, viewer: User, stranger: User, colleague: User,
    who: str,
) -> None:  # fmt: skip
    agent.owner = colleague
    agent.save()
    to = {"viewer": viewer, "stranger": stranger, "owner": colleague, "self": approver}[who]
    with pytest.raises(InvalidInput) as refused:
        give(anns, approver, to)
    assert refused.value.errors[0].pointer == "/to"
    assert not HandOver.objects.exists()
    assert told(anns).count(EventType.WORKFLOW_HANDED_OVER) == 0


def test_not_to_somebody_who_has_answered(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    adopt(team, stage("Both", {"users": [str(approver.pk), str(colleague.pk)]}, 2))
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    with pytest.raises(InvalidInput, match="has answered already"):
        give(workflow, approver, colleague)


def test_not_to_somebody_whose_own_answer_is_needed(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    adopt(team, stage("Both", {"users": [str(approver.pk), str(colleague.pk)]}, 2))
    dora = member(team, "Dora Deputy")
    workflow = make_workflow(agent)
    with pytest.raises(InvalidInput, match="own answer is needed"):
        give(workflow, approver, colleague)
    give(workflow, approver, dora)
    decide(workflow, dora)
    decide(workflow, colleague)
    workflow.refresh_from_db()
    assert workflow.status == Status.APPROVED


def test_who_is_not_asked_has_nothing_to_give(
    anns: Workflow, approver: User, colleague: User, viewer: User
) -> None:
    with pytest.raises(NotYours):
        give(anns, colleague, approver)
    with pytest.raises(NotYours):
        give(anns, viewer, approver)


def test_a_manager_hands_over_for_somebody_else(
    anns: Workflow, approver: User, colleague: User, manager: User
) -> None:
    with pytest.raises(Forbidden):
        give(anns, colleague, colleague, person=approver.pk)
    with pytest.raises(InvalidInput, match="not asked now"):
        give(anns, manager, approver, person=colleague.pk)
    give(anns, manager, colleague, person=approver.pk)
    note = HandOver.objects.get()
    assert (note.person, note.to, note.given_by) == (approver, colleague, manager)
    assert decide(anns, colleague).decision.behalf == approver


def test_not_once_it_is_decided_or_late(
    agent: Agent, approver: User, colleague: User, anns: Workflow
) -> None:
    late = make_overdue(agent)
    with pytest.raises(Expired):
        give(late, approver, colleague)
    decide(anns, approver)
    with pytest.raises(AlreadyDecided):
        give(anns, approver, colleague)


@pytest.mark.parametrize("reason", ["x" * 1001, "a\0b"])
def test_a_reason_that_cannot_be_kept(
    anns: Workflow, approver: User, colleague: User, reason: str
) -> None:
    with pytest.raises(InvalidInput):
        give(anns, approver, colleague, reason=reason)
    assert not HandOver.objects.exists()


def test_it_holds_in_the_next_stage_too(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    named = {"users": [str(approver.pk)]}
    adopt(team, stage("First", {"users": [str(colleague.pk)]}), stage("Second", named))
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    workflow.refresh_from_db()
    give(workflow, approver, dora)
    assert waits_for(dora) == {workflow.pk}
    assert decide(workflow, dora, stage=1).decision.behalf == approver


def test_the_stand_in_hands_over_what_they_stand_in_for(
    team: Team, anns: Workflow, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    start = timezone.now() - dt.timedelta(hours=1)
    Absence.objects.create(user=approver, delegate=colleague, start=start)
    give(anns, colleague, dora)
    assert decide(anns, dora).decision.behalf == approver


# --- Looking after it ----------------------------------------------------------------------------


def test_claiming_keeps_nobody_from_deciding(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)
    claim(workflow, approver)
    claim(workflow, approver)
    workflow.refresh_from_db()
    assert workflow.claimed_by == approver
    assert told(workflow).count(EventType.WORKFLOW_CLAIMED) == 1
    decide(workflow, colleague)
    workflow.refresh_from_db()
    assert workflow.status == Status.APPROVED


def test_another_has_to_wait_for_its_release(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)
    claim(workflow, approver)
    with pytest.raises(Claimed, match="Ann Approver looks after it"):
        claim(workflow, colleague)
    with pytest.raises(Forbidden):
        release(workflow, colleague)
    release(workflow, approver)
    release(workflow, approver)
    assert told(workflow).count(EventType.WORKFLOW_RELEASED) == 1
    assert claim(workflow, colleague).claimed_by == colleague


def test_a_manager_takes_over_and_releases(agent: Agent, approver: User, manager: User) -> None:
    workflow = make_workflow(agent)
    claim(workflow, approver)
    assert claim(workflow, manager).claimed_by == manager
    claimed = Event.objects.filter(type=EventType.WORKFLOW_CLAIMED).latest("seq")
    assert claimed.data["from"]["name"] == "Ann Approver"
    other = make_workflow(agent)
    claim(other, approver)
    assert release(other, manager).claimed_by is None


def test_who_has_lost_the_right_holds_nothing(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow = make_workflow(agent)
    claim(workflow, approver)
    Membership.objects.filter(user=approver).update(role=Role.VIEWER)
    assert claim(workflow, colleague).claimed_by == colleague


def test_who_may_not_answer_cannot_look_after_it(
    anns: Workflow, colleague: User, viewer: User, stranger: User
) -> None:
    for person in (colleague, viewer, stranger):
        with pytest.raises(NotYours):
            claim(anns, person)


def test_not_once_it_is_decided(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    for change in (claim, release):
        with pytest.raises(AlreadyDecided):
            change(workflow, approver)


def test_handing_over_ends_the_claim_and_so_does_the_next_stage(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}), stage("Then", {"team": "approvers"}))
    workflow = make_workflow(agent)
    claim(workflow, approver)
    assert give(workflow, approver, colleague).claimed_by is None
    claim(workflow, colleague)
    decide(workflow, colleague)
    workflow.refresh_from_db()
    assert (workflow.stage, workflow.claimed_by, workflow.claimed_at) == (1, None, None)


def test_reminders_go_to_who_looks_after_it(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    both = {"users": [str(approver.pk), str(colleague.pk)]}
    adopt(team, stage("Either", both, 1, reminders=[{"after": HOUR}, {"after": 2 * HOUR}]))
    workflow = make_workflow(agent)
    claim(workflow, colleague)
    assert remind(workflow) == {"Carl Colleague"}
    Membership.objects.filter(user=colleague).update(role=Role.VIEWER)
    assert remind(workflow) == {"Ann Approver"}  # nobody holds it who could act


def remind(workflow: Workflow) -> set[str]:
    """Let an hour pass; who was reminded then."""
    row = Workflow.objects.get(pk=workflow.pk)
    assert row.stage_opened_at is not None
    earlier = row.stage_opened_at - dt.timedelta(hours=1, seconds=1)
    Workflow.objects.filter(pk=row.pk).update(stage_opened_at=earlier, next_step_at=timezone.now())
    assert pace.take_steps(workflow.pk)
    row.refresh_from_db()
    return asked(row, wave=row.wave, kind=Delivery.Kind.REMINDER)


def test_takers_and_givers_are_those_who_would_be_accepted(
    anns: Workflow, approver: User, colleague: User, manager: User, viewer: User
) -> None:
    file = cases.load(anns, now=timezone.now())
    assert sharing.takers(file, approver) == [colleague, manager]
    assert sharing.givers(file) == [approver]
    assert sharing.may_hand_over(file, approver)
    assert not sharing.may_hand_over(file, colleague)


def test_taking_back_the_answer_of_a_hand_over(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    dora, eve = member(team, "Dora Deputy"), member(team, "Eve Extra")
    people = [str(approver.pk), str(eve.pk)]
    adopt(team, stage("Two", {"users": people}, 2))
    workflow = make_workflow(agent)
    give(workflow, approver, dora)
    decide(workflow, dora)
    services.withdraw(workflow.pk, user=dora, source=Source.DASHBOARD)
    assert decide(workflow, dora).decision.behalf == approver
