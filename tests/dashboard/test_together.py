"""Around the decision on the page: what is offered to whom, and what the buttons do."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.models import Event
from hitl.accounts.models import Absence, Agent, Team, User
from tests.dashboard.browser import answer, logged_in, page_of, text
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import member, stage
from tests.workflows.test_deciding import adopt
from workflows import conversation, sharing
from workflows.models import Decision, Remark, Status, Workflow

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202eevil"


def press(client: Client, workflow: Workflow, name: str, **fields: str) -> str:
    """What the page says after the button."""
    response = client.post(page_of(workflow, name), fields, follow=True)
    assert response.status_code == 200
    return text(response)


def shown(client: Client, workflow: Workflow) -> str:
    return text(client.get(page_of(workflow)))


@pytest.fixture
def anns(team: Team, agent: Agent, approver: User, colleague: User) -> Workflow:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}, extendMax=7200))
    return make_workflow(agent)


def test_handing_over(anns: Workflow, approver: User, colleague: User) -> None:
    ann, carl = logged_in(approver), logged_in(colleague)
    assert "Hand over" in shown(ann, anns)
    assert "Hand over" not in shown(carl, anns)
    said = press(ann, anns, "hand-over", to=str(colleague.pk), reason=HOSTILE)
    assert "They have been asked" in said
    assert "<script>alert" not in said
    page = shown(carl, anns)
    assert "You answer for <strong>Ann Approver</strong>" in page
    answer(carl, anns, "approved", behalf=str(approver.pk))
    page = shown(ann, anns)
    assert "Approved by Carl Colleague for Ann Approver" in page
    assert "Carl Colleague for Ann Approver approved" in page
    assert "Approved by Carl Colleague" in page


@pytest.mark.parametrize("to", ["", "nobody", "0c0c0c0c-0000-4000-8000-000000000000"])
def test_handing_over_to_nobody(anns: Workflow, approver: User, to: str) -> None:
    assert "Choose" in press(logged_in(approver), anns, "hand-over", to=to)
    assert not Event.objects.filter(type="workflow.handed_over").exists()


def test_a_manager_chooses_whose_answer(
    anns: Workflow, approver: User, colleague: User, manager: User
) -> None:
    client = logged_in(manager)
    assert "Ann Approver’s</option>" in shown(client, anns)
    press(client, anns, "hand-over", to=str(colleague.pk), person=str(approver.pk))
    assert "handed Ann Approver’s part over to Carl Colleague" in shown(client, anns)


def test_choosing_for_whom_one_answers(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    people = [str(one.pk) for one in (approver, colleague, dora)]
    adopt(team, stage("Two", {"users": people}, 2))
    start = timezone.now() - dt.timedelta(hours=1)
    Absence.objects.create(user=approver, delegate=dora, start=start)
    workflow = make_workflow(agent)
    client = logged_in(dora)
    page = shown(client, workflow)
    assert "I answer for" in page
    assert page.index(">Myself</option>") < page.index(">Ann Approver</option>")
    answer(client, workflow, "approved", behalf=str(approver.pk))
    assert Decision.objects.get().behalf == approver
    page = shown(client, workflow)
    assert "approved for Ann Approver" in page
    press(client, workflow, "withdraw", behalf=str(approver.pk))
    answer(client, workflow, "approved", behalf=str(dora.pk))
    assert Decision.objects.latest("seq").behalf is None
    again = answer(client, workflow, "approved", behalf=str(dora.pk))
    assert "already been recorded" in text(client.get(again["Location"]))


def test_taking_back(team: Team, agent: Agent, approver: User) -> None:
    adopt(team, stage("Two", {"team": "approvers"}, 2))
    member(team, "Dora Deputy")
    workflow = make_workflow(agent)
    client = logged_in(approver)
    assert "Take back my answer" not in shown(client, workflow)
    decide(workflow, approver)
    assert "Take back my answer" in shown(client, workflow)
    assert "You can answer again" in press(client, workflow, "withdraw", behalf=str(approver.pk))
    assert "took an answer back" in shown(client, workflow)
    assert "given no answer" in press(client, workflow, "withdraw")


def test_the_answer_that_decided_cannot_be_taken_back(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    decide(workflow, approver)
    assert "Take back my answer" not in shown(client, workflow)
    assert "Already approved" in press(client, workflow, "withdraw")


def test_looking_after_it(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)
    ann, carl = logged_in(approver), logged_in(colleague)
    assert "I look after it" in shown(ann, workflow)
    press(ann, workflow, "claim")
    page = shown(carl, workflow)
    assert "<strong>Ann Approver</strong> looks after it" in page
    assert "Take over" not in page
    assert "Release" not in page
    assert "Ann Approver looks after it" in press(carl, workflow, "claim")
    press(ann, workflow, "release")
    assert "Nobody looks after it yet" in shown(carl, workflow)


def test_moving_the_deadline_as_far_as_it_goes(anns: Workflow, approver: User) -> None:
    client = logged_in(approver)
    page = shown(client, anns)
    assert "as far as the policy allows" in page
    later = (anns.expires_at + dt.timedelta(hours=1)).isoformat()
    assert "The deadline is now" in press(client, anns, "extend", expires_at=later)
    assert Workflow.objects.get().expires_at == anns.expires_at + dt.timedelta(hours=1)
    too_late = (anns.expires_at + dt.timedelta(hours=3)).isoformat()
    assert "at the latest" in press(client, anns, "extend", expires_at=too_late)
    latest = (anns.expires_at + dt.timedelta(hours=2)).isoformat()
    press(client, anns, "extend", expires_at=latest)
    assert "Move the deadline" not in shown(client, anns)


@pytest.mark.parametrize("moment", ["", "tomorrow", "2030-01-01T00:00"])
def test_a_deadline_that_is_none(anns: Workflow, approver: User, moment: str) -> None:
    said = press(logged_in(approver), anns, "extend", expires_at=moment)
    assert "Choose until when" in said


def test_where_the_policy_allows_none_it_is_not_offered(agent: Agent, approver: User) -> None:
    assert "Move the deadline" not in shown(logged_in(approver), make_workflow(agent))


def test_talking(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)
    client = logged_in(colleague)
    press(client, workflow, "say", kind="comment", text=f"Fine. {HOSTILE}")
    said = press(client, workflow, "say", kind="question", text="Which lamp?\r\nAnd why?")
    assert "You hear of the answer" in said
    question = Remark.objects.get(kind="question")
    assert question.text == "Which lamp?\nAnd why?"
    assert "1 question waits for" in said
    conversation.answer(workflow.pk, agent=agent, question=question.pk, text=f"Tall. {HOSTILE}")
    page = shown(logged_in(approver), workflow)
    assert "Carl Colleague asked the agent" in page
    assert "refund-bot answered “Which lamp? And why?”" in page
    assert page.count("event-said ") == 3
    assert "<script>alert" not in page
    assert "U+202E" in page
    assert workflow.status == Status.PENDING


def test_saying_nothing(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    assert "Write something" in press(logged_in(approver), workflow, "say", text="  ")
    assert not Remark.objects.exists()


@pytest.mark.parametrize("name", ["withdraw", "extend", "hand-over", "claim", "release", "say"])
def test_who_may_not(agent: Agent, approver: User, viewer: User, stranger: User, name: str) -> None:
    workflow = make_workflow(agent)
    fields: dict[str, Any] = {
        "to": str(approver.pk), "text": "x", "expires_at": "2030-01-01T00:00:00Z"
    }  # fmt: skip
    assert Client().post(page_of(workflow, name), fields).status_code == 302
    assert logged_in(stranger).post(page_of(workflow, name), fields).status_code == 404
    assert "Your role in Payments is viewer" in press(logged_in(viewer), workflow, name, **fields)
    assert logged_in(approver).get(page_of(workflow, name)).status_code == 302
    page = shown(logged_in(viewer), workflow)
    for words in ("I look after it", "Hand over", "Ask the agent"):
        assert words not in page
    assert Event.objects.exclude(type__in=("workflow.created", "human.viewed")).count() == 0


def test_live_parts_change_their_version_only_when_they_change(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    url = reverse("workflow-parts", args=[workflow.pk])

    def version(part: str) -> str:
        page = text(client.get(url))
        return page.split(f'id="{part}" data-part data-version="')[1].split('"')[0]

    before = version("part-together")
    press(logged_in(colleague), workflow, "say", text="Hm.")
    assert version("part-together") == before
    sharing.claim(workflow.pk, user=colleague, source="api")
    assert version("part-together") != before
