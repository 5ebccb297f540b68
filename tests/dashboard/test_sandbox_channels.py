"""Slack, SMS and Telegram in the sandbox: real calls in, signed posts out, one verdict.

The server of the test answers the channels' calls; workers run in the test's own thread.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from dashboard import sandbox_posts
from deliveries.models import Delivery, SandboxMessage
from deliveries.sandbox import outages, slack, sms, telegram
from deliveries.sandbox.books import Post
from deliveries.sandbox.outages import Outage
from events.models import Event
from hitl.accounts.models import Agent, User
from tests.dashboard import screens
from tests.dashboard.browser import text
from tests.dashboard.screens import Screen
from tests.deliveries.factories import HOSTILE
from tests.workflows.factories import REFUND, ActionTypeFactory, make_workflow
from workflows.models import Status, Workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _played(
    settings: Settings, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    screens.play(settings, live_server, tmp_path)
    monkeypatch.setattr(sandbox_posts, "PATIENCE_SECONDS", 1.0)
    with screens.workers_at_once():
        yield


@pytest.fixture
def client(manager: User) -> Client:
    """The browser of a member of staff, who is asked nothing personally."""
    manager.is_staff = True
    manager.save()
    client = Client()
    client.force_login(manager)
    return client


@pytest.fixture
def ann(client: Client, approver: User) -> Screen:
    """Ann's Slack."""
    screens.reach(approver, "slack")
    return Screen(client, "slack", approver)


@pytest.fixture
def carl(client: Client, colleague: User) -> Screen:
    """Her colleague's."""
    screens.reach(colleague, "slack")
    return Screen(client, "slack", colleague)


@pytest.fixture
def phone(client: Client, approver: User) -> Screen:
    """Ann's text messages."""
    screens.reach(approver, "sms")
    return Screen(client, "sms", approver)


@pytest.fixture
def bot(client: Client, approver: User) -> Screen:
    """Ann's Telegram."""
    screens.reach(approver, "telegram")
    return Screen(client, "telegram", approver)


def ask(agent: Agent, **changes: Any) -> Workflow:
    """A request of low risk: no channel asks twice or sends people away."""
    ActionTypeFactory(team=agent.team, name="notes.add", risk="low")
    return make_workflow(agent, action_type="notes.add", **changes)


def state(workflow: Workflow) -> tuple[str, str]:
    workflow.refresh_from_db()
    return workflow.status, workflow.responded_via


PENDING = (Status.PENDING, "")

# --- Forged posts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "secret"),
    [
        ("slack", "SLACK_SIGNING_SECRET"),
        ("sms", "TWILIO_AUTH_TOKEN"),
        ("telegram", "TELEGRAM_WEBHOOK_SECRET"),
    ],
)
def test_wrong_secret_is_refused(
    client: Client,
    agent: Agent,
    approver: User,
    settings: Settings,
    channel: str,
    secret: str,
) -> None:
    screens.reach(approver, channel)
    screen = Screen(client, channel, approver)
    workflow = ask(agent)
    code = screen.last.text.partition("Reply YES ")[2][:5]
    setattr(settings, secret, "another secret")

    if channel == "sms":
        shown = screen.say(f"YES {code}")
    else:
        data = telegram_button(screen.last, "Approve") if channel == "telegram" else "hitl_approve"
        shown = screen.press(data)

    assert "its signature is wrong" in shown
    assert state(workflow) == PENDING


@pytest.mark.parametrize("channel", ["slack", "sms", "telegram"])
def test_post_without_its_headers_is_refused(
    client: Client, agent: Agent, approver: User, channel: str
) -> None:
    screens.reach(approver, channel)
    ask(agent)
    row = Screen(client, channel, approver).last
    posts: dict[str, Callable[[], Post | None]] = {
        "slack": lambda: slack.press(row, "hitl_approve"),
        "sms": lambda: sms.write(row.recipient, "YES"),
        "telegram": lambda: telegram.write(row.recipient, "hello"),
    }
    post = posts[channel]()
    assert post is not None
    assert sandbox_posts.deliver(post).status_code == 200
    bare = Post(post.path, post.body, post.content_type, {})
    longer = Post(post.path, post.body + b"&a=b", post.content_type, post.headers)
    assert sandbox_posts.deliver(bare).status_code == 401
    if channel != "telegram":  # whose secret does not cover the body
        assert sandbox_posts.deliver(longer).status_code == 401


def test_pressing_needs_the_page_it_was_shown_on(
    ann: Screen, agent: Agent, manager: User, client: Client
) -> None:
    workflow = ask(agent)
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(manager)
    fields = {"message": ann.last.pk, "press": "hitl_approve"}
    assert careful.post(reverse("sandbox-press", args=ann.address), fields).status_code == 403
    assert state(workflow) == PENDING


