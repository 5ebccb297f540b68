"""People who are away, and who stands in for them: entered, ended, told at once where it counts.

An absence that has begun makes itself felt without anything else being written: rights are judged
when somebody answers. What is open and already asks the person is put to the stand-in here, once.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from events.types import EventType, Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Absence, Membership, Role, User
from hitl.lib.actor import SYSTEM
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, FieldError, Forbidden, HitlError, InvalidInput, NotFound
from workflows import asking, cases
from workflows.models import Status, Workflow
from workflows.policies import absence
from workflows.policies.absence import Absence as Away
from workflows.transitions import amend, lock

logger = logging.getLogger(__name__)

REASON_LIMIT = 200
MOST_OPEN = 200  # requests that are put to the stand-in at once; the inbox shows the rest
MOST_PLANNED = 100
LONGEST = dt.timedelta(days=3 * 366)
SLACK = dt.timedelta(minutes=5)  # an absence "from now" was typed a moment ago


def of(user: User) -> QuerySet[Absence]:
    """The person's absences that are not over, the first to begin first."""
    now = database_now()
    return _not_over(now).filter(user=user).select_related("delegate", "created_by")


def stood_in_for(user: User) -> QuerySet[Absence]:
    """Absences that are not over and name this person as the stand-in."""
    return _not_over(database_now()).filter(delegate=user).select_related("user")


def managed_by(user: User) -> QuerySet[Absence]:
    """Absences that are not over, of members of the teams the person manages."""
    teams = _managed(user)
    return (
        _not_over(database_now())
        .filter(user__memberships__team__in=teams)
        .exclude(user=user)
        .select_related("user", "delegate")
        .distinct()
    )


def people_of(user: User) -> list[User]:
    """Whose absences the person may enter besides their own: members of the teams they manage."""
    found = User.objects.filter(memberships__team__in=_managed(user), is_active=True)
    return list(found.exclude(pk=user.pk).distinct().order_by("name", "email"))


def delegates_for(user: User) -> list[User]:
    """Who may stand in for the person: everybody who decides in one of their teams."""
    teams = Membership.objects.filter(user=user).values("team")
    found = User.objects.filter(
        memberships__team__in=teams,
        memberships__role__in=accounts.DECIDING_ROLES,
        is_active=True,
    )
    return list(found.exclude(pk=user.pk).distinct().order_by("name", "email"))


def add(
    user: User,
    *,
    by: User,
    start: dt.datetime | None,
    end: dt.datetime | None,
    delegate: UUID | None,
    reason: str = "",
) -> Absence:
    """Enter an absence; where it has begun, the stand-in is asked what waits for the person.

    `start` None: from now on. Raises Forbidden, Conflict where there are too many, or InvalidInput
    (/start, /end, /delegate, /reason).
    """
    with transaction.atomic():
        # Two absences that close a circle together must not pass each other.
        both = User.objects.select_for_update(no_key=True).filter(pk__in=[user.pk, delegate])
        list(both.order_by("pk"))
        entered = _add(user, by, start, end, delegate, reason)
    if entered.delegate_id and entered.start <= database_now():
        ask_stand_in(entered)
    return entered


def end(absence_id: UUID, *, by: User) -> None:
    """The person is back: it ends now. One that has not begun is taken off the list.

    Raises NotFound or Forbidden.
    """
    with transaction.atomic():
        row = Absence.objects.select_for_update(of=("self",)).filter(pk=absence_id).first()
        if row is None:
            raise NotFound("There is no such absence.")
        _check_may(row.user, by)
        now = database_now()
        if row.start >= now:
            row.delete()
        elif row.end is None or row.end > now:
            row.end = now
            row.save(update_fields=["end"])


