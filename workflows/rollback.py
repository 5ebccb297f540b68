"""Rolling a request back: an earlier state restored by a new event, in a new round, never an edit.

There are three ways: to ask people again, to run again under the approval that stands, and for what
was carried out to ask for its compensation. What was decided before stays on record; where people
are asked again it counts no more, and its links, buttons and codes are void.
"""

import datetime as dt
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction

from deliveries import services as deliveries
from events import selectors as log
from events.models import Event
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Membership, Role, User
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, Forbidden, InvalidInput
from hitl.lib.text import one_line
from workflows import asking, cases, compensation
from workflows.deciding import SECOND_FACTORS
from workflows.errors import CannotRollBack, NotYours, StepUpNeeded, who_decided
from workflows.models import Executor, Receipt, Semantics, Status, Verdict, Workflow
from workflows.policies import plain
from workflows.policies.shape import read
from workflows.snapshot import whole
from workflows.transitions import ROLLBACKS, lock
from workflows.transitions import roll_back as restore
from workflows.wakeups import poke_execution

REASON_LIMIT = 1000
REASON_IN_NOTICE = 200


class Way(StrEnum):
    """What a rollback comes to."""

    ASK = "asked-again"
    RUN = "run-again"
    UNDO = "compensation-asked"


# What is restored is told by the state that is gone back to.
WAYS = {Status.PENDING: Way.ASK, Status.APPROVED: Way.RUN}
# Why there is nothing to go back to, for the states without any way.
NOWHERE = {
    Status.PENDING: "The request waits for an answer: there is nothing to roll back.",
    Status.CANCELLED: "The agent has withdrawn the request: if it is still wanted, it asks anew.",
    Status.EXECUTING: "The action is being carried out: wait for its outcome.",
    Status.UNKNOWN: "Nobody knows whether the action happened: look, and settle the outcome first.",
}


@dataclass(frozen=True)
class Offer:
    """One way that is open to somebody now. `says` is exactly what will happen, in sentences."""

    way: Way
    to_seq: int
    title: str
    says: tuple[str, ...]
    needs_acknowledgement: bool = False
    needs_factor: bool = False


@dataclass(frozen=True)
class RolledBack:
    """What came of it; `compensation` is the new request where one was asked for."""

    workflow: Workflow
    way: Way
    compensation: Workflow | None = None


@transaction.atomic
def roll_back(
    workflow_id: UUID,
    *,
    user: User,
    to_seq: int,
    reason: str,
    source: str,
    round: int | None = None,  # the wire name
    acknowledged: bool = False,
    strength: str = "session",
) -> RolledBack:
    """Go back to the state after event `to_seq`, in a new round.

    `round` is the one the person saw (None: whichever it is). `acknowledged`: they know that an
    action which is to happen at most once may have had effects already. Raises NotFound, NotYours,
    Forbidden, StepUpNeeded, CannotRollBack, or InvalidInput (/toSeq, /reason,
    /acknowledgeUnknownEffects); then nothing has changed.
    """
    workflow = lock(workflow_id)
    member = _standing(workflow, user)
    reason = _checked(reason)
    if round not in (None, workflow.round):
        said = f"Somebody has rolled it back meanwhile: the request is in round {workflow.round}."
        raise CannotRollBack(workflow, said)
    target = _target(workflow, to_seq)
    way = _way(workflow, target)
    now = database_now()
    common: dict[str, Any] = {
        "user": user, "to_seq": to_seq, "reason": reason, "source": source, "now": now,
    }  # fmt: skip
    if way == Way.UNDO:
        return RolledBack(workflow, way, _undo(workflow, **common))
    if way == Way.RUN:
        _check_run(workflow, member, acknowledged=acknowledged, strength=strength)
        _run_again(workflow, **common)
    else:
        _ask_again(workflow, **common)
    return RolledBack(workflow, way)


def _standing(workflow: Workflow, user: User) -> Membership:
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None or not member.may_decide:
        raise NotYours("Only approvers and managers of the team may roll a request back.")
    return member


def _checked(reason: str) -> str:
    reason = reason.strip()
    message = ""
    if not reason:
        message = "Say why: it stays on record."
    elif len(reason) > REASON_LIMIT or "\0" in reason:
        message = f"Write at most {REASON_LIMIT} ordinary characters."
    if message:
        raise InvalidInput(message, [FieldError("/reason", message)])
    return reason


# --- What is possible ----------------------------------------------------------------------------


def _target(workflow: Workflow, seq: int) -> Event:
    found = log.timeline(workflow.pk).filter(seq=seq).first()
    if found is None:
        message = f"The request has no event {seq}."
        raise InvalidInput(message, [FieldError("/toSeq", message)])
    return found