# --- Slack ----------------------------------------------------------------------------------------


def test_slack_shows_the_message_and_takes_the_answer(
    ann: Screen, agent: Agent, approver: User
) -> None:
    workflow = ask(agent)
    assert "Refund order A-1009" in ann.seen
    assert "Approve" in ann.seen

    shown = ann.press("hitl_approve")

    assert state(workflow) == (Status.APPROVED, "slack")
    assert workflow.responded_by == approver
    assert "Approved by Ann Approver in Slack" in shown
    assert "(edited)" in shown
    assert list(slack.buttons(ann.last.payload["blocks"])) == []


def test_every_copy_tells_the_verdict(ann: Screen, carl: Screen, agent: Agent) -> None:
    ask(agent)
    carl.press("hitl_approve")
    assert "Approved by Carl Colleague in Slack" in ann.seen
    assert Delivery.objects.filter(channel="slack", status="delivered").count() == 2


def test_slack_asks_before_what_is_at_stake(ann: Screen, agent: Agent) -> None:
    workflow = make_workflow(agent)

    asked = ann.press("hitl_approve")

    assert f"confirm={ann.last.pk}.hitl_approve" in ann.told
    assert "It is carried out exactly as shown." in asked
    assert "Not yet" in asked
    assert state(workflow) == PENDING
    ann.press("hitl_approve", confirmed="yes")
    assert state(workflow) == (Status.APPROVED, "slack")


def test_rejecting_asks_for_the_reason(ann: Screen, agent: Agent) -> None:
    workflow = make_workflow(agent)

    form = ann.press("hitl_reject")
    assert "Reject this request" in form
    assert state(workflow) == PENDING
    shown = ann.fill_in(**{"Why not?": "Wrong order"})

    assert state(workflow) == (Status.REJECTED, "slack")
    assert workflow.feedback == "Wrong order"
    assert "Rejected by Ann Approver in Slack" in shown
    assert "Reject this request" not in shown


def test_form_without_its_reason_stays_open(ann: Screen, agent: Agent) -> None:
    workflow = make_workflow(agent)
    ann.press("hitl_reject")
    shown = ann.fill_in()
    assert "Please complete this required field." in shown
    assert state(workflow) == PENDING


def test_closed_form_decides_nothing(ann: Screen, agent: Agent) -> None:
    workflow = make_workflow(agent)
    ann.press("hitl_reject")
    shown = ann.fill_in("close")
    assert "Reject this request" not in shown
    assert not SandboxMessage.objects.filter(kind="modal").exists()
    assert state(workflow) == PENDING


def test_form_is_there_without_a_script(ann: Screen, agent: Agent) -> None:
    make_workflow(agent)
    ann.press("hitl_reject")
    page = text(ann.client.get(ann.url))
    assert "<dialog open" in page
    assert 'name="comment comment"' in page


def test_edits_that_do_not_fit_are_shown_and_kept(ann: Screen, agent: Agent) -> None:
    workflow = make_workflow(agent)
    ann.press("hitl_edit")

    shown = ann.fill_in(Amount="90.5", Comment="Half\r\nof it")

    assert "whole number" in shown.lower()
    page = text(ann.client.get(ann.url))
    assert 'value="90.5"' in page
    assert "Half\nof it" in page
    assert state(workflow) == PENDING
    ann.fill_in(Amount="90")
    assert state(workflow) == (Status.APPROVED, "slack")
    assert workflow.approved_data == REFUND | {"amount": 90}


def test_late_presser_hears_who_was_first(ann: Screen, carl: Screen, agent: Agent) -> None:
    ask(agent)
    stale = ann.last.payload
    carl.press("hitl_approve")
    # As if the message had not been rewritten yet.
    SandboxMessage.objects.filter(pk=ann.last.pk).update(payload=stale)

    ann.press("hitl_approve")

    shown = ann.wait_for("Already approved by Carl Colleague in Slack")
    assert "Only visible to Ann Approver" in shown


def test_pressing_what_is_gone_is_told(ann: Screen, carl: Screen, agent: Agent) -> None:
    ask(agent)
    carl.press("hitl_approve")
    assert "That button is gone" in ann.press("hitl_approve")


def test_person_without_the_right_is_told_alone(ann: Screen, agent: Agent, approver: User) -> None:
    workflow = ask(agent)
    approver.memberships.all().delete()
    ann.press("hitl_approve")
    ann.wait_for("not a member")
    assert state(workflow) == PENDING
    assert Event.objects.filter(workflow=workflow, type="human.refused").exists()


def test_high_risk_leads_to_the_dashboard(ann: Screen, agent: Agent) -> None:
    ActionTypeFactory(team=agent.team, name="deploy.production", risk="high")
    make_workflow(agent, action_type="deploy.production")
    offered = [part["action_id"] for part in slack.buttons(ann.last.payload["blocks"])]
    assert offered == ["hitl_open", "hitl_reject"]


