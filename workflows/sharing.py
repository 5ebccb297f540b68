"""A request among the people it asks: one passes it on to another, one says "I look after it".

Handing over gives one person's say in one request to somebody else, like an absence that concerns
this request alone: the other answers for them, under both names. Whoever handed over may still
answer as long as the other has not. Claiming takes the say from nobody: the others may decide all
the same, but reminders go to whoever has claimed, and everybody sees who looks after it.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import transaction

from events.types import EventType
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Role, User
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, Forbidden, InvalidInput
from hitl.lib.text import one_line
from workflows import asking, cases
from workflows.cases import CaseFile
from workflows.deciding import check_standing, why_not
from workflows.errors import AlreadyDecided, Claimed, Expired, NotYours
from workflows.models import HandOver, Status, Workflow
from workflows.policies import absence
from workflows.policies.absence import Absence as Away
from workflows.transitions import amend, lock

REASON_LIMIT = 1000
REASON_IN_NOTICE = 200


def lock_open(workflow_id: UUID, user: User) -> tuple[Workflow, dt.datetime]:
    """The locked request, still open for this member who may decide, and the database's time.

    Raises NotFound, NotYours, AlreadyDecided or Expired.
    """
    workflow = lock(workflow_id)
    check_standing(workflow, user, "session")
    now = database_now()
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    if workflow.is_late(now):
        raise Expired(workflow)
    return workflow, now


def is_manager(workflow: Workflow, user: User) -> bool:
    """Whether the person manages the team whose request it is."""
    member = accounts.membership(workflow.team_id, user.pk)
    return member is not None and member.role == Role.MANAGER


# --- Handing over --------------------------------------------------------------------------------


@transaction.atomic
def hand_over(
    workflow_id: UUID,
    *,
    user: User,
    to: UUID,
    source: str,
    person: UUID | None = None,
    reason: str = "",
) -> Workflow:
    """Give one person's say in this request to another approver, who is asked at once.

    `person` is whose say it is: the user's own unless a manager names somebody else. Raises
    NotFound, NotYours, Forbidden, AlreadyDecided, Expired, or InvalidInput where `to` cannot take
    it (pointer /to) or there is nothing to give (/person).
    """
    workflow, now = lock_open(workflow_id, user)
    file = cases.load(workflow, now=now)
    giver = _giver(file, user, person or user.pk)
    taker = _taker(file, giver, to)
    reason = _bounded(reason)
    given = HandOver.objects.create(
        workflow=workflow, round=workflow.round, person=giver, to=taker, given_by=user,
        reason=reason,
    )  # fmt: skip
    # It holds from this moment on by the one clock, also where this machine's is ahead of it.
    HandOver.objects.filter(pk=given.pk).update(created_at=now)
    stage = file.policy.stages[workflow.stage]
    changes: dict[str, Any] = {"wave": workflow.wave + 1}
    if workflow.claimed_by_id == giver.pk:
        changes |= {"claimed_by": None, "claimed_at": None}
    amend(
        workflow,
        EventType.WORKFLOW_HANDED_OVER,
        actor=user.actor,
        source=source,
        data={"person": _named(giver), "to": _named(taker), "reason": reason, "stage": stage.index},
        now=now,
        asks=asking.whom(
            file.case.rights.open_leaves(stage), also=[*file.handed_to, str(taker.pk)]
        ),
        **changes,
    )
    _tell(file, user, giver, taker, reason)
    return workflow


def may_hand_over(file: CaseFile, user: User) -> bool:
    """Whether the person has a say here to give to somebody."""
    return bool(file.case.seats(str(user.pk)))


def takers(file: CaseFile, giver: User) -> list[User]:
    """Everybody who could take this person's say, by name."""
    found = [one for one in _members(file).values() if not _why_no_taker(file, giver, one)]
    return sorted(found, key=lambda user: str(user).casefold())


def givers(file: CaseFile) -> list[User]:
    """Everybody whose say a manager could give to somebody else now, by name."""
    found = {seat.person for seats in file.case.may_answer.values() for seat in seats}
    people = [user for id_, user in file.users.items() if id_ in found]
    return sorted(people, key=lambda user: str(user).casefold())


def _giver(file: CaseFile, user: User, person: UUID) -> User:
    if person == user.pk:
        if not may_hand_over(file, user):
            raise NotYours(why_not(file, user))
        return user
    if not is_manager(file.workflow, user):
        raise Forbidden("Only managers may hand over for somebody else.")
    for one in givers(file):
        if one.pk == person:
            return one
    message = "This person is not asked now, so there is nothing to hand over."
    raise InvalidInput(message, [FieldError("/person", message)])


def _taker(file: CaseFile, giver: User, id_: UUID) -> User:
    taker = _members(file).get(id_)
    message = "Choose somebody of the team who may decide."
    if taker:
        message = _why_no_taker(file, giver, taker)
    if taker is None or message:
        raise InvalidInput(message, [FieldError("/to", message)])
    return taker


def _members(file: CaseFile) -> dict[UUID, User]:
    return {one.pk: one for one in accounts.approvers(file.workflow.team_id)}


