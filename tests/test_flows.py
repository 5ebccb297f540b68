"""The diagrams this project was made from, played from the outside: HTTP in; rows and mails out.

Workers run in the test's own thread; mail goes through a real SMTP server, Slack is a stand-in.
"""

import datetime as dt
import re
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from deliveries import services as deliveries
from deliveries.models import Delivery
from deliveries.tasks import sweep_deliveries
from events.models import Event
from hitl.accounts.linking import link
from hitl.accounts.models import ContactPoint, User
from hitl.accounts.services import issue_user_token
from hitl.celery import app
from hitl.lib.db import database_now
from tests.deliveries.smtp import MailServer, mail_server
from tests.racing import race
from tests.standins.server import Call, Said
from tests.standins.slack.posts import click
from tests.standins.slack.server import SlackServer, slack_server
from tests.workflows.answering import send
from tests.workflows.factories import REFUND, REFUND_FORM
from workflows.models import Workflow
from workflows.tasks import sweep_timeouts

pytestmark = pytest.mark.django_db(transaction=True)

ASK = {"actionType": "payments.refund", "actionData": REFUND, "uiSchema": REFUND_FORM}


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    app.control.purge()  # what other tests have left: a sweep adds nothing to a long queue
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def smtp(settings: Settings) -> Iterator[MailServer]:
    with mail_server(settings) as server:
        yield server


@pytest.fixture
def slack(settings: Settings, approver: User) -> Iterator[SlackServer]:
    """The approver is reached in Slack as well, and there first."""
    with slack_server(settings) as server:
        link(approver, "slack", f"{server.workspace.team}:U0ANN")
        ContactPoint.objects.filter(kind="email").update(position=9)
        yield server


class Api:
    """An agent, or a person with a token, that only speaks HTTP."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}"})

    def post(self, path: str, body: Any = None, expect: int = 200) -> dict[str, Any]:
        answer = self.client.post(path, body or {}, content_type="application/json")
        assert answer.status_code == expect, answer.content
        return dict(answer.json())

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def told(self, workflow_id: str) -> list[str]:
        """Names of the events, in order."""
        items = self.get(f"/api/v1/workflows/{workflow_id}/events")["items"]
        return [item["type"] for item in items]

    def messages(self, workflow_id: str) -> dict[str, dict[str, Any]]:
        """The messages about it, by channel."""
        items = self.get(f"/api/v1/workflows/{workflow_id}/deliveries")["items"]
        return {item["channel"]: item for item in items}


@pytest.fixture
def agent_api(api_key: str) -> Api:
    return Api(api_key)


@pytest.fixture
def person_api(approver: User) -> Api:
    return Api(issue_user_token(approver))


def one(workflow_id: str) -> str:
    return f"/api/v1/workflows/{workflow_id}"


def decide(api: Api, workflow: dict[str, Any], decision: str, **more: Any) -> dict[str, Any]:
    body = {"decision": decision, "fingerprint": workflow["fingerprint"]} | more
    return api.post(f"{one(workflow['workflowId'])}/decide", body)


def press(browser: Client, mail: Any, choice: str, **fields: str) -> Any:
    """Open the mail's link for `choice` and press the button of the page it leads to."""
    text = mail.get_body(("plain",)).get_content()
    links = re.findall(r"http://testserver(/l/[^\s>]+)", text)
    link = next(found for found in links if choice in found)
    page = browser.get(link, follow=True)
    assert page.status_code == 200, page.content
    path = page.redirect_chain[-1][0]
    form = dict(re.findall(r'name="(fingerprint|nonce)"\s+value="([^"]+)"', page.content.decode()))
    return browser.post(urlsplit(path).path, form | {"decision": choice} | fields)


