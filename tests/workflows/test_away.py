"""Absences as people enter them: what is refused, who is asked at once, and coming back."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from dashboard import selectors
from deliveries.models import Delivery
from hitl.accounts.models import Absence, Agent, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib.errors import Forbidden, InvalidInput, NotFound
from tests.accounts.factories import TeamFactory
from tests.workflows.factories import decide, make_overdue, make_workflow
from tests.workflows.policy_samples import member, stage
from tests.workflows.test_deciding import adopt, asked
from workflows import away
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def leave(user: User, delegate: User | None = None, **more: Any) -> Absence:
    """Away from now on, or as `more` has it."""
    values: dict[str, Any] = {"by": user, "start": None, "end": None, "reason": ""}
    return away.add(user, delegate=delegate.pk if delegate else None, **(values | more))


def in_days(days: float) -> dt.datetime:
    return timezone.now() + dt.timedelta(days=days)


def faults(caught: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [error.pointer for error in caught.value.errors]


@pytest.fixture
def anns(team: Team, agent: Agent, approver: User, colleague: User) -> Workflow:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    return make_workflow(agent)


def test_what_is_open_is_put_to_the_stand_in_at_once(
    anns: Workflow, approver: User, colleague: User
) -> None:
    leave(approver, colleague, reason="Skiing")
    anns.refresh_from_db()
    assert asked(anns, wave=anns.wave) == {"Carl Colleague"}
    message = Delivery.objects.get(user=colleague).to_message()
    assert message.notice == "Ann Approver is away, and you stand in."
    assert message.on_behalf == "Ann Approver"
    assert list(selectors.asking(selectors.circle(colleague))) == [anns]
    assert decide(anns, colleague).decision.behalf == approver


def test_only_what_asks_the_person_and_is_still_open(
    team: Team, agent: Agent, approver: User, colleague: User, anns: Workflow
) -> None:
    decide(anns, approver)
    late = make_overdue(agent)
    dora = member(team, "Dora Deputy")
    others = make_workflow(agent, policy="")
    decide(others, approver)
    Delivery.objects.all().delete()
    leave(approver, dora)
    assert not Delivery.objects.exists()
    assert Workflow.objects.get(pk=late.pk).wave == late.wave


def test_without_a_stand_in_or_before_it_begins_nobody_is_written_to(
    anns: Workflow, approver: User, colleague: User
) -> None:
    before = Delivery.objects.count()
    leave(approver)
    leave(approver, colleague, start=in_days(1), end=in_days(8))
    assert Delivery.objects.count() == before


def test_the_chain_ends_with_who_is_there(
    team: Team, anns: Workflow, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    leave(colleague, dora)
    leave(approver, colleague)
    anns.refresh_from_db()
    assert asked(anns, wave=anns.wave) == {"Dora Deputy"}


def test_circles_are_refused_by_name(team: Team, approver: User, colleague: User) -> None:
    dora = member(team, "Dora Deputy")
    leave(approver, colleague, start=in_days(1), end=in_days(5))
    leave(colleague, dora, start=in_days(2), end=in_days(3))
    with pytest.raises(InvalidInput, match="Dora Deputy to Ann Approver to Carl") as no:
        leave(dora, approver, start=in_days(2), end=in_days(9))
    assert faults(no) == ["/delegate"]
    leave(dora, approver, start=in_days(6), end=in_days(9))  # they do not meet


@pytest.mark.parametrize("who", ["viewer", "stranger", "self"])
def test_who_cannot_stand_in(approver: User, viewer: User, stranger: User, who: str) -> None:
    person = {"viewer": viewer, "stranger": stranger, "self": approver}[who]
    with pytest.raises(InvalidInput) as no:
        leave(approver, person)
    assert faults(no) == ["/delegate"]


@pytest.mark.parametrize(
    ("start", "end", "place"),
    [(-1, None, "/start"), (2, 1, "/end"), (1, 1, "/end"), (5000, None, "/end"), (1, 5000, "/end")],
)
def test_times_that_make_no_sense(
    approver: User, start: float, end: float | None, place: str
) -> None:
    begins = in_days(start)
    until = None if end is None else begins + (end - start) * DAY
    with pytest.raises(InvalidInput) as no:
        leave(approver, start=begins, end=until)
    assert faults(no) == [place]


def test_a_reason_that_cannot_be_kept(approver: User) -> None:
    for reason in ("x" * 201, "a\0b"):
        with pytest.raises(InvalidInput):
            leave(approver, reason=reason)


def test_a_manager_enters_one_for_a_member_only(
    approver: User, colleague: User, manager: User, stranger: User
) -> None:
    entered = leave(approver, colleague, by=manager)
    assert (entered.user, entered.created_by) == (approver, manager)
    for other in (colleague, stranger):
        with pytest.raises(Forbidden):
            leave(approver, colleague, by=other)
    assert list(away.managed_by(manager)) == [entered]
    assert list(away.managed_by(colleague)) == []
    assert approver in away.people_of(manager)
    assert away.people_of(stranger) == []
    assert list(away.stood_in_for(colleague)) == [entered]


def test_coming_back_ends_it_now(anns: Workflow, approver: User, colleague: User) -> None:
    entered = leave(approver, colleague)
    away.end(entered.pk, by=approver)
    entered.refresh_from_db()
    assert entered.end is not None
    assert list(away.of(approver)) == []
    assert decide(anns, approver).decision.behalf is None


def test_a_planned_one_is_taken_off_the_list(approver: User, colleague: User) -> None:
    entered = leave(approver, colleague, start=in_days(3))
    with pytest.raises(Forbidden):
        away.end(entered.pk, by=colleague)
    away.end(entered.pk, by=approver)
    assert not Absence.objects.exists()
    with pytest.raises(NotFound):
        away.end(entered.pk, by=approver)


def test_stand_ins_come_from_any_common_team(approver: User, stranger: User) -> None:
    add_member(TeamFactory(name="Both"), approver, Role.VIEWER)
    assert stranger not in away.delegates_for(approver)
    shared = TeamFactory(name="Shared")
    add_member(shared, approver, Role.APPROVER)
    add_member(shared, stranger, Role.APPROVER)
    assert stranger in away.delegates_for(approver)