def _way(workflow: Workflow, target: Event) -> Way:
    """What going back to this state would be. Raises CannotRollBack saying what is possible."""
    way = WAYS.get(Status(target.status))
    if workflow.status == Status.COMPLETED:
        _check_undo(workflow)
        if way:
            return Way.UNDO
    elif way and target.status in ROLLBACKS.get(workflow.status, ()):
        _check_not_begun(workflow)
        if way == Way.ASK or _is_in_force(workflow, target):
            return way
        raise CannotRollBack(
            workflow,
            f"The approval of event {target.seq} belongs to round "
            f"{whole(target.state_snapshot)['askedRound']} and has been replaced since: it allows "
            f"nothing to run. {possible(workflow)}",
        )
    raise CannotRollBack(
        workflow,
        f"A request that is {workflow.status} cannot go back to event {target.seq}, where it was "
        f"{target.status}. {possible(workflow)}",
    )


def _is_in_force(workflow: Workflow, target: Event) -> bool:
    """Whether the approval of that state still is the one that allows the action."""
    return bool(whole(target.state_snapshot)["askedRound"] == workflow.asked_round)


def _check_not_begun(workflow: Workflow) -> None:
    """Raise CannotRollBack where somebody may be acting on the approval at this moment."""
    receipts = Receipt.objects.filter(workflow=workflow, round=workflow.round)
    used = receipts.filter(consumed_at__isnull=False).first()
    if workflow.status == Status.APPROVED and used:
        raise CannotRollBack(
            workflow,
            f"{used.consumed_by} has used the receipt of this approval, so the action has begun: "
            "wait for its outcome.",
        )


def _check_undo(workflow: Workflow) -> None:
    """Raise CannotRollBack unless a compensation can be asked for."""
    if workflow.compensation:
        asked = workflow.compensation
        raise CannotRollBack(
            workflow,
            f"Its compensation has been asked for already and is {asked.status}: see {asked.pk}.",
        )
    if compensation.declared(workflow) is None:
        raise CannotRollBack(workflow, possible(workflow))


def possible(workflow: Workflow) -> str:
    """One sentence: where a rollback could go from here."""
    status = Status(workflow.status)
    if status in NOWHERE:
        return NOWHERE[status]
    if status == Status.COMPLETED:
        if compensation.declared(workflow) is None:
            return (
                "What has been carried out is undone by its action type’s compensation only, and "
                f"{workflow.action_type!r} declares none."
            )
        return "Go back to a state in which it was PENDING or APPROVED to ask for its compensation."
    states = plain.listed(sorted(ROLLBACKS[status], reverse=True), "or")
    return f"From {status} one goes back to a state in which it was {states}."


def ways(workflow: Workflow, target: Event) -> Way | None:
    """What going back to this state would be, or None where that cannot be."""
    try:
        return _way(workflow, target)
    except CannotRollBack:
        return None


def offers(workflow: Workflow, user: User, events: Iterable[Event]) -> list[Offer]:
    """What this person may do now, each way once, to the newest state it goes back to.

    `events` are those of the request, in order. Looks only; `roll_back` judges anew.
    """
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None or not member.may_decide or workflow.status in NOWHERE:
        return []
    newest: dict[Way, int] = {}
    for event in _candidates(workflow, events):
        way = ways(workflow, event)
        if way and (way != Way.RUN or member.role == Role.MANAGER):
            newest[way] = event.seq
    return [offer(workflow, way, seq) for way, seq in sorted(newest.items())]


def _candidates(workflow: Workflow, events: Iterable[Event]) -> list[Event]:
    """The newest state of each kind that can be gone back to: one look at each is enough."""
    last: dict[str, Event] = {}
    for event in events:
        if event.status in WAYS:
            last[event.status] = event
    return list(last.values())


def offer(workflow: Workflow, way: Way, to_seq: int) -> Offer:
    """What this way would do, for whoever confirms it."""
    if way == Way.RUN:
        once = workflow.execution_plan["semantics"] == Semantics.AT_MOST_ONCE
        return Offer(
            way, to_seq, "Run it again", _says_run(workflow),
            needs_acknowledgement=once, needs_factor=_wants_factor(workflow),
        )  # fmt: skip
    if way == Way.UNDO:
        return Offer(way, to_seq, "Ask for its compensation", _says_undo(workflow))
    return Offer(way, to_seq, "Ask again", _says_ask(workflow))


def _says_ask(workflow: Workflow) -> tuple[str, ...]:
    says = [
        f"The request waits for an answer again, in round {workflow.round + 1}. What was answered "
        "before stays on record and counts no more.",
        "Everybody whom the first stage asks gets a new message. The links, buttons and codes of "
        "the earlier messages decide nothing.",
        f"They have {plain.duration(int(_original(workflow).total_seconds()))}, as at first.",
    ]
    if workflow.decision == Verdict.MODIFIED:
        says.append("They are asked about the data as the agent sent it, without the edits.")
    if workflow.status == Status.APPROVED:
        who = who_decided(workflow)
        says.append(f"The approval{f' by {who}' if who else ''} allows nothing to run any more.")
    return tuple(says)


def _says_run(workflow: Workflow) -> tuple[str, ...]:
    who = who_decided(workflow)
    number = workflow.attempts.count() + 1
    by_agent = workflow.execution_plan["by"] == Executor.AGENT
    starts = (
        f"{workflow.agent.name} may start it, as attempt {number}."
        if by_agent
        else f"This server starts it within seconds, as attempt {number}."
    )
    return (
        f"The action may run again under the approval{f' of {who}' if who else ' that stands'}, "
        "with exactly the data that was approved. Nobody is asked.",
        starts,
    )


