"""Words beside the votes: who may say what, who hears of it, and that nothing is decided by it."""

from uuid import uuid4

import pytest

from deliveries.models import Delivery
from deliveries.services import cancel_open
from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Agent, Membership, User
from hitl.lib.errors import Conflict, Forbidden, InvalidInput, NotFound
from tests.accounts.factories import AgentFactory
from tests.workflows.factories import decide, make_overdue, make_workflow
from workflows import conversation
from workflows.conversation import Answered
from workflows.errors import AlreadyDecided, Expired, NotYours
from workflows.models import Remark, Status, Workflow

pytestmark = pytest.mark.django_db


def comment(workflow: Workflow, user: User, text: str = "Looks fine to me.") -> Remark:
    return conversation.comment(workflow.pk, user=user, text=text, source=Source.DASHBOARD)


def ask(workflow: Workflow, user: User, text: str = "Which lamp?") -> Remark:
    return conversation.ask(workflow.pk, user=user, text=text, source=Source.DASHBOARD)


def answer(workflow: Workflow, agent: Agent, asked: Remark, text: str = "The tall one.") -> Remark:
    return conversation.answer(workflow.pk, agent=agent, question=asked.pk, text=text)


def told(workflow: Workflow, kind: str) -> list[Event]:
    return list(Event.objects.filter(workflow=workflow, type=kind))


def test_a_comment_decides_nothing(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)
    comment(workflow, colleague, "  Looks fine to me. ")
    workflow.refresh_from_db()
    assert workflow.status == Status.PENDING
    [event] = told(workflow, EventType.HUMAN_COMMENTED)
    assert event.data["text"] == "Looks fine to me."
    assert event.actor["name"] == "Carl Colleague"
    decide(workflow, colleague)  # and is no vote
    comment(workflow, approver, "Thanks.")  # also afterwards
    assert [one.text for one in conversation.remarks(workflow)] == ["Looks fine to me.", "Thanks."]