def test_success_path_of_the_sequence_diagram(
    agent_api: Api, smtp: MailServer, approver: User
) -> None:
    # Steps 1 to 3: the agent asks on the seed's path; the mail is out; the deadline is a column.
    asked = agent_api.post("/workflows/create", ASK, expect=201)
    assert asked["status"] == "PENDING"
    (mail,) = smtp.accepted
    assert approver.email in mail["to"]
    assert Workflow.objects.get().expires_at is not None

    # Step 4: the human opens the mail's link and approves.
    answer = press(Client(), mail, "approved")
    assert answer.status_code in (200, 303)

    # Step 5: nothing is left of the deadline; the agent carries out and reports.
    assert sweep_timeouts() is None
    started = agent_api.post(f"{one(asked['workflowId'])}/execution/start")
    assert (started["data"], started["fingerprint"]) == (REFUND, asked["fingerprint"])
    agent_api.post(
        f"{one(asked['workflowId'])}/execution/complete",
        {"attempt": started["attempt"], "result": {"refundId": "re_1"}},
    )

    # Step 6: the agent is told; the log holds the seed's events in the seed's order.
    done = agent_api.get(f"{one(asked['workflowId'])}?wait=5&until=settled")
    assert (done["status"], done["result"]) == ("COMPLETED", {"refundId": "re_1"})
    assert agent_api.told(asked["workflowId"]) == [
        "workflow.created",
        "approval.sent.email",
        "human.viewed",
        "human.responded",
        "action.executing",
        "workflow.completed",
    ]


def test_snapshots_tell_the_states_of_the_diagram(
    agent_api: Api, person_api: Api, smtp: MailServer
) -> None:
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)
    decide(person_api, asked, "approved")
    agent_api.post(f"{one(asked['workflowId'])}/execution/start")
    agent_api.post(f"{one(asked['workflowId'])}/execution/complete", {"attempt": 1, "result": 1})

    items = agent_api.get(f"{one(asked['workflowId'])}/events")["items"]
    states = {item["type"]: item["stateSnapshot"]["status"] for item in items}
    assert states == {
        "workflow.created": "PENDING",
        "approval.sent.email": "PENDING",
        "human.responded": "APPROVED",
        "action.executing": "EXECUTING",
        "workflow.completed": "COMPLETED",
    }


def test_timeout_scenario_of_the_diagram(agent_api: Api, person_api: Api, smtp: MailServer) -> None:
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)
    workflow = Workflow.objects.get()
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=workflow.created_at)

    sweep_timeouts()

    assert agent_api.get(one(asked["workflowId"]))["status"] == "TIMEOUT"
    assert agent_api.told(asked["workflowId"])[-1] == "workflow.timeout"
    late = person_api.client.post(
        f"{one(asked['workflowId'])}/decide",
        {"decision": "approved", "fingerprint": asked["fingerprint"]},
        content_type="application/json",
    )
    assert (late.status_code, late.json()["workflowStatus"]) == (409, "TIMEOUT")


def test_rejection_by_mail_with_a_reason(agent_api: Api, smtp: MailServer) -> None:
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)

    press(Client(), smtp.accepted[0], "rejected", comment="The photo shows another mug.")

    told = agent_api.get(one(asked["workflowId"]))
    assert (told["status"], told["feedback"]) == ("REJECTED", "The photo shows another mug.")
    assert agent_api.told(asked["workflowId"])[-2:] == ["human.responded", "workflow.rejected"]


def test_edited_data_is_what_runs(agent_api: Api, person_api: Api, smtp: MailServer) -> None:
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)

    told = decide(person_api, asked, "modified", responseData=REFUND | {"amount": 90})["workflow"]
    started = agent_api.post(f"{one(asked['workflowId'])}/execution/start")

    assert told["decision"] == "modified"
    assert started["data"]["amount"] == 90
    assert started["fingerprint"] == told["approvedFingerprint"] != asked["fingerprint"]


def test_agent_withdraws(agent_api: Api, person_api: Api, smtp: MailServer) -> None:
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)

    agent_api.post(f"{one(asked['workflowId'])}/cancel")

    assert agent_api.told(asked["workflowId"])[-1] == "workflow.cancelled"
    page = Client().get(_link(smtp.accepted[0]), follow=True)
    assert page.status_code == 410
    assert b"withdrawn" in page.content


def test_mail_of_a_decided_request_tells_the_outcome(
    agent_api: Api, person_api: Api, smtp: MailServer, colleague: User
) -> None:
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)
    decide(person_api, asked, "approved")
    mail = next(mail for mail in smtp.accepted if colleague.email in mail["to"])

    page = Client().get(_link(mail), follow=True)

    assert page.status_code == 410
    assert b"Already approved by Ann Approver" in page.content
    assert Event.objects.filter(type="human.responded").count() == 1


# --- Step 2: several channels ---------------------------------------------------------------------