def _why_no_taker(file: CaseFile, giver: User, taker: User) -> str:
    """Why this approver cannot take the giver's say; "" if they can."""
    own, id_, rights = str(giver.pk), str(taker.pk), file.case.rights
    if id_ == own:
        return "Choose somebody else."
    barred = rights.why_barred(id_)
    if barred:
        what = "owns the agent that asks" if barred == "owner" else "is the one who asked for this"
        return f"{taker} {what}, so somebody else has to decide."
    circle = absence.circle(_in_force(file), Away(own, id_, file.now))
    if circle:
        way = " to ".join(file.names.person(one) for one in circle)
        return f"It would go round in a circle: {way}."
    if not any(rights.has_say(id_, person) for person in _says_of(file, giver)):
        return f"{taker} has answered already, and has one answer only."
    if _is_needed(file, own, id_):
        return f"{taker}’s own answer is needed, too: choose somebody who is not asked yet."
    return ""


def _says_of(file: CaseFile, giver: User) -> set[str]:
    """Whose say goes with it: the person's own, and those they stand in for."""
    own = str(giver.pk)
    asked = {seat.person for seats in file.case.may_answer.values() for seat in seats}
    return {seat.person for seat in file.case.seats(own)} | (asked & {own})


def _is_needed(file: CaseFile, giver: str, taker: str) -> bool:
    """Whether too few answers would be left if somebody who is asked anyway takes one more."""
    actors = set(file.case.may_answer)
    if file.policy.allow_twice or taker not in actors:
        return False
    missing = max((one.missing for one in file.case.progress), default=0)
    return len(actors - {giver}) < missing


def _in_force(file: CaseFile) -> list[Away]:
    """The absences of now; of two of one person, the one that began later."""
    newest: dict[str, Away] = {}
    for each in sorted(file.absences, key=lambda one: one.start):
        if each.covers(file.now):
            newest[each.person] = each
    return list(newest.values())


def _tell(file: CaseFile, user: User, giver: User, taker: User, reason: str) -> None:
    """Ask the one who has it now, and close the copies of those who are asked no more."""
    before = {one.user.pk for one in asking.invitations(file)}
    now = cases.load(file.workflow, now=file.now)
    after = {one.user.pk for one in asking.invitations(now)}
    gone = [file.users[str(pk)] for pk in before - after if str(pk) in file.users]
    whose = "" if giver == user else f" for {giver}"
    asking.close_wave(now, f"{user} has handed this{whose} to {taker}.", users=gone)
    words = f": “{one_line(reason, REASON_IN_NOTICE)}”" if reason else "."
    says = _says_of(file, giver)
    asking.ask(now, persons=says, notice=f"{user} has handed this to you{words}")


# --- Looking after it ----------------------------------------------------------------------------


@transaction.atomic
def claim(workflow_id: UUID, *, user: User, source: str) -> Workflow:
    """Say that one looks after a request, while its stage is open. Repeating it changes nothing.

    Raises NotFound, NotYours (only who may answer can look after it), AlreadyDecided, Expired, or
    Claimed where somebody else does who still may answer; a manager takes over all the same.
    """
    workflow, now = lock_open(workflow_id, user)
    if workflow.claimed_by_id == user.pk:
        return workflow
    file = cases.load(workflow, now=now)
    if not file.case.seats(str(user.pk)):
        raise NotYours(why_not(file, user))
    holder = workflow.claimed_by
    if holder and str(holder.pk) in file.case.may_answer and not is_manager(workflow, user):
        raise Claimed(workflow)
    amend(
        workflow,
        EventType.WORKFLOW_CLAIMED,
        actor=user.actor,
        source=source,
        data={"stage": workflow.stage, "from": _named(holder) if holder else None},
        now=now,
        claimed_by=user,
        claimed_at=now,
    )
    return workflow


@transaction.atomic
def release(workflow_id: UUID, *, user: User, source: str) -> Workflow:
    """Look after it no more; a manager may do so for somebody. Repeating it changes nothing.

    Raises NotFound, NotYours, Forbidden, AlreadyDecided or Expired.
    """
    workflow, now = lock_open(workflow_id, user)
    holder = workflow.claimed_by
    if holder is None:
        return workflow
    if holder != user and not is_manager(workflow, user):
        raise Forbidden(f"{holder} looks after it: only they or a manager can end that.")
    amend(
        workflow,
        EventType.WORKFLOW_RELEASED,
        actor=user.actor,
        source=source,
        data={"stage": workflow.stage, "from": _named(holder)},
        now=now,
        claimed_by=None,
        claimed_at=None,
    )
    return workflow


def _named(person: User) -> dict[str, str]:
    return {"id": str(person.pk), "name": str(person)}


def _bounded(reason: str) -> str:
    reason = reason.strip()
    if len(reason) > REASON_LIMIT or "\0" in reason:
        message = f"Write at most {REASON_LIMIT} ordinary characters."
        raise InvalidInput(message, [FieldError("/reason", message)])
    return reason


__all__ = [
    "claim", "givers", "hand_over", "is_manager", "lock_open", "may_hand_over", "release",
    "takers",
]  # fmt: skip
