"""Two of Finance, then the CFO: played from the outside, over Slack, a mailbox and HTTP.

Workers run in the test's own thread; Slack and the mail provider are stand-ins over real HTTP.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from deliveries.models import Delivery
from deliveries.tasks import sweep_deliveries
from hitl.accounts.linking import link
from hitl.accounts.models import ContactPoint, Team, User
from hitl.celery import app
from tests.standins.mail_providers import REPLY_ADDRESS, Letter, Postmark, configured
from tests.standins.slack.posts import click
from tests.standins.slack.server import slack_server
from tests.standins.slack.workspace import Posted, Workspace
from tests.workflows.answering import send
from tests.workflows.factories import REFUND, REFUND_FORM
from tests.workflows.policy_samples import DAY, HOUR, adopt, group, member, stage
from workflows.models import Workflow
from workflows.tasks import sweep_steps

pytestmark = pytest.mark.django_db(transaction=True)
ASK = {"actionType": "payments.refund", "actionData": REFUND, "uiSchema": REFUND_FORM}
SECONDS_FOR_ALL_COPIES = 10.0


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def people(team: Team) -> dict[str, User]:
    """Fay and Fritz live in Slack, Finn in his mailbox, Cleo in both."""
    found = {name: member(team, f"{name} Example") for name in ("Fay", "Finn", "Fritz", "Cleo")}
    group(team, "Finance", *(found[name] for name in ("Fay", "Finn", "Fritz")))
    adopt(
        team,
        stage("Finance", {"group": "finance"}, 2, reminders=[{"after": HOUR}]),
        stage("CFO", {"users": [str(found["Cleo"].pk)]}, when="data.amount > 100.0"),
        timeoutSeconds=DAY,
    )
    return found


@pytest.fixture
def workspace(settings: Settings, people: dict[str, User]) -> Iterator[Workspace]:
    with slack_server(settings) as server:
        for name in ("Fay", "Fritz", "Cleo"):
            server.workspace.add_person(f"U0{name.upper()}", people[name].email)
            link(people[name], "slack", f"{server.workspace.team}:U0{name.upper()}")
        only_slack = [people["Fay"], people["Fritz"]]
        ContactPoint.objects.filter(kind="email", user__in=only_slack).update(
            use=ContactPoint.Use.OFF
        )
        yield server.workspace


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Postmark]:
    settings.REPLY_ADDRESS = REPLY_ADDRESS
    server = Postmark()
    with configured(server, settings):
        yield server


@pytest.fixture
def agent_api(api_key: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {api_key}"})


def copies(workspace: Workspace, name: str) -> list[Posted]:
    place = workspace.direct(f"U0{name.upper()}")
    return [post for post in workspace.posts if post.channel == place]


def answer_by_mail(mailbox: Postmark, person: User, words: str) -> None:
    posted = send(mailbox.inbound(Letter(mailbox.to(person.email).reply_to, words, person.email)))
    assert posted.status_code == 200


def ask(agent_api: Client) -> dict[str, Any]:
    answer = agent_api.post("/api/v1/workflows", ASK, content_type="application/json")
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def test_two_of_finance_then_the_cfo(
    agent_api: Client, people: dict[str, User], workspace: Workspace, mailbox: Postmark
) -> None:
    asked = ask(agent_api)
    one = f"/api/v1/workflows/{asked['workflowId']}"
    (fay,), (fritz,) = copies(workspace, "Fay"), copies(workspace, "Fritz")
    assert "So far: 0 of 2, waiting for Finance." in fay.seen
    assert "So far: 0 of 2, waiting for Finance." in mailbox.to("finn@example.com").text
    assert copies(workspace, "Cleo") == []

    # The first vote, in Slack: the other's copy shows it and can still be pressed.
    assert send(click(workspace, fay, "hitl_approve", by="U0FAY")).status_code == 200
    assert agent_api.get(one).json()["status"] == "PENDING"
    assert "So far: 1 of 2, waiting for Finance." in fritz.seen
    assert "hitl_approve" in fritz.buttons
    assert fay.buttons == {}
    assert "You answered: approved." in fay.seen

    # The second, by mail: Finance is done, and the CFO is asked in both places.
    answer_by_mail(mailbox, people["Finn"], "Approve")
    assert agent_api.get(one).json()["status"] == "PENDING"
    assert fritz.buttons == {}
    assert "Finance has agreed. Now it is up to CFO." in fritz.seen
    (cleo,) = copies(workspace, "Cleo")
    assert "hitl_approve" in cleo.buttons
    assert mailbox.to("cleo@example.com")

    # The CFO decides; within seconds every copy tells it, and nothing can be pressed any more.
    started = time.monotonic()
    assert send(click(workspace, cleo, "hitl_approve", by="U0CLEO")).status_code == 200
    while Delivery.objects.exclude(update_due_at=None).exists():
        assert time.monotonic() - started < SECONDS_FOR_ALL_COPIES
        sweep_deliveries()
    assert time.monotonic() - started < SECONDS_FOR_ALL_COPIES
    assert agent_api.get(one).json()["status"] == "APPROVED"
    for post in workspace.posts:
        assert post.buttons == {}
        assert "Approved by Cleo Example in Slack" in post.seen
    for person in ("finn@example.com", "cleo@example.com"):
        words = "".join(mail.text for mail in mailbox.mails if mail.to == person)
        found = re.findall(r"http://testserver(/l/[^\s?]+)", words)
        page = Client().get(found[0], follow=True)
        assert page.status_code == 410
        assert "pproved by Cleo Example in Slack" in page.content.decode()


def test_late_letter_of_a_closed_stage_counts_for_nothing(
    agent_api: Client, people: dict[str, User], workspace: Workspace, mailbox: Postmark
) -> None:
    ask(agent_api)
    for name in ("Fay", "Fritz"):
        (post,) = copies(workspace, name)
        send(click(workspace, post, "hitl_approve", by=f"U0{name.upper()}"))
    before = len(mailbox.mails)

    answer_by_mail(mailbox, people["Finn"], "Reject, too expensive")

    assert Workflow.objects.get().status == "PENDING"
    told = _next_mail(mailbox, before)
    assert "CFO" in told.text
    assert told.to == "finn@example.com"


def test_reminder_reaches_everybody_who_has_not_answered(
    agent_api: Client, people: dict[str, User], workspace: Workspace, mailbox: Postmark
) -> None:
    ask(agent_api)
    (fay,) = copies(workspace, "Fay")
    send(click(workspace, fay, "hitl_approve", by="U0FAY"))
    _an_hour_passes()

    sweep_steps()

    asked, reminder = copies(workspace, "Fritz")
    assert asked.buttons
    assert reminder.buttons
    assert "A reminder" in reminder.seen
    assert "So far: 1 of 2, waiting for Finance." in reminder.seen
    assert reminder.text.startswith("Reminder: approve by")
    assert len(copies(workspace, "Fay")) == 1
    first, second = (mail for mail in mailbox.mails if mail.to == "finn@example.com")
    assert second.subject.startswith("Reminder: approve by")
    assert second.headers["references"] == first.headers["references"]

    # An answer to either of them counts, and closes both.
    send(click(workspace, reminder, "hitl_approve", by="U0FRITZ"))
    assert Workflow.objects.get().stage == 1
    assert (asked.buttons, reminder.buttons) == ({}, {})


def _an_hour_passes() -> None:
    row = Workflow.objects.get()
    for name in ("created_at", "stage_opened_at", "next_step_at"):
        moment = getattr(row, name)
        if moment:
            setattr(row, name, moment - (row.expires_at - row.created_at) / 20)
    row.save(update_fields=["created_at", "stage_opened_at", "next_step_at"])


def _next_mail(mailbox: Postmark, before: int) -> Any:
    deadline = time.monotonic() + 5
    while len(mailbox.mails) <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    return mailbox.mails[before]
