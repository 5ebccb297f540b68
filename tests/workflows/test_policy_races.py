"""Two at once under policies on real PostgreSQL, hundreds of rounds: one outcome each."""

import datetime as dt
from collections import Counter
from functools import partial

import pytest

from events.models import Event
from events.types import EventType
from hitl.accounts.models import Agent, Group, Team, User
from tests.racing import ROUNDS, count, race
from tests.workflows.factories import REFUND, decide, make_workflow
from tests.workflows.policy_samples import HOUR, group, member, stage
from tests.workflows.test_deciding import adopt
from tests.workflows.test_pace import age
from workflows import pace, services
from workflows.errors import AlreadyDecided, DigestMismatch, Expired, NotYours, StageMoved
from workflows.models import FiredStep, Status, Workflow
from workflows.services import Decided

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def pair(team: Team) -> tuple[User, User]:
    """The two of Finance, whom a policy wants both."""
    people = member(team, "Fay Finance"), member(team, "Finn Finance")
    group(team, "Finance", *people)
    return people


def types(workflow: Workflow) -> Counter[str]:
    rows = Event.objects.filter(workflow=workflow).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return Counter(str(row.type) for row in rows)


def test_the_last_two_votes_at_once(agent: Agent, team: Team, pair: tuple[User, User]) -> None:
    """Neither is lost, one of them settles it, and the next stage opens once."""
    adopt(team, stage("Finance", {"group": "finance"}, 2), stage("Any", {"team": "approvers"}))
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        outcomes = race(*[partial(decide, workflow, person, stage=0) for person in pair])
        assert count(outcomes, Decided) == 2, outcomes
        workflow.refresh_from_db()
        assert (workflow.stage, workflow.status) == (1, Status.PENDING)
        told = types(workflow)
        assert (told[EventType.HUMAN_RESPONDED], told[EventType.STAGE_OPENED]) == (2, 1)


def test_the_last_vote_against_taking_one_back(
    agent: Agent, team: Team, pair: tuple[User, User]
) -> None:
    """Either the request is approved with both, or it waits with one; never approved with one."""
    adopt(team, stage("Finance", {"group": "finance"}, 2))
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        decide(workflow, pair[0])
        outcomes = race(
            partial(decide, workflow, pair[1]),
            partial(services.withdraw, workflow.pk, user=pair[0], source="dashboard"),
        )
        workflow.refresh_from_db()
        seen[workflow.status] += 1
        withdrawn = types(workflow)[EventType.HUMAN_WITHDREW]
        assert isinstance(outcomes[0], Decided), outcomes
        assert (workflow.status == Status.APPROVED) == (withdrawn == 0), outcomes
        if not withdrawn:
            assert isinstance(outcomes[1], AlreadyDecided), outcomes
    assert sum(seen.values()) == ROUNDS


def test_vote_against_escalation(agent: Agent, team: Team, approver: User) -> None:
    """A step is taken before the verdict or not at all; the vote counts either way."""
    deputy = member(team, "Dora Deputy")
    step = {"after": HOUR, "to": {"users": [str(deputy.pk)]}}
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}, escalation=[step]))
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        age(workflow, 1.1)
        outcomes = race(
            partial(decide, workflow, approver),
            partial(pace.take_steps, workflow.pk),
            partial(pace.take_steps, workflow.pk),
        )
        workflow.refresh_from_db()
        assert workflow.status == Status.APPROVED, outcomes
        events = list(Event.objects.filter(workflow=workflow).order_by("seq"))
        assert events[-1].type == EventType.HUMAN_RESPONDED
        escalated = types(workflow)[EventType.WORKFLOW_ESCALATED]
        assert escalated == FiredStep.objects.filter(workflow=workflow).count()
        assert escalated == sum(outcomes[1:])
        assert escalated <= 1


def test_vote_against_a_step_that_replaces_its_voter(
    agent: Agent, team: Team, approver: User
) -> None:
    deputy = member(team, "Dora Deputy")
    step = {"after": HOUR, "to": {"users": [str(deputy.pk)]}, "mode": "replace"}
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}, escalation=[step]))
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        age(workflow, 1.1)
        voted, _ = race(partial(decide, workflow, approver), partial(pace.take_steps, workflow.pk))
        workflow.refresh_from_db()
        seen[workflow.status] += 1
        if workflow.status == Status.APPROVED:
            assert isinstance(voted, Decided)
            assert not FiredStep.objects.filter(workflow=workflow).exists()
        else:
            assert isinstance(voted, NotYours), voted
            assert types(workflow)[EventType.WORKFLOW_ESCALATED] == 1
    assert sum(seen.values()) == ROUNDS


def test_vote_against_a_deadline_that_escalates(agent: Agent, team: Team, approver: User) -> None:
    deputy = member(team, "Dora Deputy")
    step = {"after": 9 * HOUR, "to": {"users": [str(deputy.pk)]}}
    adopt(
        team,
        stage("Ann", {"users": [str(approver.pk)]}, escalation=[step], timeoutAction="escalate"),
    )
    for turn in range(ROUNDS):
        workflow = make_workflow(agent)
        left = (-5, 0, 5, 10, 20, 40)[turn % 6]
        deadline = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=left)
        Workflow.objects.filter(pk=workflow.pk).update(expires_at=deadline)
        voted, *_ = race(
            partial(decide, workflow, approver),
            partial(services.time_out, workflow.pk),
            partial(services.time_out, workflow.pk),
        )
        workflow.refresh_from_db()
        told = types(workflow)
        assert told[EventType.WORKFLOW_ESCALATED] <= 1
        assert told[EventType.WORKFLOW_TIMEOUT] == 0
        assert (workflow.status == Status.APPROVED) == isinstance(voted, Decided), voted
        if not isinstance(voted, Decided):
            assert isinstance(voted, Expired), voted


def test_vote_against_removal_from_the_group(
    agent: Agent, team: Team, pair: tuple[User, User]
) -> None:
    """The vote counts as recorded, or it is refused; nothing in between."""
    adopt(team, stage("Finance", {"group": "finance"}, 1))
    finance = Group.objects.get()
    for _ in range(ROUNDS):
        finance.members.set(pair)
        workflow = make_workflow(agent)
        voted, _ = race(
            partial(decide, workflow, pair[0]), partial(finance.members.remove, pair[0])
        )
        workflow.refresh_from_db()
        assert isinstance(voted, Decided | NotYours), voted
        assert (workflow.status == Status.APPROVED) == isinstance(voted, Decided)


def test_edit_against_approval(agent: Agent, team: Team, pair: tuple[User, User]) -> None:
    """Two who saw the same data cannot agree to different data."""
    adopt(team, stage("Finance", {"group": "finance"}, 2))
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        outcomes = race(
            partial(decide, workflow, pair[0]),
            partial(decide, workflow, pair[1], "modified", response_data=REFUND | {"amount": 7}),
        )
        workflow.refresh_from_db()
        assert workflow.is_open, outcomes
        assert isinstance(outcomes[1], Decided), outcomes
        assert isinstance(outcomes[0], Decided | DigestMismatch | StageMoved), outcomes
        assert workflow.current_data["amount"] == 7
