"""Slack against a real HTTP server that plays its Web API."""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml
from pytest_django import Settings

from deliveries.channels.base import Channel, ChannelError, Message, Reply
from deliveries.channels.slack import SlackChannel, api
from tests.deliveries.channels.contract import CANARY, LINK, ChannelContract, Provider
from tests.deliveries.channels.slack.conftest import ANN, KEY, pressed, send
from tests.deliveries.factories import make_message
from tests.deliveries.smtp import free_port
from tests.standins.server import Said
from tests.standins.slack import SlackServer, Workspace
from tests.standins.slack.server import TOO_MANY, UNWELL

NOW = dt.datetime.now(dt.UTC)


class WebApi(Provider):
    def __init__(self, server: SlackServer, settings: Settings) -> None:
        self.server = server
        self.settings = settings

    def received(self) -> list[str]:
        return [f"{post.text} {post.seen}" for post in self.server.workspace.posts]

    def refuse_for_good(self) -> None:
        said = {"ok": False, "error": "channel_not_found", "detail": f"{LINK} {CANARY}"}
        self.server.refusals["chat.postMessage"] = Said(200, said)

    def refuse_for_now(self) -> None:
        self.server.does = TOO_MANY

    def hang(self) -> None:
        self.server.does = "hang"

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.settings.SLACK_API_URL = f"http://127.0.0.1:{free_port()}/api/"
        yield


class TestContract(ChannelContract):
    name = "slack"
    to = ANN

    @pytest.fixture
    def provider(self, slack: SlackServer, settings: Settings) -> Iterator[Provider]:
        yield WebApi(slack, settings)  # noqa: PT022  # the contract types it as a generator

    def test_hands_over_what_when_who_and_the_link(
        self, channel: Channel, provider: Provider
    ) -> None:
        """The link is the page for people with a login: everybody in a channel would see it."""
        self.send(channel)
        [text] = provider.received()
        for part in ("Refund order A-1009", "120", "24 Nov", "refund-bot", make_message().url):
            assert part in text
        assert LINK not in text


def test_message_to_a_person_opens_the_direct_conversation(workspace: Workspace) -> None:
    receipt = send(to="T0HITL:U0ANN")
    assert receipt.provider_ids["channel"] == "D0ANN"
    assert receipt.provider_ids["ts"] == workspace.last.ts
    assert receipt.delivered


def test_message_goes_to_a_channel_that_the_app_is_in(workspace: Workspace) -> None:
    assert send(to="T0HITL:C0DEPLOY").provider_ids["channel"] == "C0DEPLOY"


@pytest.mark.parametrize(
    "address",
    ["", "U0ANN", "T0HITL", "T0HITL:", "T0HITL:u0ann", "T0HITL:X1", "T1:U1\n", "#general"],
)
def test_what_is_not_an_address_is_refused_unsent(slack: SlackServer, address: str) -> None:
    with pytest.raises(ChannelError) as caught:
        send(to=address)
    assert caught.value.permanent
    assert slack.ledger == []


def test_key_travels_in_buttons_and_metadata_and_nowhere_else(workspace: Workspace) -> None:
    send()
    values = {name: part.get("value") for name, part in workspace.last.buttons.items()}
    assert values == {
        "hitl_approve": KEY, "hitl_reject": KEY, "hitl_edit": KEY, "hitl_open": None,
    }  # fmt: skip
    wanted = {"event_type": "hitl_delivery", "event_payload": {"key": KEY}}
    assert workspace.last.metadata == wanted
    assert KEY not in workspace.last.text


def test_nothing_unfolds_and_nothing_is_parsed(workspace: Workspace) -> None:
    send()
    arguments = workspace.calls("chat.postMessage")[0].arguments
    assert arguments["unfurl_links"] is arguments["unfurl_media"] is False
    assert arguments["mrkdwn"] is arguments["link_names"] is False
    assert arguments["parse"] == "none"


