"""The page of a request's states, and the confirmation before one is gone back to."""

from typing import Any

import pytest
from django.urls import reverse

from events.models import Event
from hitl.accounts.models import Agent, User
from tests.dashboard.browser import answer, logged_in, page_of, text
from tests.workflows.factories import REFUND, ActionTypeFactory, ask_again, decide, make_workflow
from tests.workflows.policy_samples import demand_second_factor
from tests.workflows.test_rollback import approved, completed, failed, rejected, seq_of, timed_out
from workflows.models import Status, Workflow

pytestmark = pytest.mark.django_db


def state(workflow: Workflow) -> tuple[str, int]:
    row = Workflow.objects.get(pk=workflow.pk)
    return row.status, row.round


def send(user: User, workflow: Workflow, to: str = "PENDING", **changes: Any) -> Any:
    values = {"to": seq_of(workflow, to), "reason": "Look again", "round": 1} | changes
    return logged_in(user).post(page_of(workflow, "roll-back"), values, follow=True)


# --- Looking -------------------------------------------------------------------------------------


def test_every_state_is_listed_and_the_last_turn_compared(agent: Agent, approver: User) -> None:
    workflow = rejected(agent, approver)
    page = text(logged_in(approver).get(page_of(workflow, "states")))
    for event in Event.objects.filter(workflow=workflow):
        assert f'id="state-{event.seq}"' in page
        assert reverse("event", args=[workflow.pk, event.seq]) in page
    assert "Decision" in page
    assert page.count("Ask again") == 1


