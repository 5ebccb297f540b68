"""The banner everybody sees after a restore, and the page on which people say what happened."""

from typing import Any

import pytest
from django.urls import reverse

from events.models import Confirmation, Restore
from events.restores import gate, noticing
from hitl.accounts.models import Agent, User
from tests.dashboard.browser import logged_in, page_of, text
from tests.workflows.factories import decide, make_workflow
from workflows.models import Status, Workflow

pytestmark = pytest.mark.django_db
BANNER = "This server was restored from a backup"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", "correct horse battery")


@pytest.fixture
def waiting(agent: Agent, approver: User) -> Workflow:
    """An approved request, when the database was restored."""
    workflow = make_workflow(agent)
    decide(workflow, approver)
    noticing.begin("The disk died.")
    return workflow


def send(user: User, *rows: Workflow, **values: Any) -> Any:
    sent = {"item": [str(row.pk) for row in rows], "reason": "The bank says so."} | values
    return logged_in(user).post(reverse("reconcile"), sent, follow=True)


def status(workflow: Workflow) -> str:
    return Workflow.objects.get(pk=workflow.pk).status


def test_everybody_sees_the_banner_while_it_lasts(waiting: Workflow, approver: User) -> None:
    for path in (reverse("inbox"), page_of(waiting), reverse("history")):
        assert BANNER in text(logged_in(approver).get(path))
    Restore.objects.update(is_open=False, ended_at=Restore.objects.get().created_at)
    assert BANNER not in text(logged_in(approver).get(reverse("inbox")))


def test_the_page_is_for_managers_and_administrators(
    waiting: Workflow, approver: User, manager: User, stranger: User, root: User
) -> None:
    assert logged_in(approver).get(reverse("reconcile")).status_code == 403
    for user in (manager, root):
        assert waiting.name in text(logged_in(user).get(reverse("reconcile")))
    assert waiting.name not in text(logged_in(stranger).get(reverse("reconcile")))
    assert send(stranger, waiting, do="executed").status_code == 403
    assert reverse("reconcile") not in text(logged_in(approver).get(reverse("inbox")))
    assert status(waiting) == Status.APPROVED


def test_what_was_executed_is_completed_and_everything_goes_on(
    waiting: Workflow, manager: User, root: User
) -> None:
    assert "Confirmed: 1 of 1." in text(send(manager, waiting, do="executed"))
    assert status(waiting) == Status.COMPLETED
    assert send(manager, do="end").status_code == 403
    assert "Everything goes on." in text(send(root, do="end"))
    assert gate.current() is None
    assert "No restored backup" in text(logged_in(root).get(reverse("reconcile")))


def test_nobody_ends_it_while_requests_wait(waiting: Workflow, root: User) -> None:
    answer = send(root, do="end")
    assert answer.status_code == 409
    assert "1 requests wait" in text(answer)
    assert "Let everything go on" not in text(answer)
    assert gate.current() is not None


def test_mistakes_come_back_with_what_was_typed(waiting: Workflow, manager: User) -> None:
    assert "Choose the requests" in text(send(manager, do="executed"))
    assert "no such button" in text(send(manager, waiting, do="explode"))
    assert "no such request" in text(send(manager, do="executed", item=["x"]))
    answer = send(manager, waiting, do="executed", reason=" ")
    assert answer.status_code == 400
    assert "Say how you know." in text(answer)
    assert "checked" in text(answer)
    assert not Confirmation.objects.exists()


def test_what_somebody_else_has_said_meanwhile_stands(waiting: Workflow, manager: User) -> None:
    send(manager, waiting, do="not_executed")
    assert "Confirmed: 0 of 1." in text(send(manager, waiting, do="executed"))
    assert status(waiting) == Status.APPROVED


def test_names_are_shown_honestly(agent: Agent, manager: User) -> None:
    make_workflow(agent, name="<b>Pay</b> \u202egnp.exe")
    noticing.begin("The disk died.")
    page = text(logged_in(manager).get(reverse("reconcile")))
    assert "<b>Pay" not in page
    assert "\u202e" not in page
