"""Deciding together in the browser: exactly what was shown, and a line for each."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from hitl.accounts.models import Agent, Team, User
from tests.dashboard.browser import logged_in, text
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import stage
from tests.workflows.test_deciding import adopt
from workflows.models import Decision, Status, Workflow

pytestmark = pytest.mark.django_db


def review(client: Client, *workflows: Workflow) -> str:
    response = client.get(reverse("batch"), {"id": [str(row.pk) for row in workflows]})
    assert response.status_code == 200
    return text(response)


def items(page: str) -> list[str]:
    """What the page would post when nothing was unticked."""
    ticked = re.findall(r'<input type="checkbox"\s+name="item"\s+value="([^"]+)"[^>]*>', page)
    return [value for value in ticked if value]


def send(client: Client, values: list[str], decision: str = "approved", comment: str = "") -> Any:
    body = {"item": values, "shown": values, "decision": decision, "comment": comment}
    return client.post(reverse("batch"), body)


def status(workflow: Workflow) -> str:
    return Workflow.objects.get(pk=workflow.pk).status


def test_approving_what_was_shown(agent: Agent, approver: User) -> None:
    rows = [make_workflow(agent, name=f"Refund {n}") for n in range(3)]
    other = make_workflow(agent)
    client = logged_in(approver)
    page = review(client, *rows)
    assert items(page) == [f"{row.pk}.1-0.{row.fingerprint}" for row in rows]
    response = send(client, items(page))
    assert "3 recorded" in text(response)
    assert [status(row) for row in rows] == [Status.APPROVED] * 3
    assert status(other) == Status.PENDING
    assert {one.fingerprint for one in Decision.objects.all()} == {rows[0].fingerprint}


def test_a_line_for_each(agent: Agent, approver: User, colleague: User) -> None:
    rows = [make_workflow(agent, name=f"Refund {n}") for n in range(3)]
    client = logged_in(approver)
    values = items(review(client, *rows))
    decide(rows[0], colleague)
    values[1] = f"{rows[1].pk}.0.sha256:{'0' * 64}"
    page = text(send(client, values))
    assert "1 recorded, 2 not" in page
    assert "Already approved by Carl Colleague" in page
    assert "Changed meanwhile:" in page
    assert status(rows[2]) == Status.APPROVED
    assert status(rows[1]) == Status.PENDING


def test_rejecting_takes_one_reason_for_all(agent: Agent, approver: User) -> None:
    rows = [make_workflow(agent) for _ in range(2)]
    client = logged_in(approver)
    values = items(review(client, *rows))
    response = send(client, values, "rejected")
    assert response.status_code == 400
    assert "Say why" in text(response)
    assert items(text(response)) == values
    send(client, values, "rejected", "Too much.")
    assert {row.feedback for row in Workflow.objects.all()} == {"Too much."}


def test_what_was_unticked_stays_so_on_the_page(agent: Agent, approver: User) -> None:
    rows = [make_workflow(agent) for _ in range(2)]
    client = logged_in(approver)
    values = items(review(client, *rows))
    body = {"item": values[:1], "shown": values, "decision": "rejected"}
    page = text(client.post(reverse("batch"), body))
    assert items(page) == values
    assert page.count("checked>") == 1


def test_one_type_at_a_time(agent: Agent, approver: User) -> None:
    refund, mail = make_workflow(agent), make_workflow(agent, action_type="email.send")
    client = logged_in(approver)
    page = review(client, refund, mail)
    assert "One action type at a time" in page
    assert items(page) == []
    assert items(review(client, mail)) == [f"{mail.pk}.1-0.{mail.fingerprint}"]
    values = [f"{row.pk}.0.{row.fingerprint}" for row in (refund, mail)]
    response = send(client, values)
    assert response.status_code == 400
    assert Decision.objects.count() == 0


def test_high_risk_is_opened_instead(agent: Agent, approver: User) -> None:
    rows = [make_workflow(agent) for _ in range(2)]
    Workflow.objects.filter(pk=rows[0].pk).update(risk="high")
    client = logged_in(approver)
    page = review(client, *rows)
    assert "High risk is approved one by one" in page
    assert "1 recorded, 1 not" in text(send(client, items(page)))
    assert status(rows[0]) == Status.PENDING


def test_a_second_factor_is_asked_for(team: Team, agent: Agent, approver: User) -> None:
    adopt(team, stage("Any", {"team": "approvers"}, stepUp=["medium"]))
    workflow = make_workflow(agent)
    client = logged_in(approver)
    page = text(send(client, items(review(client, workflow))))
    assert "Confirm that it is you" in page
    assert status(workflow) == Status.PENDING


def test_not_yours(agent: Agent, approver: User, viewer: User, stranger: User) -> None:
    workflow = make_workflow(agent)
    value = f"{workflow.pk}.0.{workflow.fingerprint}"
    assert "disabled" in review(logged_in(viewer), workflow)
    assert "0 recorded, 1 not" in text(send(logged_in(viewer), [value]))
    foreign = logged_in(stranger)
    assert foreign.get(reverse("batch"), {"id": str(workflow.pk)}).status_code == 302
    assert "There is no such workflow" in text(send(foreign, [value]))
    assert Client().get(reverse("batch")).status_code == 302
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize(
    ("values", "decision"),
    [([], "approved"), (["x.y.z"], "approved"), (["1.-1.a"], "approved"), (None, "modified"),
     (None, "")],
)  # fmt: skip
def test_posts_that_make_no_sense(
    agent: Agent, approver: User, values: list[str] | None, decision: str
) -> None:
    workflow = make_workflow(agent)
    sent = [f"{workflow.pk}.0.{workflow.fingerprint}"] if values is None else values
    assert send(logged_in(approver), sent, decision).status_code in (302, 400)
    assert status(workflow) == Status.PENDING


def test_hostile_text_is_harmless(agent: Agent, approver: User) -> None:
    hostile = "<script>alert(1)</script>\u202e"
    rows = [make_workflow(agent, name=hostile, action_data={hostile: hostile}, ui_schema=None)]
    page = review(logged_in(approver), *rows)
    assert "<script>alert" not in page
    assert "Misleading characters" in page


def test_the_inbox_offers_it_where_there_is_something_to_choose(
    agent: Agent, approver: User
) -> None:
    make_workflow(agent)
    client = logged_in(approver)
    assert 'form="pick"' not in text(client.get(reverse("inbox")))
    make_workflow(agent)
    assert text(client.get(reverse("inbox"))).count('form="pick"') == 2
    assert 'form="pick"' not in text(client.get(reverse("inbox"), {"show": "all"}))
