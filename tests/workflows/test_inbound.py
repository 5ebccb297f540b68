"""Answers from inside Slack, SMS and Telegram: signed posts in, one verdict out, the copies told.

The stand-ins play the providers over real HTTP; workers run in the test's own thread.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from deliveries.channels.slack import SlackChannel
from deliveries.channels.slack.inbound import SocketRequest
from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, Membership, User
from hitl.celery import app
from tests.standins.server import Post
from tests.standins.slack.posts import click, sign, submit, tampered
from tests.standins.slack.server import SlackServer, slack_server
from tests.standins.slack.workspace import Workspace
from tests.workflows.factories import REFUND, ActionTypeFactory, decide, make_workflow
from tests.workflows.policy_samples import adopt, demand_second_factor, stage
from workflows.models import Status, Workflow
from workflows.webhooks import respond

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def slack(settings: Settings, approver: User, colleague: User) -> Iterator[SlackServer]:
    with slack_server(settings) as server:
        link(approver, "slack", f"{server.workspace.team}:U0ANN")
        link(colleague, "slack", f"{server.workspace.team}:U0CARL")
        yield server


@pytest.fixture
def workspace(slack: SlackServer) -> Workspace:
    return slack.workspace


def send(post: Post) -> Any:
    """Post it to the server as the provider would."""
    return Client().post(post.path, post.body, content_type=post.content_type, headers=post.headers)


def wait_for(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What happens beside the acknowledgement happens soon."""
    deadline = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found
    return found


def state(workflow: Workflow) -> str:
    return Workflow.objects.get(pk=workflow.pk).status


def dm(workspace: Workspace, user: str = "U0ANN") -> Any:
    """The newest message in that person's direct conversation."""
    return [post for post in workspace.posts if post.channel == workspace.direct(user)][-1]


def test_click_on_approve_decides_and_every_copy_says_so(
    agent: Agent, approver: User, workspace: Workspace
) -> None:
    workflow = make_workflow(agent)

    answer = send(click(workspace, dm(workspace), "hitl_approve"))

    workflow.refresh_from_db()
    assert (answer.status_code, answer.content) == (200, b"")
    assert (workflow.status, workflow.responded_by) == (Status.APPROVED, approver)
    assert workflow.responded_via == "slack"
    for user in ("U0ANN", "U0CARL"):
        assert not dm(workspace, user).buttons
        assert "Approved by Ann Approver in Slack" in dm(workspace, user).seen


def test_decision_elsewhere_rewrites_slack(
    agent: Agent, colleague: User, workspace: Workspace
) -> None:
    workflow = make_workflow(agent)

    decide(workflow, colleague, "rejected", comment="No")

    assert not dm(workspace).buttons
    assert "Rejected by Carl Colleague in dashboard" in dm(workspace).seen


def test_reject_asks_for_the_reason_in_a_modal(agent: Agent, workspace: Workspace) -> None:
    workflow = make_workflow(agent)

    send(click(workspace, dm(workspace), "hitl_reject"))
    view = wait_for(lambda: workspace.views)[-1]
    assert state(workflow) == Status.PENDING
    answer = send(submit(workspace, view, {"Why not?": "Wrong order"}))

    workflow.refresh_from_db()
    assert answer.json() == {"response_action": "clear"}
    assert (workflow.status, workflow.feedback) == (Status.REJECTED, "Wrong order")


def test_edit_modal_changes_the_typed_value(agent: Agent, workspace: Workspace) -> None:
    workflow = make_workflow(agent)

    send(click(workspace, dm(workspace), "hitl_edit"))
    view = wait_for(lambda: workspace.views)[-1]
    send(submit(workspace, view, {"Amount": "90"}))

    workflow.refresh_from_db()
    assert workflow.decision == "modified"
    assert workflow.approved_data == REFUND | {"amount": 90}


