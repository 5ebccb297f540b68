"""The doors of the played providers: only in the sandbox, and only with its tokens."""

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine
from django.test import Client
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from deliveries.channels import CHANNELS
from deliveries.channels.base import ChannelError, Note, Reply
from deliveries.channels.slack import SlackChannel
from deliveries.models import SandboxMessage
from deliveries.sandbox import slack, sms, telegram
from deliveries.sandbox.mail import EmailBackend
from hitl.accounts.models import User
from tests.dashboard import screens
from tests.deliveries.factories import make_message

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "0193aaaa-0000-7000-8000-000000000001"
PROVIDERS = "/sandbox/providers"
Account = dict[str, str]


@pytest.fixture(autouse=True)
def account(settings: Settings, live_server: LiveServer, tmp_path: Path) -> Account:
    """Everything that has to be known, of all providers."""
    screens.play(settings, live_server, tmp_path)
    return {k: v for each in settings.SANDBOX_ACCOUNTS.values() for k, v in each.items()}


def paths(account: Account) -> dict[str, str]:
    sid = account["TWILIO_ACCOUNT_SID"]
    return {
        "slack": f"{PROVIDERS}/slack/api/chat.postMessage",
        "response": f"{PROVIDERS}/slack/actions/x",
        "sms": f"{PROVIDERS}/twilio/2010-04-01/Accounts/{sid}/Messages.json",
        "account": f"{PROVIDERS}/twilio/2010-04-01/Accounts/{sid}.json",
        "telegram": f"{PROVIDERS}/telegram/bot{account['TELEGRAM_BOT_TOKEN']}/sendMessage",
    }


def login(account: Account, token: str = "") -> str:
    pair = f"{account['TWILIO_ACCOUNT_SID']}:{token or account['TWILIO_AUTH_TOKEN']}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


# --- Who gets in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["slack", "response", "sms", "account", "telegram"])
def test_absent_outside_the_sandbox(account: Account, settings: Settings, door: str) -> None:
    path = paths(account)[door]
    assert Client().post(path).status_code != 404 or door == "response"
    settings.SANDBOX = False
    assert Client().post(path).status_code == 404
    settings.SANDBOX, settings.SANDBOX_ACCOUNTS = True, {}
    answer = Client().post(path)
    assert answer.status_code == 404
    assert b"no_service" not in answer.content


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer xoxb-sandbox-é"])
def test_slack_wants_its_token(account: Account, approver: User, token: str) -> None:
    given = {"channel": slack.address(approver).partition(":")[2], "text": "hello"}
    answer = Client().post(
        paths(account)["slack"],
        given,
        content_type="application/json",
        headers={"Authorization": token},
    )
    assert answer.json() == {"ok": False, "error": "invalid_auth" if token else "not_authed"}
    assert not SandboxMessage.objects.exists()


@pytest.mark.parametrize("header", ["", "Basic", "Basic %%%", "Bearer x", "wrong"])
def test_twilio_wants_its_login(account: Account, header: str) -> None:
    given = login(account, "wrong") if header == "wrong" else header
    form = {"To": "+15551234567", "Body": "hello"}
    for door in ("sms", "account"):
        answer = Client().post(paths(account)[door], form, headers={"Authorization": given})
        assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert not SandboxMessage.objects.exists()


def test_twilio_knows_one_account(account: Account) -> None:
    path = paths(account)["account"].replace(account["TWILIO_ACCOUNT_SID"], "AC" + "0" * 32)
    answer = Client().get(path, headers={"Authorization": login(account)})
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


def test_telegram_wants_its_token(account: Account, approver: User) -> None:
    path = paths(account)["telegram"].replace(account["TELEGRAM_BOT_TOKEN"], "1:wrong")
    given = {"chat_id": telegram.address(approver), "text": "hello"}
    answer = Client().post(path, given, content_type="application/json")
    assert (answer.status_code, answer.json()["ok"]) == (401, False)
    assert not SandboxMessage.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '"x"', '{"chat_id": {}}', "\xff"])