def test_sequence_diagram_with_slack_and_mail(
    agent_api: Api, smtp: MailServer, slack: SlackServer, approver: User
) -> None:
    # Steps 1 to 3: the agent is answered at once; both messages are out under the providers' ids.
    asked = agent_api.post("/workflows/create", ASK, expect=201)
    assert asked["status"] == "PENDING"
    (mail,), (post,) = smtp.accepted, slack.workspace.posts
    rows = agent_api.messages(asked["workflowId"])
    assert {name: row["status"] for name, row in rows.items()} == {
        "slack": "delivered",
        "email": "sent",
    }
    stored = {row.channel: row.metadata for row in Delivery.objects.all()}
    assert stored["email"]["messageId"] == mail["Message-ID"]
    assert stored["slack"]["ts"] == post.ts

    # Step 4: the human looks at it through the mail and clicks in Slack.
    assert Client().get(_link(mail), follow=True).status_code == 200
    assert send(click(slack.workspace, post, "hitl_approve")).status_code == 200

    # Steps 5 and 6: the agent carries out and reports; everybody can see it.
    start = agent_api.post(f"{one(asked['workflowId'])}/execution/start")
    report = {"attempt": start["attempt"], "result": {"refundId": "re_1"}}
    agent_api.post(f"{one(asked['workflowId'])}/execution/complete", report)
    told = agent_api.told(asked["workflowId"])
    assert (told[0], set(told[1:3])) == (
        "workflow.created",
        {"approval.sent.slack", "approval.sent.email"},
    )
    assert told[3:] == [
        "human.viewed",
        "human.responded",
        "action.executing",
        "workflow.completed",
    ]
    assert "Approved by Ann Approver in Slack" in post.seen
    assert not post.buttons
    page = Client().get(_link(mail), follow=True)
    assert page.status_code == 410
    assert b"in Slack" in page.content


@pytest.mark.postgres
def test_channels_are_sent_to_in_parallel(
    agent_api: Api, smtp: MailServer, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each provider answers only once both have been called: one after the other would never end.
    both = threading.Barrier(2, timeout=10)
    posting = slack.handle

    def post(call: Call) -> Said:
        if call.path.endswith("chat.postMessage"):
            both.wait()
        return posting(call)

    async def receive(*arguments: Any) -> str:
        both.wait()
        return await MailServer.handle_DATA(smtp, *arguments)

    monkeypatch.setattr(slack, "handle", post)
    monkeypatch.setattr(smtp, "handle_DATA", receive)
    app.conf.task_always_eager = False
    monkeypatch.setattr("deliveries.wakeups.ring", lambda task, delivery_id: None)
    asked = agent_api.post("/workflows/create", ASK, expect=201)
    rows = Delivery.objects.values_list("pk", flat=True)

    assert race(*(partial(deliveries.send, row) for row in rows)) == [None, None]

    assert set(agent_api.told(asked["workflowId"])) == {
        "workflow.created",
        "approval.sent.slack",
        "approval.sent.email",
    }


def test_one_channel_that_fails_delays_no_other(
    agent_api: Api, smtp: MailServer, slack: SlackServer
) -> None:
    slack.does = Said(500)
    asked = agent_api.post("/workflows/create", ASK, expect=201)
    assert agent_api.told(asked["workflowId"]) == ["workflow.created", "approval.sent.email"]
    assert agent_api.messages(asked["workflowId"])["slack"]["status"] == "pending"


# --- The retry diagram ----------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["slack", "email"])
def test_retry_diagram_until_it_works(
    agent_api: Api, smtp: MailServer, slack: SlackServer, settings: Settings, channel: str
) -> None:
    settings.DELIVERY_FIRST_RETRY_SECONDS = 120
    _only(channel)
    for waits in (120, 240, 480):
        # Created (or due again); not sent; attempts counted; not the last; a retry is scheduled.
        _break(smtp, slack)
        asked = _again(agent_api, waits == 120)
        row = agent_api.messages(asked)[channel]
        assert (row["status"], row["maxAttempts"]) == ("pending", 6)
        assert row["attempts"] == {120: 1, 240: 2, 480: 3}[waits]
        assert 0.8 * waits - 10 <= _seconds_until(row["nextRetryAt"]) <= 1.2 * waits
        assert row["lastError"]
        assert agent_api.told(asked) == ["workflow.created"]

    # It works: sent, recorded once, nothing is scheduled any more.
    _mend(smtp, slack)
    asked = _again(agent_api, False)
    row = agent_api.messages(asked)[channel]
    assert (row["attempts"], row["nextRetryAt"], row["lastError"]) == (4, None, "")
    assert row["status"] in ("sent", "delivered")
    assert agent_api.told(asked) == ["workflow.created", f"approval.sent.{channel}"]
    assert _again(agent_api, False) == asked
    assert agent_api.messages(asked)[channel]["attempts"] == 4


@pytest.mark.parametrize(("channel", "next_one"), [("slack", "email"), ("email", "slack")])
def test_retry_diagram_until_it_is_given_up(
    agent_api: Api,
    smtp: MailServer,
    slack: SlackServer,
    settings: Settings,
    channel: str,
    next_one: str,
) -> None:
    settings.DELIVERY_MAX_ATTEMPTS = 3
    ContactPoint.objects.filter(kind=next_one).update(use=ContactPoint.Use.FALLBACK)
    _break(smtp, slack)
    asked = _again(agent_api, True)
    _again(agent_api, False)
    assert agent_api.told(asked) == ["workflow.created"]
    _mend(smtp, slack, but=channel)

    _again(agent_api, False)  # the last attempt

    rows = agent_api.messages(asked)
    assert (rows[channel]["status"], rows[channel]["attempts"]) == ("failed", 3)
    assert rows[channel]["nextRetryAt"] is None
    assert agent_api.told(asked) == [
        "workflow.created",
        "delivery.failed",
        f"approval.sent.{next_one}",
    ]


def test_provider_that_asks_for_time_gets_it(
    agent_api: Api, smtp: MailServer, slack: SlackServer, settings: Settings
) -> None:
    settings.DELIVERY_FIRST_RETRY_SECONDS = 1
    _only("slack")
    slack.does = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "300"})
    asked = _again(agent_api, True)
    row = agent_api.messages(asked)["slack"]
    assert 290 <= _seconds_until(row["nextRetryAt"]) <= 300
    calls = len(slack.ledger)

    slack.does = "answer"
    _again(agent_api, False)

    assert len(slack.ledger) == calls, "not even a due message goes out within that time"