def _add(
    user: User,
    by: User,
    start: dt.datetime | None,
    end: dt.datetime | None,
    delegate: UUID | None,
    reason: str,
) -> Absence:
    _check_may(user, by)
    now = database_now()
    start = start or now
    _check_times(start, end, now)
    stand_in = _delegate(user, delegate)
    if len(reason.strip()) > REASON_LIMIT or "\0" in reason:
        raise _invalid("/reason", f"Write at most {REASON_LIMIT} ordinary characters.")
    if of(user).count() >= MOST_PLANNED:
        raise Conflict("That is enough planned absences: remove some first.")
    _check_circle(Away(str(user.pk), str(stand_in.pk) if stand_in else None, start, end), now)
    return Absence.objects.create(
        user=user, delegate=stand_in, start=start, end=end, reason=reason.strip(), created_by=by
    )


def _check_may(user: User, by: User) -> None:
    teams = Membership.objects.filter(user=user, team__in=_managed(by))
    if user != by and not teams.exists():
        raise Forbidden("Only the person or a manager of their team may do this.")


def _check_times(start: dt.datetime, end: dt.datetime | None, now: dt.datetime) -> None:
    if start < now - SLACK:
        raise _invalid("/start", "It has to start now or later.")
    if end is not None and end <= start:
        raise _invalid("/end", "It has to end after it starts.")
    if start > now + LONGEST or (end is not None and end > start + LONGEST):
        raise _invalid("/end", "Plan at most three years ahead.")


def _delegate(user: User, delegate: UUID | None) -> User | None:
    if delegate is None:
        return None
    found = next((one for one in delegates_for(user) if one.pk == delegate), None)
    if found is None:
        raise _invalid("/delegate", "Choose somebody of the team who may decide.")
    return found


def _check_circle(new: Away, now: dt.datetime) -> None:
    rows = _not_over(now).values_list("user_id", "delegate_id", "start", "end")
    known = [
        Away(str(user), str(delegate) if delegate else None, start, end)
        for user, delegate, start, end in rows
    ]
    found = absence.circle(known, new)
    if found:
        names = {str(one.pk): str(one) for one in User.objects.filter(pk__in=set(found))}
        way = " to ".join(names[one] for one in found)
        raise _invalid("/delegate", f"It would go round in a circle: {way}. Choose somebody else.")


def _invalid(place: str, message: str) -> InvalidInput:
    return InvalidInput(message, [FieldError(place, message)])


def _managed(user: User) -> list[UUID]:
    rows = Membership.objects.filter(user=user, role=Role.MANAGER)
    return list(rows.values_list("team_id", flat=True))


def _not_over(now: dt.datetime) -> QuerySet[Absence]:
    return Absence.objects.filter(Q(end=None) | Q(end__gt=now)).order_by("start")


# --- What waits for them -------------------------------------------------------------------------


def ask_stand_in(entered: Absence) -> int:
    """Put what is open and asks the person to whoever stands in now; how many requests it was.

    Each in a transaction of its own, the most urgent first. What fails is logged and left to the
    inbox and to reminders.
    """
    asked = 0
    for row_id in _open_ids(entered.user):
        try:
            asked += _put(row_id, str(entered.user_id))
        except HitlError:
            logger.warning("a stand-in was not asked", extra={"workflow": str(row_id)})
    return asked


def _open_ids(person: User) -> Sequence[UUID]:
    teams = Membership.objects.filter(user=person, role__in=accounts.DECIDING_ROLES).values("team")
    rows = Workflow.objects.filter(team__in=teams, status=Status.PENDING).order_by("expires_at")
    return list(rows.values_list("pk", flat=True)[:MOST_OPEN])


@transaction.atomic
def _put(workflow_id: UUID, person: str) -> bool:
    workflow = lock(workflow_id)
    now = database_now()
    if workflow.status != Status.PENDING or workflow.is_late(now):
        return False
    file = cases.load(workflow, now=now)
    invited = [one for one in asking.invitations(file, [person]) if str(one.user.pk) != person]
    if not invited:
        return False
    name = file.names.person(person)
    amend(
        workflow,
        EventType.STAND_IN_ASKED,
        actor=SYSTEM,
        source=Source.SYSTEM,
        data={
            "person": {"id": person, "name": name},
            "to": [str(one.user) for one in invited],
            "stage": workflow.stage,
        },
        now=now,
        wave=workflow.wave + 1,
    )
    asking.ask(file, persons=[person], notice=f"{name} is away, and you stand in.")
    return True
