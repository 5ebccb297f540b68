"""Copies that are out tell how far it is, with their buttons, and never after the outcome."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

from deliveries import services, updates
from deliveries.models import Delivery
from deliveries.tasks import sweep_deliveries
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, Team, User
from hitl.celery import app
from hitl.lib.db import database_now
from tests.racing import count, race
from tests.standins.server import Call, Said
from tests.standins.slack.server import SlackServer, slack_server
from tests.standins.slack.workspace import Posted, Workspace
from tests.standins.telegram import ANN, SECRET, TOKEN, Telegram, buttons
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import adopt, group, member, stage
from workflows.deciding import withdraw
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 40
NAMES = ("Fay", "Finn", "Fritz")
ONE_OF_TWO = "So far: 1 of 2, waiting for Finance."


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def finance(team: Team) -> list[User]:
    """Two of Finance decide; nobody else is asked."""
    people = [member(team, f"{name} Finance") for name in NAMES]
    group(team, "Finance", *people)
    adopt(team, stage("Finance", {"group": "finance"}, 2))
    return people


@pytest.fixture
def server(settings: Settings, finance: list[User]) -> Iterator[SlackServer]:
    """All of Finance are in Slack and are reached by nothing else."""
    with slack_server(settings) as server:
        for person in finance:
            server.workspace.add_person(slack_name(person), person.email)
            link(person, "slack", f"{server.workspace.team}:{slack_name(person)}")
        ContactPoint.objects.filter(kind="email").update(use=ContactPoint.Use.OFF)
        yield server


@pytest.fixture
def workspace(server: SlackServer) -> Workspace:
    return server.workspace


def slack_name(person: User) -> str:
    return f"U0{person.name.split()[0].upper()}"


def copies(workspace: Workspace, person: User) -> list[Posted]:
    """What stands in the person's conversation with us, oldest first."""
    return [
        post for post in workspace.posts if post.channel == workspace.direct(slack_name(person))
    ]


def copy(workspace: Workspace, person: User) -> Posted:
    return copies(workspace, person)[-1]


def row_of(person: User) -> Delivery:
    return Delivery.objects.filter(user=person).latest("pk")


# --- It tells -------------------------------------------------------------------------------------


