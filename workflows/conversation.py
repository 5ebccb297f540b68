"""Words about a request that decide nothing: comments, questions to the agent, and its answers.

Rows are never changed. Each is an event too, so it stands on the timeline, wakes an agent that
waits for questions, and goes out to webhooks.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.urls import reverse

from deliveries import routing
from deliveries import services as deliveries
from deliveries.channels.base import Message
from deliveries.models import Delivery
from deliveries.wakeups import SEND, wake
from events.types import EventType, Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, User
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, FieldError, Forbidden, InvalidInput, NotFound
from hitl.lib.text import has_deceptive, one_line, visible
from hitl.lib.urls import absolute
from workflows.deciding import check_standing
from workflows.models import Remark, Workflow
from workflows.sharing import lock_open
from workflows.transitions import amend, lock

TEXT_LIMIT = 5000
MOST = 200  # remarks on one request; beyond that, people should talk
SUBJECT_LIMIT = 120
SHOWN_LIMIT = 1500


class Answered(Conflict):
    """The question has another answer already."""

    code = "answered"
    title = "The question has been answered"

    def __init__(self) -> None:
        super().__init__("The agent has answered this question already.")


@transaction.atomic
def comment(workflow_id: UUID, *, user: User, text: str, source: str) -> Remark:
    """Say something to the others, also when the request is decided; it counts as no answer.

    Raises NotFound, NotYours, Conflict where there are too many, or InvalidInput (/text).
    """
    workflow = lock(workflow_id)
    check_standing(workflow, user, "session")
    said = _new(workflow, Remark.Kind.COMMENT, text, source, user=user)
    _record(workflow, EventType.HUMAN_COMMENTED, said, user)
    return said


@transaction.atomic
def ask(workflow_id: UUID, *, user: User, text: str, source: str) -> Remark:
    """Ask the agent something, while the request is open. The deadline does not wait.

    Raises NotFound, NotYours, AlreadyDecided, Expired, Conflict or InvalidInput (/text).
    """
    workflow, _ = lock_open(workflow_id, user)
    said = _new(workflow, Remark.Kind.QUESTION, text, source, user=user)
    _record(workflow, EventType.HUMAN_ASKED, said, user)
    return said


@transaction.atomic
def answer(workflow_id: UUID, *, agent: Agent, question: UUID, text: str) -> Remark:
    """The agent's answer to a question; whoever asked is told. The same answer again adds nothing.

    Raises NotFound, Forbidden for another agent, Answered, or InvalidInput (/text).
    """
    workflow = lock(workflow_id, team_id=agent.team_id)
    if workflow.agent_id != agent.pk:
        raise Forbidden("Only the agent that asked for approval answers questions about it.")
    asked = workflow.remarks.filter(pk=question, kind=Remark.Kind.QUESTION).first()
    if asked is None:
        raise NotFound("There is no such question.")
    given = asked.answers.first()
    if given is not None:
        if given.text == text.strip():
            return given
        raise Answered
    said = _new(workflow, Remark.Kind.ANSWER, text, Source.API, agent=agent, question=asked)
    _record(workflow, EventType.AGENT_ANSWERED, said, agent, wave=workflow.wave + 1)
    _tell_asker(workflow, asked, said)
    return said


def remarks(workflow: Workflow) -> QuerySet[Remark]:
    """Everything that was said about a request, oldest first."""
    return workflow.remarks.select_related("user", "agent").order_by("created_at", "pk")


def open_questions(workflow: Workflow) -> int:
    """How many questions of this round wait for the agent. No query where `remarks` are there."""
    if workflow.event_seq < 2:
        return 0  # nothing but its creation has happened
    rows = [one for one in workflow.remarks.all() if one.round == workflow.asked_round]
    answered = {one.question_id for one in rows if one.question_id}
    return sum(one.kind == Remark.Kind.QUESTION and one.pk not in answered for one in rows)


def waiting(workflow_ids: list[UUID]) -> set[UUID]:
    """Which of these requests have a question that the agent has not answered."""
    rows = Remark.objects.filter(
        workflow__in=workflow_ids,
        round=F("workflow__asked_round"),
        kind=Remark.Kind.QUESTION,
        answers__isnull=True,
    )
    return set(rows.values_list("workflow_id", flat=True))


def _new(workflow: Workflow, kind: str, text: str, source: str, **who: Any) -> Remark:
    if workflow.remarks.count() >= MOST:
        raise Conflict(f"There are {MOST} remarks on this request already: talk to each other.")
    text = _checked(text)
    return Remark.objects.create(
        workflow=workflow, round=workflow.asked_round, kind=kind, text=text, channel=source, **who
    )


def _checked(text: str) -> str:
    text = text.strip()
    message = ""
    if not text:
        message = "Write something."
    elif len(text) > TEXT_LIMIT:
        message = f"At most {TEXT_LIMIT} characters, please."
    elif "\0" in text:
        message = "The text holds a character that cannot be stored."
    if message:
        raise InvalidInput(message, [FieldError("/text", message)])
    return text


def _record(
    workflow: Workflow, why: EventType, said: Remark, by: User | Agent, **changes: Any
) -> None:
    data = {"remarkId": str(said.pk), "text": said.text}
    if said.question:
        data["questionId"] = str(said.question.pk)
        data["question"] = one_line(said.question.text, SUBJECT_LIMIT)
    amend(workflow, why, actor=by.actor, source=said.channel, data=data, **changes)


def _tell_asker(workflow: Workflow, asked: Remark, said: Remark) -> None:
    """Write to whoever asked, over the addresses at which they are asked. Nothing to be pressed."""
    person = asked.user
    if person is None or accounts.membership(workflow.team_id, person.pk) is None:
        return
    rows = deliveries.request(
        routing.first_wave([person]),
        _message(workflow, asked, said),
        workflow_id=workflow.pk,
        team_id=workflow.team_id,
        round=workflow.round,
        stage=workflow.stage,
        wave=workflow.wave,
        now=database_now(),
    )
    for row in rows:
        wake(SEND, row.pk)


def _message(workflow: Workflow, asked: Remark, said: Remark) -> Message:
    agent = one_line(workflow.agent.name, 80)
    question = one_line(asked.text, SUBJECT_LIMIT)
    text = visible(said.text)
    if len(text) > SHOWN_LIMIT:
        text = f"{text[:SHOWN_LIMIT]}… (the rest is on the page)"
    return Message(
        kind=Delivery.Kind.OUTCOME,
        subject=one_line(f"{agent} has answered: {workflow.name}", SUBJECT_LIMIT),
        title=one_line(workflow.name, SUBJECT_LIMIT),
        team=workflow.team.name,
        agent=agent,
        action_type=visible(workflow.action_type),
        risk=str(workflow.risk),
        reason=text,
        fingerprint=workflow.current_fingerprint,
        expires_at=workflow.expires_at.astimezone(dt.UTC).isoformat(),
        url=absolute(reverse("workflow", args=[workflow.pk])),
        thread=str(workflow.pk),
        outcome=f"You asked “{question}”. {agent} has answered; decide on the page.",
        deceptive=has_deceptive(said.text) or has_deceptive(workflow.name),
    )