def test_two_states_that_are_chosen(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    data = REFUND | {"note": "<script>alert(1)</script>"}
    decide(workflow, approver, "modified", response_data=data)
    client = logged_in(approver)
    last = Event.objects.filter(workflow=workflow).latest("seq").seq
    page = text(client.get(page_of(workflow, "states"), {"from": 1, "to": last}))
    assert "Edited data › note" in page
    assert "<script>alert" not in page
    same = text(client.get(page_of(workflow, "states"), {"from": 1, "to": 1}))
    assert "The two states are the same" in same
    for odd in ("x", "-1", "99", "0", "1" * 30, "\u0661"):
        assert client.get(page_of(workflow, "states"), {"from": odd}).status_code == 200


@pytest.mark.parametrize("name", ["states", "roll-back"])
def test_pages_are_for_the_team_alone(agent: Agent, stranger: User, name: str) -> None:
    workflow = make_workflow(agent)
    assert logged_in(stranger).get(page_of(workflow, name)).status_code == 404


def test_reading_changes_nothing(agent: Agent, approver: User) -> None:
    workflow = rejected(agent, approver)
    count = Event.objects.count()
    client = logged_in(approver)
    for name in ("states", "roll-back"):
        client.get(page_of(workflow, name), {"to": 1, "from": 1})
    assert (Event.objects.count(), state(workflow)) == (count, ("REJECTED", 1))


# --- What is offered -----------------------------------------------------------------------------


def test_ways_back_are_offered_to_whom_they_are_open(
    agent: Agent, approver: User, manager: User, viewer: User
) -> None:
    workflow = failed(agent, approver)
    offered = {
        person: {title for title in ("Ask again…", "Run it again…") if title in text(page)}
        for person in (manager, approver, viewer)
        for page in [logged_in(person).get(page_of(workflow))]
    }
    assert offered == {
        manager: {"Ask again…", "Run it again…"}, approver: {"Ask again…"}, viewer: set()
    }  # fmt: skip


def test_confirmation_says_exactly_what_happens(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent, timeout_seconds=7200)
    decide(workflow, approver, "modified", response_data=REFUND | {"amount": 1})
    page = text(logged_in(approver).get(page_of(workflow, "roll-back"), {"to": 1}))
    for words in (
        "in round 2", "They have 2 hours", "without the edits",
        "The approval by Ann Approver allows nothing to run any more",
    ):  # fmt: skip
        assert words in page


@pytest.mark.parametrize("to", ["99", "x", "", "0"])
def test_state_that_cannot_be_gone_back_to_leads_to_the_request(
    agent: Agent, approver: User, to: str
) -> None:
    workflow = rejected(agent, approver)
    page = logged_in(approver).get(page_of(workflow, "roll-back"), {"to": to}, follow=True)
    assert "one goes back to a state in which it was PENDING" in text(page)


# --- Going back ----------------------------------------------------------------------------------


def test_asking_again_and_what_people_read_then(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow = rejected(agent, approver)
    page = text(send(approver, workflow, reason="New photos"))
    assert "Asked again" in page
    assert state(workflow) == ("PENDING", 2)
    theirs = logged_in(colleague)
    page = text(theirs.get(page_of(workflow)))
    assert "Ann Approver had it asked again, in round 2" in page
    assert "New photos" in page
    assert answer(theirs, workflow, "approved", round="1").status_code == 409
    assert state(workflow) == ("PENDING", 2)
    assert answer(theirs, workflow, "approved", round="2").status_code == 302
    assert state(workflow) == ("APPROVED", 2)


@pytest.mark.parametrize("reason", ["", " \n", "x" * 1001])
def test_reason_is_asked_for(agent: Agent, approver: User, reason: str) -> None:
    workflow = timed_out(agent, approver)
    page = send(approver, workflow, reason=reason)
    assert page.status_code == 400
    assert 'aria-invalid="true"' in text(page)
    assert state(workflow) == ("TIMEOUT", 1)


def test_double_click_rolls_back_once(agent: Agent, approver: User) -> None:
    workflow = approved(agent, approver)
    send(approver, workflow)
    decide(workflow, approver, round=2)
    assert "rolled it back meanwhile" in text(send(approver, workflow))
    assert state(workflow) == ("APPROVED", 2)


def test_running_again_is_confirmed_with_open_eyes(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = failed(agent, approver)
    page = text(
        logged_in(manager).get(page_of(workflow, "roll-back"), {"to": seq_of(workflow, "APPROVED")})
    )
    assert "under the approval of Ann Approver" in page
    assert 'name="acknowledged"' in page
    assert send(manager, workflow, "APPROVED").status_code == 400
    assert state(workflow) == ("FAILED", 1)
    send(manager, workflow, "APPROVED", acknowledged="yes")
    assert state(workflow) == ("APPROVED", 2)
    after = text(logged_in(manager).get(page_of(workflow)))
    assert "Approved by Ann Approver" in after
    assert "let it run again, in round 2" in after


def test_second_factor_is_asked_for_before(agent: Agent, approver: User, manager: User) -> None:
    workflow = failed(agent, approver)
    demand_second_factor(workflow)
    seq = seq_of(workflow, "APPROVED")
    page = text(logged_in(manager).get(page_of(workflow, "roll-back"), {"to": seq}))
    assert "Confirm that it is you" in page
    assert 'name="reason"' not in page
    assert send(manager, workflow, "APPROVED", acknowledged="yes").status_code == 403
    assert state(workflow) == ("FAILED", 1)


def test_approver_cannot_post_what_is_not_offered(agent: Agent, approver: User) -> None:
    workflow = failed(agent, approver)
    page = send(approver, workflow, "APPROVED", acknowledged="yes")
    assert "Only managers may let it run again" in text(page)
    assert state(workflow) == ("FAILED", 1)


def test_compensation_leads_to_its_request_and_back(
    agent: Agent, approver: User, colleague: User
) -> None:
    undo = ActionTypeFactory(team=agent.team, name="payments.charge", title="Charge again")
    ActionTypeFactory(team=agent.team, name="payments.refund", compensation=undo)
    workflow = completed(agent, approver)
    page = text(logged_in(approver).get(page_of(workflow, "roll-back"), {"to": 1}))
    assert "Charge again" in page
    page = text(send(approver, workflow))
    asked = Workflow.objects.get(compensates=workflow)
    assert "The compensation has been asked for" in page
    assert page_of(workflow) in page
    assert page_of(asked) in text(logged_in(approver).get(page_of(workflow)))
    assert asked.status == Status.PENDING


def test_third_round_says_why_it_is_asked(agent: Agent, approver: User) -> None:
    workflow = ask_again(ask_again(make_workflow(agent), approver), approver)
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "in round 3" in page
    assert 'name="round" value="3"' in page