def test_vote_shows_in_everybody_elses_copy_whose_buttons_stay(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    workflow = make_workflow(agent)
    fay, finn, fritz = finance
    before = copy(workspace, finn).buttons
    assert "0 of 2, waiting for Finance." in copy(workspace, finn).seen

    decide(workflow, fay)

    for person in (finn, fritz):
        assert ONE_OF_TWO in copy(workspace, person).seen
        assert {k: v.get("value") for k, v in copy(workspace, person).buttons.items()} == {
            "hitl_approve": str(row_of(person).pk),
            "hitl_reject": str(row_of(person).pk),
            "hitl_edit": str(row_of(person).pk),
            "hitl_open": None,
        }
    assert set(copy(workspace, finn).buttons) == set(before)
    assert copy(workspace, fay).buttons == {}
    assert "You answered: approved." in copy(workspace, fay).seen
    assert not Delivery.objects.exclude(update_due_at=None).exists()


def test_taken_back_vote_shows_as_well(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    workflow = make_workflow(agent)
    fay, finn, _ = finance
    decide(workflow, fay)

    withdraw(workflow.pk, user=fay, source="dashboard")

    assert "So far: 0 of 2" in copy(workspace, finn).seen
    assert copy(workspace, finn).buttons
    closed, anew = copies(workspace, fay)
    assert closed.buttons == {}
    assert "You have taken your answer back." in anew.seen
    assert "So far: 0 of 2" in anew.seen
    assert anew.buttons


def test_verdict_leaves_no_button_and_no_progress(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    decide(workflow, finance[1])
    for person in finance:
        assert copy(workspace, person).buttons == {}
        assert "Approved by Finn Finance" in copy(workspace, person).seen
        assert "So far" not in copy(workspace, person).seen


def test_copies_in_telegram_keep_their_buttons_and_their_way_to_the_page(
    agent: Agent, finance: list[User], settings: Settings
) -> None:
    with Telegram().running() as telegram:
        settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
        settings.TELEGRAM_API_URL = telegram.url
        settings.PUBLIC_URL = "https://approvals.example.com"
        link(finance[1], "telegram", str(ANN))
        workflow = make_workflow(agent)
        [before] = [buttons(each) for each in telegram.messages()]

        decide(workflow, finance[0])

        [message] = telegram.messages()
        assert ONE_OF_TWO in message["text"]
        texts = [each["text"] for each in buttons(message)]
        assert texts == [each["text"] for each in before]
        assert [each.get("callback_data") for each in buttons(message)] == [
            each.get("callback_data") for each in before
        ]
        assert any("/l/" in each.get("url", "") for each in buttons(message))


# --- What has not gone out ------------------------------------------------------------------------


def test_what_waits_for_its_turn_says_it_from_the_start(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    app.conf.task_always_eager = False
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    row = row_of(finance[1])
    assert row.message["progress"] == "1 of 2, waiting for Finance."
    assert (row.status, row.update_due_at) == ("pending", None)

    services.send(row.pk)

    assert ONE_OF_TWO in copy(workspace, finance[1]).seen


def test_what_is_on_its_way_is_drawn_again_once_it_is_out(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    app.conf.task_always_eager = False
    workflow = make_workflow(agent)
    row = services.claim(row_of(finance[1]).pk)
    assert row is not None
    decide(workflow, finance[0])
    updates.update(row.pk)  # too early: nobody knows whether it is out
    assert Delivery.objects.get(pk=row.pk).update_due_at is not None

    services.settle_success(row, services._hand_over(row))
    assert "0 of 2" in copy(workspace, finance[1]).seen
    run_updates()

    assert ONE_OF_TWO in copy(workspace, finance[1]).seen
    assert copy(workspace, finance[1]).buttons
    assert Delivery.objects.get(pk=row.pk).update_due_at is None


def test_a_sent_mail_keeps_what_it_said(agent: Agent, finance: list[User]) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    row = row_of(finance[1])
    assert row.message["progress"] == "0 of 2, waiting for Finance."
    assert row.update_due_at is None


def test_nothing_new_is_told_twice(agent: Agent, finance: list[User], workspace: Workspace) -> None:
    workflow = make_workflow(agent)
    decide(workflow, finance[0])
    calls = len(workspace.calls("chat.update"))
    with transaction.atomic():
        told = services.refresh_progress(
            workflow.pk, progress="1 of 2, waiting for Finance.", now=database_now()
        )
    assert (told, len(workspace.calls("chat.update"))) == (0, calls)


def test_a_single_answer_has_no_progress(agent: Agent, approver: User) -> None:
    make_workflow(agent)
    assert row_of(approver).message["progress"] == ""


# --- Outcome against progress ---------------------------------------------------------------------


def run_updates() -> None:
    """As the sweep does, whatever the time."""
    due = Delivery.objects.exclude(update_due_at=None)
    due.update(update_due_at=database_now())
    for row_id in due.values_list("pk", flat=True):
        updates.update(row_id)


@pytest.mark.postgres
def test_progress_that_arrives_after_the_outcome_is_overdrawn(
    agent: Agent,
    finance: list[User],
    workspace: Workspace,
    server: SlackServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker draws the progress; while Slack has its call in hand, somebody decides, and the
    outcome is drawn first."""
    workflow = make_workflow(agent)
    app.conf.task_always_eager = False
    decide(workflow, finance[0])
    row = row_of(finance[2])
    slacks_own = server.handle
    overtaken: list[Call] = []

    def slow(call: Call) -> Said:
        if call.path.endswith("chat.update") and not overtaken:
            overtaken.append(call)
            [done] = race(partial(decide, workflow, finance[1]))
            assert not isinstance(done, Exception), done
            race(partial(updates.update, row.pk))
            assert copy(workspace, finance[2]).buttons == {}
        return slacks_own(call)

    monkeypatch.setattr(server, "handle", slow)
    updates.update(row.pk)
    assert overtaken
    assert copy(workspace, finance[2]).buttons, "the late call has brought them back"
    assert Delivery.objects.get(pk=row.pk).update_due_at is not None

    sweep_now()

    assert copy(workspace, finance[2]).buttons == {}
    assert "Approved by Finn Finance" in copy(workspace, finance[2]).seen
    assert Delivery.objects.get(pk=row.pk).update_due_at is None


def sweep_now() -> None:
    app.conf.task_always_eager = True
    sweep_deliveries()


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_first_vote_against_the_second_leaves_no_button_anywhere(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    """Two votes at once: progress and outcome are written, claimed and drawn in any order."""
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        app.conf.task_always_eager = False
        rows = [row.pk for row in Delivery.objects.filter(workflow=workflow)]
        decide(workflow, finance[0])
        outcomes = race(
            *(partial(updates.update, row) for row in rows), partial(decide, workflow, finance[1])
        )
        assert count(outcomes, Exception) == 0, outcomes
        race(*(partial(updates.update, row) for row in rows for _ in range(2)))
        run_updates()
        app.conf.task_always_eager = True
        assert Workflow.objects.get(pk=workflow.pk).status == "APPROVED"
        for person in finance:
            assert copy(workspace, person).buttons == {}
            assert "Approved by Finn Finance" in copy(workspace, person).seen


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_votes_against_workers_that_send_and_draw_make_no_circle(
    agent: Agent, finance: list[User], workspace: Workspace
) -> None:
    for _ in range(ROUNDS):
        app.conf.task_always_eager = False
        workflow = make_workflow(agent)
        rows = [row.pk for row in Delivery.objects.filter(workflow=workflow)]
        outcomes: list[Any] = race(
            *(partial(services.send, row) for row in rows), partial(decide, workflow, finance[0])
        )
        assert count(outcomes, Exception) == 0, outcomes
        run_updates()
        for person in finance[1:]:
            assert ONE_OF_TWO in copy(workspace, person).seen
            assert copy(workspace, person).buttons