def test_message_without_choices_only_tells(workspace: Workspace) -> None:
    send(make_message(kind="outcome", choices=[], outcome="Approved by Ann in Slack at 12:00."))
    assert workspace.last.buttons == {}
    assert "Approved by Ann" in workspace.last.seen


# --- what can go wrong --------------------------------------------------------------------------


def failure(message: Message | None = None) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        send(message)
    return caught.value


@pytest.mark.parametrize(
    "code",
    [
        "account_inactive", "channel_not_found", "invalid_auth", "invalid_blocks", "is_archived",
        "missing_scope", "msg_blocks_too_long", "not_in_channel", "restricted_action",
        "token_revoked", "user_not_found",
    ],
)  # fmt: skip
def test_refusals_are_permanent(slack: SlackServer, code: str) -> None:
    slack.refuse(code)
    error = failure()
    assert error.permanent
    assert code in str(error)


@pytest.mark.parametrize(
    "code", ["internal_error", "fatal_error", "request_timeout", "service_unavailable"]
)
def test_troubles_of_slack_are_transient(slack: SlackServer, code: str) -> None:
    slack.refuse(code)
    assert not failure().permanent


def test_too_many_tells_how_long_to_wait_and_is_not_tried_again(slack: SlackServer) -> None:
    slack.does = TOO_MANY
    error = failure()
    assert error.retry_after == 30
    assert not error.permanent
    assert len(slack.ledger) == 1