# --- SMS ------------------------------------------------------------------------------------------


def code_of(phone: Screen) -> str:
    return phone.last.text.partition("Reply YES ")[2][:5]


def test_text_with_the_code_decides(phone: Screen, agent: Agent, approver: User) -> None:
    workflow = ask(agent)

    shown = phone.say(f"yes {code_of(phone).lower()}")

    assert state(workflow) == (Status.APPROVED, "sms")
    assert workflow.responded_by == approver
    assert "Approved by Ann Approver in SMS" in shown
    assert [row.kind for row in phone.rows] == ["message", "reply", "message"]


def test_text_can_reject_with_a_reason(phone: Screen, agent: Agent) -> None:
    workflow = ask(agent)
    phone.say(f"NO {code_of(phone)} we paid already")
    assert state(workflow) == (Status.REJECTED, "sms")
    assert workflow.feedback == "we paid already"


def test_unclear_text_is_answered_with_a_question(phone: Screen, agent: Agent) -> None:
    workflow = ask(agent)
    shown = phone.say("yes please")
    assert "could not read a clear answer" in shown
    assert state(workflow) == PENDING


def test_phone_suggests_answers(phone: Screen, agent: Agent) -> None:
    ask(agent)
    code = code_of(phone)
    assert f'value="YES {code}"' in text(phone.client.get(phone.url))
    phone.say("hello")
    assert f'value="YES {code}"' not in text(phone.client.get(phone.url))


def test_saying_nothing_changes_nothing(phone: Screen, agent: Agent) -> None:
    ask(agent)
    phone.say(" \n ")
    assert len(phone.rows) == 1


# --- Telegram -------------------------------------------------------------------------------------


def telegram_button(row: SandboxMessage, label: str) -> str:
    """The data of the button that says so."""
    parts = [part for buttons in telegram.buttons(row.payload) for part in buttons]
    found: str = next(part["callback_data"] for part in parts if part["text"] == label)
    return found


def test_telegram_button_decides(bot: Screen, agent: Agent) -> None:
    workflow = ask(agent)

    shown = bot.press(telegram_button(bot.last, "Approve"))

    assert state(workflow) == (Status.APPROVED, "telegram")
    assert "Approved by Ann Approver in Telegram" in shown
    assert "edited" in shown
    assert list(telegram.buttons(bot.last.payload)) == []


def test_telegram_asks_for_the_reason(bot: Screen, agent: Agent) -> None:
    workflow = ask(agent)

    asked = bot.press(telegram_button(bot.last, "Reject"))
    assert "Why do you reject this?" in asked
    assert "Reply to hitl" in asked
    assert state(workflow) == PENDING
    bot.say("Wrong order", reply_to=bot.last.pk)

    assert state(workflow) == (Status.REJECTED, "telegram")
    assert workflow.feedback == "Wrong order"


def test_telegram_shows_alerts(bot: Screen, agent: Agent, approver: User) -> None:
    workflow = ask(agent)
    approver.memberships.all().delete()
    shown = bot.press(telegram_button(bot.last, "Approve"))
    assert "not a member" in shown
    assert bot.last.kind == "note"
    assert state(workflow) == PENDING


def test_unclear_words_in_telegram_decide_nothing(bot: Screen, agent: Agent) -> None:
    workflow = ask(agent)
    assert "could not read a clear answer" in bot.say("yes")
    assert state(workflow) == PENDING


# --- Outages --------------------------------------------------------------------------------------


def test_next_channel_steps_in_when_one_refuses(
    ann: Screen, phone: Screen, agent: Agent, approver: User, client: Client
) -> None:
    approver.contact_points.exclude(kind="slack").update(use="fallback")
    approver.contact_points.filter(kind="phone").update(position=1)
    approver.contact_points.filter(kind="email").update(position=2)
    begun = {"channel": "slack", "kind": "refuse", "minutes": "5"}
    shown = text(client.post(reverse("sandbox-outage"), begun, follow=True))
    assert "Slack: refuses every message" in shown

    workflow = ask(agent)

    assert ann.rows == []
    assert "Refund order A-1009" in phone.seen
    told = Event.objects.get(workflow=workflow, type="delivery.failed").data
    assert told["next"]["channel"] == "sms"


@pytest.mark.parametrize("channel", ["slack", "sms", "telegram"])
def test_message_waits_for_a_provider_that_is_down(
    client: Client, agent: Agent, approver: User, channel: str
) -> None:
    screens.reach(approver, channel)
    outages.begin(channel, Outage.DOWN, 1)
    workflow = ask(agent)
    delivery = Delivery.objects.get(workflow=workflow, channel=channel)
    assert (delivery.status, delivery.attempts) == ("pending", 1)
    assert delivery.next_retry_at

    client.post(reverse("sandbox-outage"), {"channel": channel})

    assert outages.running(channel) is None


