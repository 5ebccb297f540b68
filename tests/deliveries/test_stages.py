"""Copies of stages that are closed, and of people who have answered, ask nobody any more."""

import pytest
from pytest_django import Settings

from deliveries import selectors, services
from deliveries.channels.base import ChannelError, Receipt
from deliveries.models import Delivery
from deliveries.services import CannotResend
from events.models import Event
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, Team, User
from tests.dashboard.browser import logged_in, page_of, text
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import adopt, group, member, stage
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
GONE = ChannelError("No such mailbox.", permanent=True)
ALARM = "Nobody could be reached"


@pytest.fixture
def cfo(team: Team) -> User:
    return member(team, "Cleo Chief")


@pytest.fixture
def finance(team: Team, cfo: User) -> list[User]:
    """Two of Finance, then the CFO."""
    people = [member(team, f"{name} Finance") for name in ("Fay", "Finn", "Fritz")]
    group(team, "Finance", *people)
    adopt(
        team,
        stage("Finance", {"group": "finance"}, 2),
        stage("CFO", {"users": [str(cfo.pk)]}),
    )
    return people


def rows(workflow: Workflow, *people: User) -> list[Delivery]:
    return list(Delivery.objects.filter(workflow=workflow, user__in=people))


def arrive(workflow: Workflow, *people: User) -> None:
    for row in rows(workflow, *people):
        services.settle_success(row, Receipt({"messageId": f"<{row.pk}@example.com>"}))


def fail(workflow: Workflow, *people: User) -> None:
    for row in rows(workflow, *people):
        services.settle_failure(row, GONE)


def is_lost(workflow: Workflow) -> bool:
    return Workflow.objects.filter(selectors.reaches_nobody(), pk=workflow.pk).exists()


def test_success_in_a_closed_stage_hides_nothing_of_the_open_one(
    agent: Agent, finance: list[User], cfo: User
) -> None:
    workflow = make_workflow(agent)
    arrive(workflow, *finance)
    decide(workflow, finance[0])
    decide(workflow, finance[1])
    assert not is_lost(workflow), "the CFO may still be reached"

    fail(workflow, cfo)

    assert is_lost(workflow)
    last = Event.objects.filter(workflow=workflow).latest("seq")
    assert last.type == "delivery.undeliverable"
    assert ALARM in text(logged_in(finance[0]).get(page_of(workflow)))
    assert ALARM in text(logged_in(cfo).get("/"))


def test_who_has_answered_is_not_who_could_be_reached(agent: Agent, finance: list[User]) -> None:
    workflow = make_workflow(agent)
    fay, finn, fritz = finance
    arrive(workflow, fay)
    fail(workflow, finn, fritz)
    assert not is_lost(workflow)
    decide(workflow, fay)
    assert is_lost(workflow)


def test_reminder_that_arrives_is_enough(agent: Agent, finance: list[User]) -> None:
    workflow = make_workflow(agent)
    fail(workflow, *finance)
    assert is_lost(workflow)
    row = rows(workflow, finance[0])[0]
    row.pk, row.kind, row.status, row.wave = None, Delivery.Kind.REMINDER, "sent", 9
    row.sent_at = row.updated_at
    row.save(force_insert=True)
    assert not is_lost(workflow)


def test_failure_of_a_closed_stage_is_no_alarm_and_is_not_sent_again(
    agent: Agent, finance: list[User], cfo: User
) -> None:
    workflow = make_workflow(agent)
    fail(workflow, finance[2])
    arrive(workflow, *finance[:2])
    decide(workflow, finance[0])
    decide(workflow, finance[1])

    assert not is_lost(workflow)
    assert selectors.failed(workflow.pk, workflow.round) == []
    [row] = rows(workflow, finance[2])
    with pytest.raises(CannotResend, match="no longer waits"):
        services.retry_now(row.pk)


@pytest.mark.parametrize("when", ["open", "voted", "closed"])
def test_mail_that_bounces_later_turns_to_the_next_channel_only_while_it_asks(
    agent: Agent, finance: list[User], settings: Settings, when: str
) -> None:
    settings.SLACK_BOT_TOKEN = settings.SLACK_SIGNING_SECRET = "x"
    link(finance[0], "slack", "T0HITL:U0FAY")
    ContactPoint.objects.filter(kind="slack").update(use=ContactPoint.Use.FALLBACK, position=9)
    workflow = make_workflow(agent)
    arrive(workflow, *finance)
    voters = {"open": [], "voted": finance[:1], "closed": finance[1:]}[when]
    for person in voters:
        decide(workflow, person)
    [mail] = [row for row in rows(workflow, finance[0]) if row.channel == "email"]

    services.record_receipt("email", f"<{mail.pk}@example.com>", delivered=False, error="bounced")

    in_slack = Delivery.objects.filter(workflow=workflow, channel="slack").exists()
    assert in_slack is (when == "open")