@pytest.mark.parametrize("given", ["", "soon", "-1", "1e9", "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_too_many_without_a_usable_time_waits_all_the_same(slack: SlackServer, given: str) -> None:
    slack.does = Said(429, {}, {"Retry-After": given})
    assert failure().retry_after == api.RETRY_AFTER


def test_too_many_may_also_be_an_error_code(slack: SlackServer) -> None:
    slack.refuse("ratelimited")
    assert failure().retry_after == api.RETRY_AFTER


@pytest.mark.parametrize(
    "said",
    [
        UNWELL,
        Said(503, {}),
        Said(200, raw=b"<html>\xff oops"),
        Said(200, raw=b'{"ok":tr'),
        Said(200, []),
        Said(200, "ok"),
        Said(200, {}),
        Said(200, {"ok": False}),
        Said(200, {"ok": False, "error": ["x"]}),
        Said(200, {"ok": False, "error": "<script>"}),
        Said(200, {"ok": True}),
        Said(200, {"ok": True, "channel": 1, "ts": None}),
        Said(200, {"ok": True}, {"Content-Type": "text/plain; charset=klingon"}),
    ],
)
def test_an_answer_that_is_not_slacks_is_transient(slack: SlackServer, said: Said) -> None:
    slack.does = said
    error = failure()
    assert not error.permanent
    assert "<" not in str(error)


def test_hanging_slack_costs_seconds_not_minutes(slack: SlackServer) -> None:
    slack.does = "hang"
    started = dt.datetime.now(dt.UTC)
    assert "in time" in str(failure())
    assert dt.datetime.now(dt.UTC) - started < dt.timedelta(seconds=5)


@pytest.mark.parametrize("does", ["hang", "refuse", "drop", "rubbish", TOO_MANY, UNWELL])
def test_every_failure_is_one_try(slack: SlackServer, does: str | Said) -> None:
    slack.does = does
    failure()
    assert len(slack.ledger) == 1


@pytest.mark.parametrize("token", ["", None])
def test_without_a_token_nothing_is_tried(
    slack: SlackServer, settings: Settings, token: str | None
) -> None:
    settings.SLACK_BOT_TOKEN = token
    assert failure().permanent
    assert slack.ledger == []


@pytest.mark.parametrize(
    "does", ["hang", "refuse", "drop", "rubbish", TOO_MANY, UNWELL, Said(200, {"ok": False})]
)
def test_token_and_message_stay_out_of_errors_and_logs(
    slack: SlackServer, does: str | Said, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.does = does
    error = failure(make_message(title=CANARY))
    for secret in (slack.workspace.token, CANARY):
        assert secret not in f"{error} {error.__cause__!r} {error.__context__!r} {caplog.text}"


def test_a_token_that_breaks_the_header_is_not_quoted(
    slack: SlackServer, settings: Settings
) -> None:
    settings.SLACK_BOT_TOKEN = "xoxb-secret\r\nX-Evil: 1"
    error = failure()
    assert "secret" not in f"{error} {error.__cause__!r}"
    assert slack.ledger == []


def test_ten_bad_minutes_then_everything_is_there_once(slack: SlackServer) -> None:
    """Timeouts and 500s for a while: what was tried is tried again, found or posted, never both."""
    for does in ("refuse", UNWELL, "drop"):
        slack.does = does
        failure()
    slack.does = "answer"
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) is not None
    assert len(slack.workspace.posts) == 1


def test_both_copies_of_a_doubled_message_are_rewritten(slack: SlackServer) -> None:
    slack.does = "drop"
    failure()
    slack.does = "answer"
    lost = SlackChannel().find(to=ANN, key=KEY, since=NOW)
    again = send()
    assert lost is not None
    for receipt in (lost, again):
        update(receipt.provider_ids)
    assert [post.buttons for post in slack.workspace.posts] == [{}, {}]


# --- rewriting ----------------------------------------------------------------------------------


def update(provider_ids: dict[str, str], outcome: str = "Approved by Ann in Slack.") -> None:
    SlackChannel().update(make_message(outcome=outcome), to=ANN, provider_ids=provider_ids)


def test_rewritten_message_tells_the_outcome_and_has_no_buttons(workspace: Workspace) -> None:
    update(send().provider_ids)
    assert workspace.last.buttons == {}
    assert "Approved by Ann in Slack." in workspace.last.seen
    assert workspace.last.text == "Approved by Ann in Slack. (Refund order A-1009)"
    for part in ("Refund order A-1009", "120", "9f86d081884c"):
        assert part in workspace.last.seen


def test_question_that_still_stands_keeps_its_buttons(workspace: Workspace) -> None:
    ids = send().provider_ids
    before = workspace.last.buttons
    told = make_message(progress="1 of 2, waiting for Finance.")
    SlackChannel().update(told, to=ANN, provider_ids=ids, key=KEY)
    assert len(workspace.posts) == 1
    assert "1 of 2, waiting for Finance." in workspace.last.seen
    assert {name: part.get("value") for name, part in workspace.last.buttons.items()} == {
        name: part.get("value") for name, part in before.items()
    }
    assert pressed(workspace, "hitl_approve").reference == KEY


def test_buttons_go_with_the_outcome_even_if_the_caller_left_the_choices_in(
    workspace: Workspace,
) -> None:
    ids = send().provider_ids
    told = make_message(outcome="Approved by Bob.")
    SlackChannel().update(told, to=ANN, provider_ids=ids, key=KEY)
    assert workspace.last.buttons == {}


def test_rewritten_message_can_still_be_found(workspace: Workspace) -> None:
    receipt = send()
    update(receipt.provider_ids)
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) == receipt


def test_rewriting_twice_changes_nothing_more(workspace: Workspace) -> None:
    ids = send().provider_ids
    update(ids)
    seen = [{**block, "block_id": ""} for block in workspace.last.blocks]
    update(ids)
    assert [{**block, "block_id": ""} for block in workspace.last.blocks] == seen


def test_a_message_that_is_gone_cannot_be_rewritten(workspace: Workspace) -> None:
    with pytest.raises(ChannelError) as caught:
        update({"channel": "D0ANN", "ts": "1.000001"})
    assert caught.value.permanent


# --- finding ------------------------------------------------------------------------------------


def test_found_message_has_the_receipt_of_the_sent_one(workspace: Workspace) -> None:
    receipt = send(to="T0HITL:C0DEPLOY")
    send(to="T0HITL:C0DEPLOY", key="another")
    assert SlackChannel().find(to="T0HITL:C0DEPLOY", key=KEY, since=NOW) == receipt


def test_never_sent_message_is_not_found(workspace: Workspace) -> None:
    send(key="another")
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) is None