def test_rubbish_is_refused_politely(account: Account, body: str) -> None:
    headers = {"Authorization": f"Bearer {account['SLACK_BOT_TOKEN']}"}
    for door in ("slack", "response", "telegram"):
        answer = Client().post(
            paths(account)[door], body, content_type="application/json", headers=headers
        )
        assert answer.status_code in (200, 400, 404)
    assert not SandboxMessage.objects.exists()


# --- Slack ----------------------------------------------------------------------------------------


def call(account: Account, method: str, **given: Any) -> dict[str, Any]:
    return slack.call(method, given, account["SLACK_BOT_TOKEN"])


def test_slack_is_a_workspace_of_everybody_here(approver: User) -> None:
    channel = SlackChannel()
    assert channel.lookup_user("ANN@example.com") == slack.address(approver)
    assert channel.lookup_user("nobody@example.com") is None
    assert channel.check_scopes() == []


def test_nobody_else_is_reached_in_slack(approver: User) -> None:
    for address in (f"{slack.TEAM}:U0NOBODY", f"{slack.TEAM}:C0GENERAL"):
        with pytest.raises(ChannelError, match="channel_not_found") as caught:
            SlackChannel().send(make_message(), to=address, key=KEY)
        assert caught.value.permanent


def test_sent_message_is_found_again(approver: User) -> None:
    channel, to = SlackChannel(), slack.address(approver)
    receipt = channel.send(make_message(), to=to, key=KEY)
    since = SandboxMessage.objects.get().created_at
    assert channel.find(to=to, key=KEY, since=since) == receipt
    assert channel.find(to=to, key="another", since=since) is None


def test_rewritten_message_is_marked(approver: User) -> None:
    channel, to = SlackChannel(), slack.address(approver)
    receipt = channel.send(make_message(), to=to, key=KEY)
    told = make_message(outcome="Approved by Ann.", choices=[])
    channel.update(told, to=to, provider_ids=receipt.provider_ids)
    row = SandboxMessage.objects.get()
    assert row.edited_at
    assert row.text == "Approved by Ann. (Refund order A-1009)"
    assert list(slack.buttons(row.payload["blocks"])) == []


@pytest.mark.parametrize(
    ("method", "given", "error"),
    [
        ("chat.delete", {}, "unknown_method"),
        ("chat.update", {"channel": "D1", "ts": "1.1", "text": "x"}, "message_not_found"),
        ("chat.postMessage", {"text": "x"}, "channel_not_found"),
        ("conversations.history", {"channel": "C0"}, "channel_not_found"),
        ("views.open", {"view": "{"}, "invalid_trigger_id"),
        ("views.open", {"trigger_id": "forged:1:x"}, "invalid_trigger_id"),
    ],
)
def test_slack_says_what_is_wrong(
    account: Account, method: str, given: dict[str, Any], error: str
) -> None:
    assert call(account, method, **given) == {"ok": False, "error": error}


def test_blocks_are_needed_and_bounded(account: Account, approver: User) -> None:
    id_ = slack.address(approver).partition(":")[2]
    assert call(account, "chat.postMessage", channel=id_)["error"] == "no_text"
    many = [{"type": "divider"}] * 51
    assert call(account, "chat.postMessage", channel=id_, blocks=many)["error"] == "invalid_blocks"
    bad = call(account, "chat.postMessage", channel=id_, blocks="[")
    assert bad["error"] == "invalid_arguments"


def test_trigger_is_good_for_moments(account: Account, approver: User) -> None:
    SlackChannel().send(make_message(), to=slack.address(approver), key=KEY)
    post = slack.press(SandboxMessage.objects.get(), "hitl_reject")
    assert post is not None
    trigger = _payload(post.body)["trigger_id"]
    assert len(trigger) < 200
    view = {"type": "modal", "blocks": []}
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)):
        late = call(account, "views.open", trigger_id=trigger, view=view)
    assert late["error"] == "expired_trigger_id"
    assert call(account, "views.open", trigger_id=trigger, view={})["error"] == "invalid_arguments"
    assert call(account, "views.open", trigger_id=trigger, view=view)["ok"]
    call(account, "views.open", trigger_id=trigger, view=view)
    assert SandboxMessage.objects.filter(kind="modal").count() == 1


