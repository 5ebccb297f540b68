"""Channels over which nothing gets out, and the banner that tells those who can do something."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from deliveries import silence
from deliveries.models import Delivery
from hitl.accounts.models import Agent, User
from hitl.operate import pulses, watch
from hitl.operate.models import Pulse
from tests.dashboard.browser import logged_in, text
from tests.workflows.factories import make_overdue, make_workflow

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery(settings: Settings, agent: Agent, approver: User) -> Delivery:
    """One message by mail that waits to be sent since a minute ago."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    make_workflow(agent, approvers=[approver.email])
    delivery = Delivery.objects.get()
    change(delivery, next_retry_at=timezone.now() - dt.timedelta(minutes=1))
    return delivery


def change(delivery: Delivery, **values: Any) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(**values)


def ago(seconds: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(seconds=seconds)


def silent() -> list[str]:
    return list(silence.silent(timezone.now()))


def test_a_channel_that_sends_nothing_of_what_is_due_is_silent(delivery: Delivery) -> None:
    assert silent() == ["email"]
    assert 55 < silence.silent(timezone.now())["email"] < 120


def test_what_is_just_due_or_due_later_says_nothing(delivery: Delivery) -> None:
    change(delivery, next_retry_at=ago(20))
    assert silent() == []
    change(delivery, next_retry_at=ago(-600))
    assert silent() == []


def test_messages_that_are_tried_in_vain_make_it_silent_whenever_the_next_try_is(
    delivery: Delivery,
) -> None:
    change(delivery, attempts=1, next_retry_at=ago(-600), created_at=ago(20))
    assert silent() == []
    change(delivery, created_at=ago(50))
    assert silent() == ["email"]


def test_a_message_that_got_out_since_then_ends_the_silence(
    delivery: Delivery, agent: Agent, approver: User
) -> None:
    make_workflow(agent, approvers=[approver.email])
    other = Delivery.objects.exclude(pk=delivery.pk).get()
    change(other, status="sent", sent_at=ago(90))
    assert silent() == ["email"]  # that was before
    change(other, sent_at=ago(30))
    assert silent() == []
    change(other, channel="slack")
    assert silent() == ["email"]


def test_what_is_settled_says_nothing(delivery: Delivery) -> None:
    change(delivery, status="failed", next_retry_at=None)
    assert silent() == []


# --- The banner -----------------------------------------------------------------------------------


def pulse(name: str, age: float) -> None:
    """That part, or all of them, were last alive so many seconds ago."""
    for each in pulses.expected() if name == "all" else [name]:
        Pulse.objects.update_or_create(name=each, defaults={"at": ago(age)})
    watch.forget()


def banner(user: User, path: str = "/") -> str:
    found = text(logged_in(user).get(path))
    return found if "Something is not running" in found else ""


def test_a_manager_reads_which_part_is_silent(manager: User) -> None:
    pulse("all", 5)
    assert banner(manager) == ""
    pulse("worker actions", 90)
    assert f"No worker has taken up actions since {ago(90):%H:%M} UTC." in banner(manager)
    pulse("beat", 90)
    assert "Beat has been silent since" in banner(manager)


def test_approvers_are_not_troubled_and_staff_are(approver: User) -> None:
    pulse("beat", 90)
    assert banner(approver) == ""
    assert logged_in(approver).get("/fragments/watch/").status_code == 404
    User.objects.filter(pk=approver.pk).update(is_staff=True)
    assert "Beat has been silent" in banner(approver)


def test_the_open_page_asks_for_the_banner_alone(manager: User) -> None:
    pulse("beat", 90)
    client = logged_in(manager)
    assert 'data-watch="/fragments/watch/"' in client.get("/history/").content.decode()
    assert "Beat has been silent" in banner(manager, "/fragments/watch/")
    pulse("beat", 1)
    assert banner(manager, "/fragments/watch/") == ""
    assert Client().get("/fragments/watch/").status_code == 302


def test_what_is_late_is_told_although_nobody_ever_was_there(manager: User, agent: Agent) -> None:
    assert watch.look(timezone.now()) == []
    make_overdue(agent)
    watch.forget()
    assert "Requests past their deadline: the oldest was due at" in banner(manager)


def test_a_silent_channel_is_called_by_its_name(manager: User, delivery: Delivery) -> None:
    pulse("all", 1)
    assert "Nothing gets out over" in banner(manager)


def test_it_is_worked_out_once_in_a_while(manager: User, django_assert_num_queries: Any) -> None:
    watch.alarms()
    with django_assert_num_queries(0):
        watch.alarms()