def test_message_is_found_pages_deep(workspace: Workspace) -> None:
    receipt = send()
    for number in range(230):
        workspace.call(
            "chat.postMessage", {"channel": "U0ANN", "text": f"{number}"}, workspace.token
        )
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) == receipt


def test_copy_of_our_metadata_by_somebody_else_is_not_ours(workspace: Workspace) -> None:
    """Whoever learns a key could otherwise keep a message from being sent."""
    send()
    workspace.last.user = "U0CARL"
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) is None


@pytest.mark.parametrize(
    "metadata",
    [None, {"event_type": "other", "event_payload": {"key": KEY}}, {"event_type": "hitl_delivery"}],
)
def test_other_metadata_is_not_ours(workspace: Workspace, metadata: dict[str, Any] | None) -> None:
    send()
    workspace.last.metadata = metadata
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) is None


def test_older_messages_are_not_looked_at(workspace: Workspace) -> None:
    send()
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert SlackChannel().find(to=ANN, key=KEY, since=later) is None


def test_not_being_allowed_to_look_is_told(workspace: Workspace) -> None:
    workspace.scopes.remove("im:history")
    with pytest.raises(ChannelError, match="missing_scope") as caught:
        SlackChannel().find(to=ANN, key=KEY, since=NOW)
    assert caught.value.permanent


@pytest.mark.parametrize("messages", [None, [], ["x"], [{}], {"a": 1}])
def test_odd_history_finds_nothing(slack: SlackServer, messages: Any) -> None:
    said = {"ok": True, "messages": messages, "response_metadata": []}
    slack.refusals["conversations.history"] = Said(200, said)
    assert SlackChannel().find(to=ANN, key=KEY, since=NOW) is None


# --- telling ------------------------------------------------------------------------------------


@pytest.fixture
def reply(workspace: Workspace) -> Reply:
    send(to="T0HITL:C0DEPLOY")
    return pressed(workspace, "hitl_approve")


def test_the_one_who_pressed_is_told_alone(workspace: Workspace, reply: Reply) -> None:
    SlackChannel().tell(reply, "Already approved by <Carl> & co in Slack at 12:00.")
    [said] = workspace.ephemerals
    assert said.visible_to == "U0ANN"
    assert "Already approved by <Carl> & co" in said.seen
    assert said.text == "Already approved by &lt;Carl&gt; &amp; co in Slack at 12:00."
    assert workspace.last.buttons  # the message itself stays as it was


def test_five_uses_later_they_are_still_told(workspace: Workspace, reply: Reply) -> None:
    for _ in range(7):
        SlackChannel().tell(reply, "No.")
    assert [said.visible_to for said in workspace.ephemerals] == ["U0ANN"] * 7
    assert len(workspace.calls("chat.postEphemeral")) == 2


def test_where_the_app_cannot_speak_they_get_a_direct_message(
    workspace: Workspace, reply: Reply
) -> None:
    workspace.response_urls.clear()
    workspace.conversations["C0DEPLOY"].members.remove(workspace.bot)
    SlackChannel().tell(reply, "No.")
    assert workspace.last.channel == "D0ANN"


def test_after_a_modal_they_are_told_beside_the_message(workspace: Workspace, reply: Reply) -> None:
    SlackChannel().tell(Reply("decide", sender=reply.sender, place=reply.place), "No.")
    assert workspace.ephemerals[-1].channel == "C0DEPLOY"


def test_not_even_where_it_was_pressed_is_needed(workspace: Workspace) -> None:
    SlackChannel().tell(Reply("decide", sender=ANN), "No.")
    assert workspace.last.channel == "D0ANN"


def test_an_address_that_is_not_slacks_is_never_called(
    workspace: Workspace, reply: Reply, settings: Settings
) -> None:
    elsewhere = f"http://127.0.0.1:{free_port()}/steal"
    stolen = Reply("decide", ANN, place=reply.place, handle={"response_url": elsewhere})
    SlackChannel().tell(stolen, "No.")
    assert workspace.calls("chat.postEphemeral")