@pytest.mark.parametrize(("kind", "status"), [("down", "pending"), ("refuse", "failed")])
def test_mail_has_outages_too(agent: Agent, kind: str, status: str) -> None:
    outages.begin("email", Outage(kind), 1)
    workflow = ask(agent)
    assert Delivery.objects.get(workflow=workflow).status == status
    assert not SandboxMessage.objects.exists()


def test_provider_that_hangs_is_given_up(
    ann: Screen, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deliveries.channels.slack.api.TIMEOUT", 1)
    monkeypatch.setattr("dashboard.sandbox_providers.SILENCE_SECONDS", 1.6)
    outages.begin("slack", Outage.HANG, 1)
    workflow = ask(agent)
    delivery = Delivery.objects.get(workflow=workflow, channel="slack")
    assert "did not answer in time" in delivery.last_error
    assert delivery.status == "pending"


@pytest.mark.parametrize("fields", [{"channel": "pigeon"}, {}])
def test_only_what_is_played_can_fail(client: Client, fields: dict[str, str]) -> None:
    assert client.post(reverse("sandbox-outage"), fields | {"kind": "down"}).status_code == 404


# --- Pages ----------------------------------------------------------------------------------------


def test_absent_outside_the_sandbox(ann: Screen, agent: Agent, settings: Settings) -> None:
    ask(agent)
    settings.SANDBOX = False
    for name in ("chat", "chat-parts"):
        path = reverse(f"sandbox-{name}", args=ann.address)
        assert ann.client.get(path).status_code == 404
    for name in ("press", "say", "form"):
        path = reverse(f"sandbox-{name}", args=ann.address)
        assert ann.client.post(path, {"message": ann.last.pk}).status_code == 404
    assert ann.client.post(reverse("sandbox-outage"), {"channel": "slack"}).status_code == 404


def test_for_staff_only(ann: Screen, agent: Agent, approver: User) -> None:
    workflow = ask(agent)
    other = Client()
    other.force_login(approver)
    assert other.get(ann.url).status_code == 403
    fields = {"message": ann.last.pk, "press": "hitl_approve"}
    assert other.post(reverse("sandbox-press", args=ann.address), fields).status_code == 403
    assert Client().get(ann.url).status_code == 302
    assert state(workflow) == PENDING


def test_channel_with_an_account_cannot_be_pressed_here(
    ann: Screen, agent: Agent, settings: Settings
) -> None:
    ask(agent)
    settings.SANDBOX_ACCOUNTS = {}
    path = reverse("sandbox-press", args=ann.address)
    fields = {"message": ann.last.pk, "press": "hitl_approve"}
    assert ann.client.post(path, fields).status_code == 404


@pytest.mark.parametrize("path", ["/sandbox/chats/slack/nobody/", "/sandbox/chats/pigeon/x/"])
def test_screen_that_is_not_there_is_404(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.get(f"{path}parts/").status_code == 404


def test_message_of_another_screen_cannot_be_pressed(
    ann: Screen, carl: Screen, agent: Agent
) -> None:
    workflow = ask(agent)
    path = reverse("sandbox-press", args=ann.address)
    for number in (carl.last.pk, "999", "x", ""):
        fields = {"message": number, "press": "hitl_approve"}
        assert ann.client.post(path, fields).status_code == 404
    assert state(workflow) == PENDING


@pytest.mark.parametrize("channel", ["slack", "sms", "telegram"])
def test_hostile_text_stays_text(
    client: Client, agent: Agent, approver: User, channel: str
) -> None:
    screens.reach(approver, channel)
    make_workflow(agent, name=HOSTILE[:100], reason=HOSTILE, action_data=REFUND | {"note": HOSTILE})
    screen = Screen(client, channel, approver)
    if channel != "slack":
        screen.say(HOSTILE)
    for path in (screen.url, f"{screen.url}parts/", "/sandbox/", f"/sandbox/?channel={channel}"):
        assert "<script>alert" not in text(client.get(path))
    assert "{{7*7}}" in screen.seen


@pytest.mark.parametrize("channel", ["slack", "sms", "telegram"])
def test_pages_run_nothing_inline(
    client: Client, agent: Agent, approver: User, channel: str
) -> None:
    screens.reach(approver, channel)
    ask(agent)
    response = client.get(Screen(client, channel, approver).url)
    assert "unsafe-inline" not in response["Content-Security-Policy"]
    page = text(response)
    assert "style=" not in page
    assert "onclick" not in page
    assert "<script>" not in page