def test_delivery_fails_and_is_tried_again_until_it_works(agent_api: Api, smtp: MailServer) -> None:
    smtp.does = "busy-recipient"
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)
    assert agent_api.told(asked["workflowId"]) == ["workflow.created"]

    smtp.does = "accept"
    _make_due()

    assert agent_api.told(asked["workflowId"]) == ["workflow.created", "approval.sent.email"]


def test_delivery_that_never_works_fails_visibly(
    agent_api: Api, smtp: MailServer, settings: Settings
) -> None:
    settings.DELIVERY_MAX_ATTEMPTS = 3
    smtp.does = "busy-recipient"
    asked = agent_api.post("/api/v1/workflows", ASK, expect=201)

    for _ in range(5):
        _make_due()

    assert smtp.attempts == 3
    assert agent_api.told(asked["workflowId"]) == [
        "workflow.created",
        "delivery.failed",
        "delivery.undeliverable",
    ]


def _link(mail: Any) -> str:
    text = mail.get_body(("plain",)).get_content()
    found = re.search(r"http://testserver(/l/[^\s>]+)", text)
    assert found
    return found.group(1)


def _make_due() -> None:
    Delivery.objects.filter(status="pending").update(next_retry_at=database_now())
    sweep_deliveries()


def _only(channel: str) -> None:
    ContactPoint.objects.exclude(kind=channel).update(use=ContactPoint.Use.OFF)


def _break(smtp: MailServer, slack: SlackServer) -> None:
    smtp.does, slack.does = "busy-recipient", Said(503)


def _mend(smtp: MailServer, slack: SlackServer, but: str = "") -> None:
    if but != "email":
        smtp.does = "accept"
    if but != "slack":
        slack.does = "answer"


def _again(agent_api: Api, first: bool) -> str:
    """Ask, or make due what waits for its time; the request's id."""
    if first:
        return str(agent_api.post("/api/v1/workflows", ASK, expect=201)["workflowId"])
    _make_due()
    return str(Workflow.objects.get().pk)


def _seconds_until(moment: str) -> float:
    return (dt.datetime.fromisoformat(moment) - database_now()).total_seconds()