def test_too_many_while_telling_is_passed_on(slack: SlackServer, reply: Reply) -> None:
    slack.does = TOO_MANY
    with pytest.raises(ChannelError) as caught:
        SlackChannel().tell(reply, "No.")
    assert caught.value.retry_after == 30


def test_people_who_cannot_be_told_at_all_are_an_error(slack: SlackServer, reply: Reply) -> None:
    slack.does = "refuse"
    with pytest.raises(ChannelError):
        SlackChannel().tell(reply, "No.")


@pytest.mark.parametrize(
    ("url", "is_slacks"),
    [
        ("https://hooks.slack.com/actions/T1/2/3", True),
        ("https://slack.com/x", True),
        ("http://hooks.slack.com/actions", False),
        ("https://hooks.slack.com.evil.example/", False),
        ("https://hooks.slack.com@evil.example/", False),
        ("https://evil.example/hooks.slack.com", False),
        ("https://hooks.slack.com:444/", False),
        ("https://hooks.slack.com\\@evil.example/", False),
        ("https://hooks.slack.com/\nx", False),
        ("https://[::1", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_only_slacks_own_addresses_are_answered(
    settings: Settings, url: str, is_slacks: bool
) -> None:
    settings.SLACK_API_URL = "https://slack.com/api/"
    assert api.is_slacks(url) is is_slacks


# --- set-up -------------------------------------------------------------------------------------


def test_person_is_found_by_mail_address(workspace: Workspace) -> None:
    assert SlackChannel().lookup_user("Ann@Example.com") == ANN


def test_unknown_closed_and_robot_accounts_are_nobody(workspace: Workspace) -> None:
    workspace.add_person("U0GONE", "gone@example.com", deleted=True)
    workspace.add_person("U0ROBOT", "robot@example.com", is_bot=True)
    found = [SlackChannel().lookup_user(f"{name}@example.com") for name in ("x", "gone", "robot")]
    assert found == [None, None, None]


def test_not_being_allowed_to_look_up_is_not_the_same_as_nobody(workspace: Workspace) -> None:
    workspace.scopes.remove("users:read.email")
    with pytest.raises(ChannelError, match="missing_scope"):
        SlackChannel().lookup_user("ann@example.com")


def test_missing_scopes_are_named(workspace: Workspace) -> None:
    assert SlackChannel().check_scopes() == []
    workspace.scopes = ["chat:write", "im:write"]
    assert "users:read.email" in SlackChannel().check_scopes()
    assert "chat:write" not in SlackChannel().check_scopes()


def test_manifest_asks_for_the_scopes_that_are_checked() -> None:
    manifest = cast(dict[str, Any], load_manifest())
    assert tuple(manifest["oauth_config"]["scopes"]["bot"]) == api.SCOPES
    interactivity = manifest["settings"]["interactivity"]
    assert interactivity["is_enabled"]
    assert interactivity["request_url"].endswith("/webhooks/slack/callback")
    description = manifest["display_information"]["long_description"]
    assert 174 <= len(description) <= 4000  # outside of it Slack refuses the manifest


def load_manifest() -> object:
    with open("docs/slack-app-manifest.yaml", encoding="utf-8") as file:
        return yaml.safe_load(file)


@pytest.mark.parametrize(
    ("bot", "secret", "app", "is_on"),
    [
        ("xoxb", "secret", "", True),
        ("xoxb", "", "xapp", True),
        ("xoxb", "", "", False),
        ("", "secret", "xapp", False),
    ],
)
def test_is_on_with_a_bot_and_a_way_back(
    settings: Settings, bot: str, secret: str, app: str, is_on: bool
) -> None:
    settings.SLACK_BOT_TOKEN, settings.SLACK_SIGNING_SECRET = bot, secret
    settings.SLACK_APP_TOKEN = app
    assert SlackChannel.is_on() is is_on