def test_question_and_answer(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    assert conversation.open_questions(workflow) == 0
    asked = ask(workflow, approver)
    workflow.refresh_from_db()
    assert conversation.open_questions(workflow) == 1
    assert conversation.waiting([workflow.pk]) == {workflow.pk}
    given = answer(workflow, agent, asked)
    workflow.refresh_from_db()
    assert (given.question, given.agent, given.user) == (asked, agent, None)
    assert conversation.open_questions(workflow) == 0
    assert conversation.waiting([workflow.pk]) == set()
    [event] = told(workflow, EventType.AGENT_ANSWERED)
    assert event.data["questionId"] == str(asked.pk)
    assert event.data["question"] == "Which lamp?"


def test_who_asked_is_told_and_nobody_else(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)
    answer(workflow, agent, ask(workflow, colleague))
    note = Delivery.objects.get(kind=Delivery.Kind.OUTCOME)
    message = note.to_message()
    assert (note.user, message.choices) == (colleague, [])
    assert "Which lamp?" in message.outcome
    assert message.reason == "The tall one."
    assert message.url.endswith(f"/workflows/{workflow.pk}/")


def test_the_note_is_no_question_and_stays_when_the_question_is_settled(
    agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    answer(workflow, agent, ask(workflow, approver))
    decide(workflow, approver)
    note = Delivery.objects.get(kind=Delivery.Kind.OUTCOME)
    assert (note.status, note.outcome) == (Delivery.Status.PENDING, "")


def test_two_answers_are_two_notes(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    first, second = ask(workflow, approver, "Which lamp?"), ask(workflow, approver, "How broken?")
    answer(workflow, agent, first)
    answer(workflow, agent, second, "In half.")
    assert Delivery.objects.filter(kind=Delivery.Kind.OUTCOME).count() == 2


def test_somebody_who_has_left_is_not_written_to(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    asked = ask(workflow, approver)
    Membership.objects.filter(user=approver).delete()
    answer(workflow, agent, asked)
    assert not Delivery.objects.filter(kind=Delivery.Kind.OUTCOME).exists()


def test_the_same_answer_again_adds_nothing_another_is_refused(
    agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    asked = ask(workflow, approver)
    first = answer(workflow, agent, asked)
    assert answer(workflow, agent, asked) == first
    with pytest.raises(Answered):
        answer(workflow, agent, asked, "The small one.")
    assert len(told(workflow, EventType.AGENT_ANSWERED)) == 1
    assert Delivery.objects.filter(kind=Delivery.Kind.OUTCOME).count() == 1


def test_only_the_agent_that_asked_answers_and_only_questions(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow, other = make_workflow(agent), make_workflow(agent)
    asked = ask(workflow, approver)
    with pytest.raises(Forbidden):
        answer(workflow, AgentFactory(team=agent.team), asked)
    with pytest.raises(NotFound):
        answer(workflow, AgentFactory(), asked)
    with pytest.raises(NotFound):
        answer(other, agent, asked)
    with pytest.raises(NotFound):
        answer(workflow, agent, comment(workflow, colleague))
    with pytest.raises(NotFound):
        conversation.answer(workflow.pk, agent=agent, question=uuid4(), text="What?")


def test_viewers_and_strangers_say_nothing(
    agent: Agent, approver: User, viewer: User, stranger: User
) -> None:
    workflow = make_workflow(agent)
    for person in (viewer, stranger):
        with pytest.raises(NotYours):
            comment(workflow, person)
        with pytest.raises(NotYours):
            ask(workflow, person)
    assert not Remark.objects.exists()


def test_questions_end_with_the_request_answers_do_not(agent: Agent, approver: User) -> None:
    workflow, late = make_workflow(agent), make_overdue(agent)
    asked = ask(workflow, approver)
    decide(workflow, approver)
    with pytest.raises(AlreadyDecided):
        ask(workflow, approver)
    with pytest.raises(Expired):
        ask(late, approver)
    assert answer(workflow, agent, asked).text == "The tall one."


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 5001, "a\0b"])
def test_text_that_cannot_be_kept(agent: Agent, approver: User, text: str) -> None:
    workflow = make_workflow(agent)
    asked = ask(workflow, approver)
    with pytest.raises(InvalidInput) as refused:
        comment(workflow, approver, text)
    assert refused.value.errors[0].pointer == "/text"
    with pytest.raises(InvalidInput):
        ask(workflow, approver, text)
    with pytest.raises(InvalidInput):
        answer(workflow, agent, asked, text)
    assert Remark.objects.count() == 1


def test_there_is_an_end_to_talking(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    Remark.objects.bulk_create(
        Remark(workflow=workflow, round=1, kind="comment", user=approver, text="x", channel="api")
        for _ in range(conversation.MOST)
    )
    with pytest.raises(Conflict):
        comment(workflow, approver)


def test_a_long_hostile_answer_is_written_out_and_cut(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    answer(workflow, agent, ask(workflow, approver), "\u202eevil" + "x" * 4000)
    message = Delivery.objects.get(kind=Delivery.Kind.OUTCOME).to_message()
    assert message.reason.startswith("⟦U+202E⟧evil")
    assert len(message.reason) < 1600
    assert message.deceptive


@pytest.mark.django_db(transaction=True)
def test_a_note_that_fails_does_not_say_that_nobody_could_be_reached(
    agent: Agent, approver: User
) -> None:
    from django.db import transaction

    from deliveries.channels.base import ChannelError
    from deliveries.services import claim, settle_failure

    workflow = make_workflow(agent)
    answer(workflow, agent, ask(workflow, approver))
    with transaction.atomic():
        cancel_open(workflow.pk)
    note = claim(Delivery.objects.get(kind=Delivery.Kind.OUTCOME).pk)
    assert note is not None
    settle_failure(note, ChannelError("No such mailbox.", permanent=True))
    assert len(told(workflow, EventType.DELIVERY_FAILED)) == 1
    assert not told(workflow, EventType.DELIVERY_UNDELIVERABLE)