def test_edit_that_does_not_fit_the_form_is_shown_in_the_modal(
    agent: Agent, workspace: Workspace
) -> None:
    workflow = make_workflow(agent)

    send(click(workspace, dm(workspace), "hitl_edit"))
    view = wait_for(lambda: workspace.views)[-1]
    answer = send(submit(workspace, view, {"Amount": "90.5"}))

    assert answer.json()["response_action"] == "errors"
    assert state(workflow) == Status.PENDING


def test_forged_posts_change_nothing(agent: Agent, workspace: Workspace) -> None:
    workflow = make_workflow(agent)
    good = click(workspace, dm(workspace), "hitl_approve")

    answers = {name: send(post).status_code for name, post in tampered(good)}

    assert answers
    assert set(answers.values()) == {401}, answers
    assert state(workflow) == Status.PENDING


def test_forgeries_are_logged_without_flooding_the_log(
    agent: Agent, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    make_workflow(agent)
    good = click(workspace, dm(workspace), "hitl_approve")
    [_, forged] = next(iter(tampered(good)))

    for _ in range(50):
        assert send(forged).status_code == 401

    told = [line for line in caplog.messages if "forged post to slack refused" in line]
    assert len(told) == 20
    assert workspace.signing_secret not in caplog.text


def test_replay_of_a_click_changes_nothing_twice(agent: Agent, workspace: Workspace) -> None:
    workflow = make_workflow(agent)
    post = click(workspace, dm(workspace), "hitl_approve")

    for copy in (*[post] * 100, post.retried(1), post.retried(2)):
        assert send(copy).status_code == 200

    assert Event.objects.filter(workflow=workflow, type="human.responded").count() == 1


def test_button_value_copied_into_another_message_is_refused(
    agent: Agent, workspace: Workspace
) -> None:
    harmless = make_workflow(agent)
    low = dm(workspace)
    costly = make_workflow(agent, action_data=REFUND | {"amount": 9000})
    value = dm(workspace).buttons["hitl_approve"]["value"]

    send(click(workspace, low, "hitl_approve", value=value))

    told = wait_for(lambda: workspace.ephemerals)[-1]
    assert "does not belong to this message" in told.seen
    assert (state(harmless), state(costly)) == (Status.PENDING, Status.PENDING)
    refusal = Event.objects.get(type="human.refused")
    assert (refusal.workflow_id, refusal.actor["name"]) == (costly.pk, "Ann Approver")


def test_owner_of_the_agent_cannot_press_a_colleagues_button(
    agent: Agent, approver: User, workspace: Workspace
) -> None:
    agent.owner = approver
    agent.save()
    workflow = make_workflow(agent)

    send(click(workspace, dm(workspace, "U0CARL"), "hitl_approve", by="U0ANN"))

    assert wait_for(lambda: workspace.ephemerals)[-1].seen
    assert state(workflow) == Status.PENDING
    refusal = Event.objects.get(workflow=workflow, type="human.refused")
    assert (refusal.source, refusal.actor["name"]) == ("slack", "Ann Approver")


def test_unlinked_person_hears_how_to_link_and_is_recorded(
    agent: Agent, workspace: Workspace
) -> None:
    workspace.add_person("U0EVE", "eve@example.com")
    workflow = make_workflow(agent)

    for _ in range(3):  # a stranger who goes on pressing does not fill the record
        send(click(workspace, dm(workspace), "hitl_approve", by="U0EVE"))

    assert "/me/" in wait_for(lambda: workspace.ephemerals)[-1].seen
    assert state(workflow) == Status.PENDING
    assert Event.objects.get(workflow=workflow, type="human.refused").source == "slack"


def test_person_who_lost_the_right_is_refused_at_the_click(
    agent: Agent, approver: User, workspace: Workspace
) -> None:
    workflow = make_workflow(agent)
    Membership.objects.filter(user=approver).delete()

    send(click(workspace, dm(workspace), "hitl_approve"))

    assert "not a member" in wait_for(lambda: workspace.ephemerals)[-1].seen
    assert state(workflow) == Status.PENDING


def test_loser_hears_who_was_first(agent: Agent, colleague: User, workspace: Workspace) -> None:
    workflow = make_workflow(agent)
    late = click(workspace, dm(workspace), "hitl_approve")
    decide(workflow, colleague, "rejected", comment="No")

    send(late)

    told = wait_for(lambda: workspace.ephemerals)[-1]
    assert "Already rejected by Carl Colleague in dashboard" in told.seen


def test_high_risk_cannot_be_approved_by_a_click(agent: Agent, workspace: Workspace) -> None:
    ActionTypeFactory(team=agent.team, name="deploy.production", risk="high")
    make_workflow(agent)
    pressed = click(workspace, dm(workspace), "hitl_approve").payload
    workflow = make_workflow(agent, action_type="deploy.production")
    message = dm(workspace)
    forced = pressed | {"container": pressed["container"] | {"message_ts": message.ts}}
    forced["actions"][0]["value"] = str(
        Delivery.objects.get(workflow=workflow, channel="slack", user__name="Ann Approver").pk
    )

    send(sign(forced, workspace.signing_secret))

    assert "hitl_approve" not in message.buttons
    assert "log in" in wait_for(lambda: workspace.ephemerals)[-1].seen
    assert state(workflow) == Status.PENDING


def test_click_after_data_changed_in_the_store_is_refused(
    agent: Agent, workspace: Workspace
) -> None:
    workflow = make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(fingerprint="sha256:" + "1" * 64)

    send(click(workspace, dm(workspace), "hitl_approve"))

    assert state(workflow) == Status.PENDING


def test_worker_lost_after_sending_leaves_no_live_button(
    agent: Agent, colleague: User, slack: SlackServer, settings: Settings
) -> None:
    workflow = make_workflow(agent)
    # As if the worker had died between Slack's answer and its own note of it.
    Delivery.objects.filter(channel="slack").update(
        status="pending", sent_at=None, delivered_at=None, metadata={}, provider_id="",
        next_retry_at=workflow.created_at, claimed_at=workflow.created_at,
    )  # fmt: skip

    decide(workflow, colleague, "rejected", comment="No")

    assert not dm(slack.workspace).buttons
    assert "Rejected by Carl Colleague" in dm(slack.workspace).seen


def test_click_through_socket_mode_takes_the_same_way(
    agent: Agent, approver: User, workspace: Workspace
) -> None:
    workflow = make_workflow(agent)
    post = click(workspace, dm(workspace), "hitl_approve")

    answer = respond(SlackChannel(), SocketRequest(post.payload))

    workflow.refresh_from_db()
    assert (answer.status, workflow.responded_by) == (200, approver)


def test_unconfigured_channel_has_no_door(settings: Settings) -> None:
    settings.SLACK_BOT_TOKEN = ""

    assert Client().post("/webhooks/slack/callback").status_code == 404
    assert Client().post("/webhooks/pigeon/callback").status_code == 404


# --- A second factor ------------------------------------------------------------------------------


def test_second_factor_leaves_nothing_but_the_page(agent: Agent, workspace: Workspace) -> None:
    adopt(agent.team, stage("Any", {"team": "approvers"}, stepUp=["medium"]))
    workflow = make_workflow(agent)
    assert list(dm(workspace).buttons) == ["hitl_open"]
    assert f"/workflows/{workflow.pk}/" in dm(workspace).buttons["hitl_open"]["url"]


@pytest.mark.parametrize("action", ["hitl_approve", "hitl_reject", "hitl_edit"])
def test_button_that_is_there_all_the_same_answers_with_the_page(
    agent: Agent, workspace: Workspace, action: str
) -> None:
    workflow = make_workflow(agent)
    demand_second_factor(workflow)

    send(click(workspace, dm(workspace), action))

    told = wait_for(lambda: workspace.ephemerals)[-1].seen
    assert "second factor" in told
    assert f"/workflows/{workflow.pk}/" in told
    assert (state(workflow), workspace.views) == (Status.PENDING, [])
    assert Event.objects.filter(workflow=workflow, type="human.refused").count() == 1
