"""A request that reaches nobody is refused at first; later it is an alarm with a way out."""

import datetime as dt
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from pytest_django import Settings

from deliveries import services as deliveries
from deliveries import tasks
from deliveries.channels.base import ChannelError, Receipt
from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, User
from hitl.lib.errors import InvalidInput
from tests.dashboard.browser import logged_in, page_of, text
from tests.workflows.api.callers import WORKFLOWS, as_agent
from tests.workflows.factories import ask_again, decide, make_workflow
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

ALARM = "Nobody could be reached"
NOWHERE = "django.core.mail.backends.dummy.EmailBackend"


@pytest.fixture
def slack_only(settings: Settings) -> None:
    settings.EMAIL_BACKEND = NOWHERE
    settings.SLACK_BOT_TOKEN = settings.SLACK_SIGNING_SECRET = "x"


def lose(workflow: Workflow) -> None:
    """Every message about it fails for good."""
    for delivery in Delivery.objects.filter(workflow=workflow):
        error = ChannelError(f"No mailbox <{delivery.recipient}>.", permanent=True)
        deliveries.settle_failure(delivery, error)


@pytest.fixture
def lost(agent: Agent, colleague: User) -> Workflow:
    workflow = make_workflow(agent)
    lose(workflow)
    return workflow


# --- At creation ----------------------------------------------------------------------------------


def test_request_that_would_reach_nobody_is_refused(agent: Agent, slack_only: None) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_workflow(agent)

    [error] = caught.value.errors
    assert (error.pointer, error.code) == ("/approvers", "unreachable")
    assert "How to reach me" in error.message
    assert not Workflow.objects.exists()


def test_refusal_points_at_what_was_sent(agent: Agent, slack_only: None) -> None:
    body = {"actionType": "a.b", "actionData": {}, "approverEmail": "ann@example.com"}
    answer = as_agent(agent).post(WORKFLOWS, body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/approverEmail"


def test_one_who_can_be_reached_is_enough(
    agent: Agent, approver: User, colleague: User, slack_only: None
) -> None:
    link(colleague, "slack", "T0HITL:U0CARL")
    assert Delivery.objects.get(workflow=make_workflow(agent)).user == colleague


def test_server_without_any_channel_has_the_dashboard(agent: Agent, settings: Settings) -> None:
    settings.EMAIL_BACKEND = NOWHERE
    assert not Delivery.objects.filter(workflow=make_workflow(agent)).exists()


# --- Later ----------------------------------------------------------------------------------------


def test_page_and_inbox_raise_the_alarm(lost: Workflow, approver: User) -> None:
    browser = logged_in(approver)
    page = text(browser.get(page_of(lost)))
    assert "No mailbox &lt;carl@example.com&gt;." in page
    for path in (page_of(lost), page_of(lost, "workflow-parts"), "/"):
        assert ALARM in text(browser.get(path))


@pytest.mark.parametrize("still", ["pending", "sent", "delivered"])
def test_no_alarm_while_somebody_may_be_reached(lost: Workflow, approver: User, still: str) -> None:
    row = Delivery.objects.filter(workflow=lost)[0]
    moment = lost.created_at
    Delivery.objects.filter(pk=row.pk).update(status=still, sent_at=moment, next_retry_at=moment)
    browser = logged_in(approver)
    assert 'class="notice notice-danger alarm"' not in text(browser.get(page_of(lost)))
    assert ALARM not in text(browser.get("/"))


@pytest.mark.parametrize("minutes", [3, 4])
def test_what_is_tried_for_minutes_in_vain_is_an_alarm_too(
    agent: Agent, colleague: User, approver: User, minutes: int
) -> None:
    """Attempts go on for an hour; nobody should have to wait so long to hear of it."""
    workflow = make_workflow(agent)
    for waiting in Delivery.objects.filter(workflow=workflow):
        row = deliveries.claim(waiting.pk)
        assert row is not None
        deliveries.settle_failure(row, ChannelError(f"{row.recipient} is busy."))
    past = dt.timedelta(minutes=minutes, seconds=1)
    Delivery.objects.update(created_at=F("created_at") - past)

    tasks.sweep_unreached()
    tasks.sweep_unreached()

    told = Event.objects.filter(workflow=workflow, type="delivery.undeliverable")
    browser = logged_in(approver)
    is_late = minutes == 4
    assert [event.data["retrying"] for event in told] == [True] * is_late
    for path in (page_of(workflow), "/"):
        assert (ALARM in text(browser.get(path))) is is_late
    assert "carl@example.com is busy." in text(browser.get(page_of(workflow)))
    assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}


def test_nobody_is_alarmed_about_the_second_of_two_who_are_asked(
    agent: Agent, colleague: User, approver: User
) -> None:
    workflow = make_workflow(agent)
    Delivery.objects.update(created_at=F("created_at") - dt.timedelta(minutes=9))
    deliveries.settle_success(Delivery.objects.all()[0], Receipt({"messageId": "1"}))

    tasks.sweep_unreached()

    assert not Event.objects.filter(workflow=workflow, type="delivery.undeliverable").exists()
    assert ALARM not in text(logged_in(approver).get("/"))


def test_no_alarm_about_what_is_decided(agent: Agent, colleague: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    Delivery.objects.update(created_at=F("created_at") - dt.timedelta(minutes=9))
    Delivery.objects.filter(workflow=workflow).update(
        status="pending", outcome="", next_retry_at=workflow.created_at
    )
    tasks.sweep_unreached()
    assert not Event.objects.filter(type="delivery.undeliverable").exists()


def test_no_alarm_about_an_earlier_round(lost: Workflow, approver: User, colleague: User) -> None:
    ask_again(lost, colleague)
    assert ALARM not in text(logged_in(approver).get("/"))


def test_send_again_tries_everybody(lost: Workflow, approver: User) -> None:
    answer = logged_in(approver).post(page_of(lost, "send-all-again"), follow=True)

    assert "The messages go out again" in text(answer)
    assert 'class="notice notice-danger alarm"' not in text(answer)
    statuses = Delivery.objects.filter(workflow=lost).values_list("status", flat=True)
    assert set(statuses) == {"pending"}


def test_viewers_see_the_alarm_and_send_nothing(lost: Workflow, viewer: User) -> None:
    browser = logged_in(viewer)
    page = text(browser.get(page_of(lost)))
    assert ALARM in page
    assert "send-all-again" not in page
    assert browser.post(page_of(lost, "send-all-again")).status_code == 403
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}


def test_strangers_and_readers_send_nothing(lost: Workflow, stranger: User, client: Client) -> None:
    path = page_of(lost, "send-all-again")
    assert logged_in(stranger).post(path).status_code == 404
    assert client.post(path).status_code == 302
    assert logged_in(stranger).get(path).status_code == 405


def test_sending_again_wakes_a_worker(
    lost: Workflow, approver: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        logged_in(approver).post(page_of(lost, "send-all-again"))
    assert len(callbacks) == Delivery.objects.filter(workflow=lost).count()


def test_guests_stand_among_those_who_are_asked(agent: Agent, approver: User) -> None:
    agent.team.allow_guests = True
    agent.team.save()
    workflow = make_workflow(agent, approvers=["ann@example.com", "gia@partner.example"])
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "gia@partner.example" in page
    assert "(guest)" in page
