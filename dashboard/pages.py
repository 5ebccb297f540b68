"""The page of one request, put together from the floors below in a handful of queries."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.utils import timezone

from dashboard import timeline, together
from dashboard.timeline import Entry
from deliveries import selectors as deliveries
from deliveries.models import Delivery
from events import selectors as events
from events.models import Event
from events.types import EventType, Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import User
from workflows import conversation, decision_form, diff, forms, guests, rollback
from workflows.cases import CaseFile
from workflows.errors import outcome_sentence, who_decided
from workflows.models import Decision, ExecutionAttempt, Status, Verdict, View, Workflow
from workflows.policies import plain
from workflows.policies.shape import Leaf

PEOPLE_SHOWN = 8
NOT_YET = "The message has not gone out yet."
COMING_SHOWN = 3


@dataclass(frozen=True)
class Person:
    """Somebody who is asked, and what came of it so far. `state` is a word for icon and colour."""

    name: str
    state: str
    says: str
    is_me: bool
    is_guest: bool = False
    stand_in: str = ""
    has_claimed: bool = False


@dataclass(frozen=True)
class Miss:
    """Somebody who could not be reached, and why."""

    recipient: str
    error: str


@dataclass(frozen=True)
class Outcome:
    """What became of the request, in one line and one sentence."""

    tone: str
    icon: str
    title: str
    sentence: str


TITLES = {
    Status.REJECTED: ("danger", "x", "Rejected"),
    Status.TIMEOUT: ("muted", "hourglass", "Timed out"),
    Status.CANCELLED: ("muted", "ban", "Withdrawn"),
}


def page(workflow: Workflow, user: User, **form: Any) -> dict[str, Any]:
    """Everything the page and its live parts draw; `form` goes on to `decision_form.context`."""
    member = accounts.membership(workflow.team_id, user.pk)
    attempts = list(workflow.attempts.all())
    sent = list(deliveries.of_workflow(workflow.pk))
    drawn = decision_form.context(workflow, user=user, **form)
    file: CaseFile = drawn["file"]
    decisions = list(file.decisions)
    people = _people(file, user)
    misses = _misses(workflow, sent)
    around = together.of(file, user)
    questions = conversation.open_questions(workflow)
    happened = list(events.timeline(workflow.pk))
    offers = rollback.offers(workflow, user, happened)
    return {
        **drawn,
        "now": timezone.now(),
        "decisions": decisions,
        "people": people,
        "together": around,
        "may_talk": bool(member and member.may_decide),
        "open_questions": questions,
        "way": _way(file),
        "outcome": _outcome(workflow),
        "changes": _changes(workflow),
        "attempts": attempts,
        "running": next((one for one in attempts if one.status == one.Status.OPEN), None),
        "result": forms.tree(workflow.result) if workflow.result is not None else None,
        "failure": _failure(workflow),
        "deliveries": sent,
        "misses": misses,
        "may_send_again": bool(member and member.may_decide and workflow.is_open),
        "may_settle": bool(member and member.may_decide and workflow.status == Status.UNKNOWN),
        "entries": timeline.entries(happened),
        "offers": offers,
        "again": _again(workflow, happened),
        "versions": _versions(workflow, drawn, decisions, attempts, sent, people["seen"])
        | {
            "together": around.version if around else "",
            "talk": f"{workflow.is_open}-{questions}",
            "rollback": f"{[str(one.way) for one in offers]}-{workflow.compensation_id}",
        },
    }


def _again(workflow: Workflow, happened: list[Event]) -> Entry | None:
    """Why people are asked once more; None in the first round, and once it is decided."""
    if not workflow.is_open or workflow.round == 1:
        return None
    back = [one for one in happened if one.type == EventType.WORKFLOW_ROLLED_BACK]
    return timeline.entries(back[-1:])[0] if back else None


def _versions(
    workflow: Workflow,
    drawn: dict[str, Any],
    decisions: list[Decision],
    attempts: list[ExecutionAttempt],
    sent: list[Delivery],
    seen: str,
) -> dict[str, str]:
    """A word for each live part that differs whenever the part would be drawn differently."""
    state = (
        f"{workflow.status}-{workflow.round}-{bool(workflow.held_at)}-{len(decisions)}"
        f"-{workflow.stage}-{workflow.wave}-{workflow.expires_at.timestamp()}"
    )
    tries = [(one.number, one.status, bool(one.late_report)) for one in attempts]
    posts = [(str(one.pk), one.status, one.attempts, one.last_error) for one in sent]
    return {
        "state": state,
        "decide": f"{state}-{drawn['hindrance']}",
        "data": f"{state if drawn['editing'] else ''}-{workflow.decision}",
        "run": f"{state}-{tries}",
        "deliveries": f"{state}-{posts}",
        "alarm": f"{state}-{posts}",
        "people": f"{state}-{seen}",
        "events": str(workflow.event_seq),
    }


def _people(file: CaseFile, user: User) -> dict[str, Any]:
    """Who is asked in the open stage: those who answered first, then those who looked."""
    workflow = file.workflow
    stage = file.policy.stages[workflow.stage]
    leaves = file.case.rights.open_leaves(stage)
    meant = {id_ for leaf in leaves for id_ in file.case.rights.everyone(leaf)}
    looked = set(
        View.objects.filter(workflow=workflow, round=workflow.asked_round).values_list(
            "user", flat=True
        )
    )
    answers = {
        str(decision.behalf_id or decision.user_id): decision
        for decision in file.decisions
        if decision.stage == workflow.stage and decision.pk not in file.withdrawn
    }
    invited = guests.addresses(workflow)
    stands_in = {asked.person: asked.actor for asked in file.asked() if asked.actor != asked.person}
    people = [
        replace(
            _person(file.users[id_], user, answers.get(id_), file.users[id_].pk in looked),
            is_guest=id_ in invited,
            stand_in=file.names.person(stands_in[id_]) if id_ in stands_in else "",
            has_claimed=file.users[id_].pk == workflow.claimed_by_id,
        )
        for id_ in {*meant, *(key for key in answers if key in file.users)}
    ]
    order = {"approved": 0, "modified": 0, "rejected": 0, "seen": 1, "asked": 2}
    people.sort(key=lambda person: (order[person.state], not person.is_me, person.name))
    return {
        "shown": people[:PEOPLE_SHOWN],
        "more": max(0, len(people) - PEOPLE_SHOWN),
        "asked": _asked(file),
        "seen": "".join(
            f"{person.state[0]}{person.stand_in}{person.has_claimed}" for person in people
        ),
    }


def _asked(file: CaseFile) -> str:
    """Who has to answer, for the head of the list."""
    need = file.policy.stages[file.workflow.stage].need
    if isinstance(need, Leaf) and "team" in need.who and need.count == 1:
        return f"Any approver of {file.workflow.team.name} may decide."
    return f"{plain.sentence(plain.need(need, file.names))} Only these people may decide."


@dataclass(frozen=True)
class Step:
    """One stage of the policy on the way; `state` is done, open, skipped or later."""

    name: str
    state: str
    says: str


def _way(file: CaseFile) -> dict[str, Any]:
    """The policy in words, how far it is, and what time does next."""
    workflow, policy = file.workflow, file.policy
    agreed = file.case.state.agreed
    open_index = file.case.stage.index if file.case.stage else None
    steps = []
    for stage in policy.stages:
        votes = [plain.who_answered(vote, file.names) for vote in agreed.get(stage.index, ())]
        state = "done" if stage.index in agreed else "later"
        if stage.index == open_index and workflow.is_open:
            state = "open"
        elif state == "later" and (stage.index < workflow.stage or not workflow.is_open):
            state = "skipped"
        says = plain.listed(votes) if votes else plain.sentence(plain.need(stage.need, file.names))
        steps.append(Step(stage.name, state, says))
    coming = file.schedule.upcoming[:COMING_SHOWN] if workflow.is_open else ()
    stage = policy.stages[workflow.stage]
    return {
        "source": workflow.policy.get("from"),
        "steps": steps if len(steps) > 1 else [],
        "waiting": plain.waiting(file.case, file.names) if _counts(file) else "",
        "is_stuck": workflow.is_open and file.case.is_stuck,
        "coming": [
            (item.at, plain.sentence(plain.happening(item, stage, _clock, file.names)))
            for item in coming
        ],
        "explained": plain.explain(workflow.policy, file.names),
    }


def _counts(file: CaseFile) -> bool:
    """Whether "1 of 2" tells more than "waiting"."""
    return file.workflow.is_open and any(one.wanted > 1 for one in file.case.progress)


def _clock(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%d %b %H:%M UTC")


def _person(person: User, user: User, answer: Decision | None, has_looked: bool) -> Person:
    if answer:
        says = str(Verdict(answer.verdict).label)
        if answer.behalf_id:
            says += f" by {answer.user}"
        return Person(str(person), str(answer.verdict), says, person.pk == user.pk)
    state, says = ("seen", "Has seen it") if has_looked else ("asked", "Not seen yet")
    return Person(str(person), state, says, person.pk == user.pk)


def _misses(workflow: Workflow, sent: list[Delivery]) -> list[Miss]:
    """Everybody whom the question could not reach, where it has reached nobody; else nothing."""
    asked = [one for one in sent if deliveries.still_asks(one, workflow.round)]
    if not workflow.is_open or not deliveries.is_lost(asked, timezone.now()):
        return []
    return [Miss(one.recipient, one.last_error or NOT_YET) for one in asked if _may_miss(one)]


def _may_miss(one: Delivery) -> bool:
    return bool(one.last_error) or one.status == Delivery.Status.PENDING


def _outcome(workflow: Workflow) -> Outcome | None:
    if workflow.is_open:
        return None
    sentence = outcome_sentence(workflow)
    if workflow.status in TITLES:
        tone, icon, title = TITLES[Status(workflow.status)]
        who = f" by {who_decided(workflow)}" if workflow.responded_by else ""
        return Outcome(tone, icon, f"{title}{who}", sentence)
    verb = Verdict(workflow.decision).label
    nobody = " by a rule" if workflow.responded_via == Source.RULE else " by silence"
    who = f" by {who_decided(workflow)}" if workflow.responded_by else nobody
    return Outcome("ok", "check", f"{verb}{who}", sentence)


def _changes(workflow: Workflow) -> list[diff.DiffRow]:
    if workflow.decision != Verdict.MODIFIED:
        return []
    return diff.rows(workflow.action_data, workflow.response_data, schema=workflow.ui_schema)


def _failure(workflow: Workflow) -> dict[str, str] | None:
    error = workflow.error
    if not error:
        return None
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    return {"code": code, "message": timeline.problem_of(error)}


def event_page(workflow: Workflow, seq: int) -> dict[str, Any] | None:
    """One event with the complete state after it, or None where there is no such number."""
    event = events.timeline(workflow.pk, after=seq - 1).filter(seq=seq).first()
    if event is None:
        return None
    return {
        "workflow": workflow,
        "event": event,
        "entry": timeline.entries([event])[0],
        "data": forms.tree(event.data),
        "state": forms.tree(event.state_snapshot),
    }


def has_viewed(workflow: Workflow, user_id: UUID) -> bool:
    """Whether opening the page again would tell nothing new."""
    return View.objects.filter(workflow=workflow, round=workflow.round, user_id=user_id).exists()
