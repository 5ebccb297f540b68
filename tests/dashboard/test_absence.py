"""The pages "Away" and "My hours": what they take, what they refuse, and what they show."""

import datetime as dt
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hitl.accounts.models import Absence, Agent, User
from tests.dashboard.browser import logged_in, text
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db
AWAY, HOURS = "/me/absence/", "/me/hours/"


def enter(user: User, **fields: str) -> tuple[int, str]:
    response = logged_in(user).post(AWAY, fields, follow=True)
    return response.status_code, text(response)


def local(days: int) -> str:
    """As a field for date and time has it, in UTC."""
    return (timezone.now() + dt.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


def test_going_away_and_coming_back(agent: Agent, approver: User, colleague: User) -> None:
    make_workflow(agent)
    status, page = enter(approver, delegate=str(colleague.pk), reason="<b>Skiing</b>")
    assert status == 200
    assert "You are entered as away. Carl Colleague stands in." in page
    assert "&lt;b&gt;Skiing" in page
    row = Absence.objects.get()
    assert (row.user, row.end, row.created_by) == (approver, None, approver)
    assert "Ann Approver," in text(logged_in(colleague).get(AWAY))
    assert "I am back" in page
    page = text(logged_in(approver).post(reverse("absence-end", args=[row.pk]), follow=True))
    assert "You are here" in page


def test_times_are_those_of_the_persons_zone(approver: User) -> None:
    approver.calendar = {"zone": "Asia/Tokyo"}
    approver.save()
    enter(approver, start="2027-03-01T09:00", end="2027-03-02T09:00")
    assert Absence.objects.get().start == dt.datetime(2027, 3, 1, 0, 0, tzinfo=dt.UTC)
    assert "Asia/Tokyo" in text(logged_in(approver).get(AWAY))


def test_planned_ones_can_be_removed(approver: User) -> None:
    enter(approver, start=local(3), end=local(9))
    row = Absence.objects.get()
    client = logged_in(approver)
    assert "Remove" in text(client.get(AWAY))
    client.post(reverse("absence-end", args=[row.pk]))
    assert not Absence.objects.exists()


def test_what_was_typed_comes_back_with_what_is_wrong(approver: User, colleague: User) -> None:
    enter(colleague, delegate=str(approver.pk), start=local(1), end=local(9))
    status, page = enter(
        approver, delegate=str(colleague.pk), start=local(2), end=local(3), reason="Skiing"
    )
    assert status == 400
    assert "Ann Approver to Carl Colleague to Ann Approver" in page
    assert 'value="Skiing"' in page
    assert f'value="{colleague.pk}" selected' in page


@pytest.mark.parametrize(
    "fields",
    [{"start": "soon"}, {"start": "2020-01-01T00:00"}, {"delegate": "nobody"},
     {"delegate": str(uuid4())}, {"person": str(uuid4())}, {"reason": "x" * 201},
     {"start": "9999-12-31T23:59"}],
)  # fmt: skip
def test_what_cannot_be_entered(approver: User, fields: dict[str, str]) -> None:
    assert enter(approver, **fields)[0] == 400
    assert not Absence.objects.exists()


def test_managers_enter_it_for_members(approver: User, colleague: User, manager: User) -> None:
    assert "Who is away" in text(logged_in(manager).get(AWAY))
    assert "Who is away" not in text(logged_in(colleague).get(AWAY))
    _, page = enter(manager, person=str(approver.pk), delegate=str(colleague.pk))
    assert "Ann Approver is entered as away" in page
    row = Absence.objects.get()
    assert (row.user, row.created_by) == (approver, manager)
    assert enter(colleague, person=str(approver.pk))[0] == 400
    refused = logged_in(colleague).post(reverse("absence-end", args=[row.pk]), follow=True)
    assert "Only the person or a manager" in text(refused)
    assert "Taken off" in text(
        logged_in(manager).post(reverse("absence-end", args=[row.pk]), follow=True)
    )


def test_nobody_gets_in_without_a_login(approver: User) -> None:
    for path in (AWAY, HOURS, reverse("absence-end", args=[uuid4()])):
        assert Client().post(path).status_code == 302
    assert "no such absence" in text(
        logged_in(approver).post(reverse("absence-end", args=[uuid4()]), follow=True)
    )


# --- Hours ---------------------------------------------------------------------------------------


def save(user: User, **fields: object) -> tuple[int, str]:
    response = logged_in(user).post(HOURS, fields, follow=True)
    user.refresh_from_db()
    return response.status_code, text(response)


def test_quiet_and_working_hours(approver: User) -> None:
    status, page = save(
        approver, zone="Europe/Berlin", quiet_from="22:00", quiet_to="07:00",
        days=["monday", "friday"], work_from="09:00", work_to="17:00",
    )  # fmt: skip
    assert status == 200
    assert approver.calendar == {
        "zone": "Europe/Berlin",
        "quiet": [["22:00", "07:00"]],
        "work": {"monday": [["09:00", "17:00"]], "friday": [["09:00", "17:00"]]},
    }
    assert 'value="22:00"' in page
    assert page.count("checked") == 2 + page.count('id="shortcuts-on" checked')
    save(approver, clear="yes")
    assert approver.calendar is None


def test_the_end_of_the_day_and_what_the_form_does_not_show(approver: User) -> None:
    approver.calendar = {"zone": "UTC", "holidays": ["2026-12-25"]}
    approver.save()
    save(approver, zone="UTC", days=["monday"], work_from="09:00", work_to="00:00")
    assert approver.calendar["work"] == {"monday": [["09:00", "24:00"]]}
    assert approver.calendar["holidays"] == ["2026-12-25"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"zone": "Mars/Olympus"}, "Write a time zone"),
        ({"zone": ""}, "Write a time zone"),
        ({"zone": "UTC", "quiet_from": "22:00"}, "Write two times"),
        ({"zone": "UTC", "quiet_from": "22:00", "quiet_to": "22:00"}, "have to differ"),
        ({"zone": "UTC", "days": ["monday"], "work_from": "17:00", "work_to": "09:00"}, "end on"),
        ({"zone": "UTC", "days": ["monday"], "work_from": "25:00", "work_to": "9"}, "two times"),
    ],
)
def test_hours_that_make_no_sense(approver: User, fields: dict[str, object], words: str) -> None:
    status, page = save(approver, **fields)
    assert status == 400
    assert words in page
    assert approver.calendar is None