def _says_undo(workflow: Workflow) -> tuple[str, ...]:
    kind = compensation.declared(workflow)
    name = (kind.title or kind.name) if kind else ""
    return (
        f"People are asked to approve “{name}”, with the data and the result of this request. You "
        "are the one who asks for it, so somebody else decides, unless the policy lets you.",
        "Nothing is undone before they approve. This request stays completed; once the other has "
        "completed, it is noted here.",
    )


# --- Doing it ------------------------------------------------------------------------------------


def _told(workflow: Workflow, to_seq: int, reason: str, way: Way) -> dict[str, Any]:
    """The event's data: from where to where, and why."""
    return {
        "fromSeq": workflow.event_seq,
        "toSeq": to_seq,
        "round": workflow.round + 1,
        "way": str(way),
        "reason": reason,
    }


def _ask_again(
    workflow: Workflow, *, user: User, to_seq: int, reason: str, source: str, now: dt.datetime
) -> None:
    """PENDING in a new round: asked as at first, of the people of now, with nothing answered."""
    changes = _afresh(workflow, now)
    who = who_decided(workflow)
    before = f"{workflow.get_status_display()}{f' by {who}' if who else ''}"
    data = _told(workflow, to_seq, reason, Way.ASK)
    restore(
        workflow, Status.PENDING, actor=user.actor, source=source, data=data, now=now, **changes
    )
    deliveries.conclude(
        workflow.pk,
        outcome=f"{before}; then {user} had it asked again. This message decides nothing any more.",
        now=now,
    )
    notice = f"{user} asks again: {one_line(reason, REASON_IN_NOTICE)}"
    asking.ask(cases.load(workflow, now=now), notice=notice)


def _afresh(workflow: Workflow, now: dt.datetime) -> dict[str, Any]:
    """The fields of the row as they were when people were first asked, with a deadline of now."""
    changes: dict[str, Any] = {
        "expires_at": now + _original(workflow),
        "first_expires_at": None,
        "held_at": None,
        "proposed_data": None,
        "proposed_fingerprint": "",
        "decision": "",
        "response_data": None,
        "response_fingerprint": "",
        "feedback": "",
        "responded_at": None,
        "responded_by": None,
        "responded_via": "",
        "execution_due_at": None,
        "result": None,
        "error": None,
    }
    draft = copy(workflow)
    fresh = {"status": Status.PENDING, "wave": 0, "asked_round": workflow.round + 1}
    for name, value in {**changes, **fresh}.items():
        setattr(draft, name, value)
    file = cases.load(draft, now=now)
    if file.case.is_stuck:
        raise CannotRollBack(
            workflow,
            "Nobody is left who could answer: let a manager add approvers to the team first.",
        )
    first = file.case.stage.index if file.case.stage else 0
    return changes | asking.opening(draft, file.policy, first, now=now)


def _original(workflow: Workflow) -> dt.timedelta:
    """How long people had when the request was made, before anybody moved the deadline."""
    created = log.timeline(workflow.pk).only("state_snapshot").get(seq=1)
    ended = dt.datetime.fromisoformat(created.state_snapshot["expiresAt"])
    return ended - workflow.created_at


def _check_run(
    workflow: Workflow, member: Membership, *, acknowledged: bool, strength: str
) -> None:
    """Running again is for managers, with what the policy wants shown, and with open eyes."""
    if member.role != Role.MANAGER:
        raise Forbidden(
            "Only managers may let it run again under the same approval. You may ask again: go "
            "back to a state in which it was PENDING."
        )
    if _wants_factor(workflow) and strength not in SECOND_FACTORS:
        raise StepUpNeeded
    once = workflow.execution_plan["semantics"] == Semantics.AT_MOST_ONCE
    if once and not acknowledged:
        message = (
            "This action is to happen at most once, and an earlier attempt may have had effects: "
            "confirm that you have looked."
        )
        raise InvalidInput(message, [FieldError("/acknowledgeUnknownEffects", message, "required")])


def _wants_factor(workflow: Workflow) -> bool:
    stages = read(workflow.policy).stages
    return any(stage.wants_second_factor(str(workflow.risk)) for stage in stages)


def _run_again(
    workflow: Workflow, *, user: User, to_seq: int, reason: str, source: str, now: dt.datetime
) -> None:
    """APPROVED in a new round, under the decision that is in force; attempts count on."""
    by_agent = workflow.execution_plan["by"] == Executor.AGENT
    data = _told(workflow, to_seq, reason, Way.RUN)
    restore(
        workflow,
        Status.APPROVED,
        actor=user.actor,
        source=source,
        data=data,
        now=now,
        execution_due_at=None if by_agent else now,
        result=None,
        error=None,
    )
    if not by_agent:
        poke_execution(workflow.pk)


def _undo(workflow: Workflow, **common: Any) -> Workflow:
    kind = compensation.declared(workflow)
    if kind is None:
        raise CannotRollBack(workflow, possible(workflow))
    return compensation.ask(workflow, kind, **common)
