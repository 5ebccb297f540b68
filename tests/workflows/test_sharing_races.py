"""Handing over and claiming against votes on real PostgreSQL, hundreds of rounds."""

from collections import Counter
from functools import partial

import pytest

from events.models import Event
from events.types import EventType
from hitl.accounts.models import Agent, Team, User
from hitl.lib.errors import InvalidInput
from tests.racing import ROUNDS, count, race
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import member, stage
from tests.workflows.test_deciding import adopt
from workflows import away, sharing
from workflows.errors import AlreadyDecided, Claimed, NotYours
from workflows.models import Decision, HandOver, Status, Workflow
from workflows.services import Decided

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]


def types(workflow: Workflow) -> Counter[str]:
    rows = Event.objects.filter(workflow=workflow).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return Counter(str(row.type) for row in rows)


def test_hand_over_against_the_vote_of_who_hands_over(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    """Either it is decided and nothing is handed over, or it is handed over and decided all the
    same: the say is used once."""
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        voted, given = race(
            partial(decide, workflow, approver),
            partial(sharing.hand_over, workflow.pk, user=approver, to=colleague.pk, source="api"),
        )
        workflow.refresh_from_db()
        assert isinstance(voted, Decided), voted
        assert isinstance(given, Workflow | AlreadyDecided), given
        assert workflow.status == Status.APPROVED
        told = types(workflow)
        assert told[EventType.HUMAN_RESPONDED] == 1
        assert told[EventType.WORKFLOW_HANDED_OVER] == isinstance(given, Workflow)
        seen[type(given).__name__] += 1
    assert len(seen) == 2, seen


def test_hand_over_against_the_vote_of_who_takes_over(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    """The other's vote counts from the hand-over on, not a moment earlier."""
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        given, voted = race(
            partial(sharing.hand_over, workflow.pk, user=approver, to=colleague.pk, source="api"),
            partial(decide, workflow, colleague),
        )
        assert isinstance(given, Workflow), given
        assert isinstance(voted, Decided | NotYours), voted
        workflow.refresh_from_db()
        assert (workflow.status == Status.APPROVED) == isinstance(voted, Decided)
        if isinstance(voted, Decided):
            assert voted.decision.behalf == approver
            asked = HandOver.objects.get(workflow=workflow)
            assert voted.decision.decided_at >= asked.created_at


def test_two_hand_overs_that_would_make_a_circle(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    """One of the two is refused, and both people's answers can still be given."""
    dora = member(team, "Dora Deputy")
    everybody = [str(one.pk) for one in (approver, colleague, dora)]
    adopt(team, stage("One", {"users": everybody}, 1))
    for _ in range(ROUNDS // 2):
        workflow = make_workflow(agent)
        outcomes = race(
            partial(sharing.hand_over, workflow.pk, user=approver, to=colleague.pk, source="api"),
            partial(sharing.hand_over, workflow.pk, user=colleague, to=approver.pk, source="api"),
        )
        assert (count(outcomes, Workflow), count(outcomes, InvalidInput)) == (1, 1), outcomes
        assert HandOver.objects.filter(workflow=workflow).count() == 1
        decide(workflow, approver)


def test_two_claims_at_once(agent: Agent, approver: User, colleague: User) -> None:
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        outcomes = race(
            *[
                partial(sharing.claim, workflow.pk, user=person, source="api")
                for person in (approver, colleague)
            ]
        )
        assert (count(outcomes, Workflow), count(outcomes, Claimed)) == (1, 1), outcomes
        winner = next(one for one in outcomes if isinstance(one, Workflow)).claimed_by
        workflow.refresh_from_db()
        assert workflow.claimed_by == winner
        assert types(workflow)[EventType.WORKFLOW_CLAIMED] == 1


def test_vote_against_the_absence_of_its_voter(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    """The stand-in and the person at once: the say is used once, whoever was first."""
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    for _ in range(ROUNDS // 2):
        workflow = make_workflow(agent)
        entered, voted, stood_in = race(
            partial(away.add, approver, by=approver, start=None, end=None, delegate=colleague.pk),
            partial(decide, workflow, approver),
            partial(decide, workflow, colleague),
        )
        away.end(entered.pk, by=approver)
        workflow.refresh_from_db()
        assert workflow.status == Status.APPROVED
        assert isinstance(voted, Decided | AlreadyDecided), voted
        assert isinstance(stood_in, Decided | NotYours | AlreadyDecided), stood_in
        assert Decision.objects.filter(workflow=workflow).count() == 1
        assert types(workflow)[EventType.HUMAN_RESPONDED] == 1


def test_two_absences_that_would_make_a_circle(team: Team, approver: User, colleague: User) -> None:
    for _ in range(ROUNDS // 4):
        outcomes = race(
            partial(away.add, approver, by=approver, start=None, end=None, delegate=colleague.pk),
            partial(away.add, colleague, by=colleague, start=None, end=None, delegate=approver.pk),
        )
        assert count(outcomes, InvalidInput) == 1, outcomes
        for one in outcomes:
            if not isinstance(one, InvalidInput):
                away.end(one.pk, by=one.user)