def test_response_url_speaks_to_the_presser(approver: User) -> None:
    SlackChannel().send(make_message(), to=slack.address(approver), key=KEY)
    post = slack.press(SandboxMessage.objects.get(), "hitl_approve")
    assert post is not None
    url = _payload(post.body)["response_url"]
    handle = {"response_url": url}
    SlackChannel().tell(Reply("say", slack.address(approver), handle=handle), "Too late.")
    note = SandboxMessage.objects.get(kind="note")
    assert (note.recipient, note.text) == (slack.address(approver), "Too late.")


def _payload(body: bytes) -> dict[str, Any]:
    return dict(json.loads(parse_qs(body.decode())["payload"][0]))


# --- Twilio and Telegram --------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["", "123", "+0123456", "+1555x"])
def test_twilio_wants_a_number(account: Account, to: str) -> None:
    status, said = sms.create(
        account["TWILIO_ACCOUNT_SID"], {"To": to, "Body": "hello"}, login(account)
    )
    assert (status, said["code"]) == (400, 21211)


@pytest.mark.parametrize("body", ["", "x" * 1601])
def test_twilio_wants_a_text_of_some_length(account: Account, body: str) -> None:
    form = {"To": "+15551234567", "Body": body}
    status, said = sms.create(account["TWILIO_ACCOUNT_SID"], form, login(account))
    assert (status, said["code"]) == (400, 21602)


def test_telegram_rewrites_only_what_it_sent(account: Account, approver: User) -> None:
    chat = int(telegram.address(approver))
    sent = _bot(account, "sendMessage", chat_id=chat, text="hello")
    again = {"chat_id": chat, "message_id": sent["result"]["message_id"]}
    assert "not modified" in _bot(account, "editMessageText", **again, text="hello")["description"]
    assert _bot(account, "editMessageText", **again, text="bye")["ok"]
    assert SandboxMessage.objects.get().edited_at
    for number in (0, 999, None, "x"):
        answer = _bot(account, "editMessageText", chat_id=chat, message_id=number, text="x")
        assert "not found" in answer["description"]


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("sendMessage", {"chat_id": 5, "text": "x"}),
        ("sendMessage", {"text": "x"}),
        ("deleteMessage", {}),
        ("answerCallbackQuery", {"callback_query_id": "1"}),
    ],
)
def test_telegram_says_what_is_wrong(
    account: Account, approver: User, method: str, given: dict[str, Any]
) -> None:
    assert not _bot(account, method, **given)["ok"]


@pytest.mark.parametrize("text", ["", " ", "x" * 4097])
def test_telegram_wants_a_text_of_some_length(account: Account, approver: User, text: str) -> None:
    chat = telegram.address(approver)
    assert "message" in _bot(account, "sendMessage", chat_id=chat, text=text)["description"]


def _bot(account: Account, method: str, **given: Any) -> dict[str, Any]:
    return telegram.call(method, given, account["TELEGRAM_BOT_TOKEN"])[1]


# --- What the channels ask beside messages --------------------------------------------------------


@pytest.mark.parametrize("name", ["slack", "sms", "telegram"])
def test_accounts_can_be_checked(name: str) -> None:
    assert CHANNELS[name]().check().says


@pytest.mark.parametrize(
    ("name", "module"), [("slack", slack), ("sms", sms), ("telegram", telegram)]
)
def test_notes_arrive(approver: User, name: str, module: Any) -> None:
    CHANNELS[name]().say(Note("Test", "It works."), to=module.address(approver))
    assert "It works." in SandboxMessage.objects.get(channel=name).text


def test_no_mail_is_no_row() -> None:
    assert EmailBackend().send_messages([]) == 0
