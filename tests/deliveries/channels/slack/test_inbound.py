"""Posts from Slack: what they become, and that nothing odd becomes anything."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from deliveries.channels.base import Answer, Reply, Report
from deliveries.channels.slack import SlackChannel
from deliveries.channels.slack.inbound import SocketRequest
from tests.deliveries.channels.slack.conftest import ANN, KEY, pressed, request_of, send
from tests.deliveries.factories import make_message
from tests.lib import strategies
from tests.standins.slack import Post, Workspace, click, close, sign, submit

SECRET = "signing-secret"


def parse(post: Post) -> list[Reply | Report]:
    return SlackChannel().parse(request_of(post))


def acknowledge(post: Post, problem: str = "") -> Answer:
    return SlackChannel().acknowledge(request_of(post), problem)


@pytest.fixture
def asked(workspace: Workspace) -> Workspace:
    """A workspace with one message that asks."""
    send(to="T0HITL:C0DEPLOY")
    return workspace


@pytest.mark.parametrize(
    ("action_id", "action", "decision"),
    [
        ("hitl_approve", "decide", "approved"),
        ("hitl_reject", "ask_reason", "rejected"),
        ("hitl_edit", "ask_edits", "modified"),
    ],
)
def test_press_tells_what_who_and_where(
    asked: Workspace, action_id: str, action: str, decision: str
) -> None:
    reply = pressed(asked, action_id)
    assert (reply.action, reply.decision, reply.reference) == (action, decision, KEY)
    assert reply.sender == ANN
    assert reply.place == {"channel": "C0DEPLOY", "ts": asked.last.ts}
    assert reply.handle["response_url"].startswith(asked.url)
    assert reply.handle["trigger_id"] in asked.triggers


def test_two_presses_are_two_events(asked: Workspace) -> None:
    assert pressed(asked, "hitl_approve").event_id != pressed(asked, "hitl_approve").event_id


def test_link_button_is_acknowledged_and_means_nothing(asked: Workspace) -> None:
    post = click(asked, asked.last, "hitl_open")
    assert parse(post) == []
    assert acknowledge(post) == Answer()


def test_retried_press_is_not_dropped(asked: Workspace) -> None:
    """The first copy may never have arrived."""
    post = click(asked, asked.last, "hitl_approve").retried(3, "connection_failed")
    assert len(parse(post)) == 1


def test_people_of_other_workspaces_are_told_apart(asked: Workspace) -> None:
    """In shared channels they see the buttons too."""
    asked.add_person("U0EVE", "eve@evil.example", team="T0EVIL")
    assert pressed(asked, "hitl_approve", "U0EVE").sender == "T0EVIL:U0EVE"


def test_names_and_addresses_in_the_payload_are_not_believed(asked: Workspace) -> None:
    user = {"id": "U0EVE", "team_id": "T0EVIL", "name": "ann", "username": "ann", "email": "a@b"}
    [reply] = parse(click(asked, asked.last, "hitl_approve", user=user))
    assert isinstance(reply, Reply)
    assert reply.sender == "T0EVIL:U0EVE"


def test_installed_for_a_whole_organisation_the_person_has_a_team(asked: Workspace) -> None:
    changes: dict[str, Any] = {"team": None, "enterprise": {"id": "E1"}}
    [reply] = parse(click(asked, asked.last, "hitl_approve", **changes))
    assert isinstance(reply, Reply)
    assert reply.sender == ANN


def test_value_that_names_another_request_shows_by_its_place(asked: Workspace) -> None:
    """Only the place where it was pressed tells: it is Slack's word, the value is anybody's."""
    [reply] = parse(click(asked, asked.last, "hitl_approve", value="another-delivery"))
    assert isinstance(reply, Reply)
    assert reply.reference == "another-delivery"
    assert reply.place == {"channel": "C0DEPLOY", "ts": asked.last.ts}


def test_press_on_a_copy_elsewhere_shows_by_its_place(asked: Workspace) -> None:
    container = {"type": "message", "message_ts": "1.000001", "channel_id": "C0EVIL"}
    [reply] = parse(click(asked, asked.last, "hitl_approve", container=container))
    assert isinstance(reply, Reply)
    assert reply.place == {"channel": "C0EVIL", "ts": "1.000001"}


@pytest.mark.parametrize(
    "url", ["https://evil.example/x", "http://127.0.0.1:1/actions", 7, None, "https://[::1"]
)
def test_addresses_to_answer_to_must_be_slacks(asked: Workspace, url: Any) -> None:
    [reply] = parse(click(asked, asked.last, "hitl_approve", response_url=url))
    assert isinstance(reply, Reply)
    assert set(reply.handle) == {"trigger_id"}


@pytest.mark.parametrize(
    "changes",
    [
        {"user": None},
        {"user": {"id": "U1"}, "team": None},
        {"user": {"id": "U1 ", "team_id": "T1"}},
        {"user": {"id": "U1:U2", "team_id": "T1"}},
        {"container": None},
        {"container": {"type": "view", "view_id": "V1"}},
        {"container": {"channel_id": "C1", "message_ts": "now"}},
        {"actions": None},
        {"actions": [None, {}, {"action_id": 7}, {"action_id": "other"}]},
        {"type": "block_suggestion"},
        {"type": None},
    ],
)
def test_what_is_not_whole_is_nothing(asked: Workspace, changes: dict[str, Any]) -> None:
    post = click(asked, asked.last, "hitl_approve", **changes)
    assert parse(post) == []
    assert acknowledge(post) == Answer()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"payload=", b"payload=x", b"payload=[]", b"payload=null", b"payload=%FF", b"\xff\xfe",
        b"{", b"[]", b"ssl_check=1&token=x", b"payload=%22x%22", b"{" * 100_000,
        b"payload=" + b"[" * 100_000, b"&".join([b"a=b"] * 100), b"payload=1&payload=2",
    ],
)  # fmt: skip
def test_bodies_that_are_no_payload_are_nothing(body: bytes) -> None:
    post = Post("/webhooks/slack/callback", body, "application/x-www-form-urlencoded", {})
    assert parse(post) == []
    assert acknowledge(post, "problem") == Answer()


@hypothesis_settings(deadline=None)
@given(strategies.values)
def test_any_json_is_something_or_nothing(value: Any) -> None:
    post = sign(value, SECRET)
    assert parse(post) == []
    assert acknowledge(post, "problem").status == 200


ODD = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
NAMES = ["id", "hash", "callback_id", "private_metadata", "state", "blocks", "values"]


@hypothesis_settings(deadline=None)
@given(
    kind=st.sampled_from(["block_actions", "view_submission", "view_closed", "url_verification"]),
    view=st.dictionaries(st.sampled_from(NAMES), ODD | st.just("hitl_edits")),
    parts=st.dictionaries(
        st.sampled_from(["actions", "container", "team", "trigger_id", "response_url"]), ODD
    ),
)
def test_any_shape_of_payload_is_survived(
    kind: str, view: dict[str, Any], parts: dict[str, Any]
) -> None:
    user = {"id": "U1", "team_id": "T1"}
    post = sign({"type": kind, "user": user, "view": view, **parts}, SECRET)
    for reply in parse(post):
        assert isinstance(reply, Reply)
    assert acknowledge(post, "problem").status == 200


def test_new_callback_address_is_confirmed() -> None:
    post = sign({"type": "url_verification", "challenge": "3eZb"}, SECRET, as_json=True)
    assert parse(post) == []
    assert acknowledge(post) == Answer("3eZb", "text/plain", 200)


def test_event_we_did_not_ask_for_is_nothing() -> None:
    event = {"type": "event_callback", "event": {"type": "app_mention"}, "team_id": "T1"}
    assert parse(sign(event, SECRET, as_json=True)) == []


def test_press_is_acknowledged_with_nothing(asked: Workspace) -> None:
    assert acknowledge(click(asked, asked.last, "hitl_approve"), "a problem") == Answer()


@pytest.fixture
def modal(asked: Workspace) -> Workspace:
    """A workspace with the modal for the reason open."""
    SlackChannel().ask(pressed(asked, "hitl_reject"), make_message(), [])
    return asked


def test_submitted_reason_rejects_where_it_was_pressed(modal: Workspace) -> None:
    [reply] = parse(submit(modal, modal.views[-1], {"Why not?": " Too much. \n"}))
    assert isinstance(reply, Reply)
    assert (reply.action, reply.decision, reply.reference) == ("decide", "rejected", KEY)
    assert reply.comment == "Too much."
    assert reply.values is None
    assert reply.place == {"channel": "C0DEPLOY", "ts": modal.last.ts}
    assert reply.sender == ANN


def test_submitted_modal_closes(modal: Workspace) -> None:
    answer = acknowledge(submit(modal, modal.views[-1], {"Why not?": "No."}))
    assert json.loads(answer.body) == {"response_action": "clear"}
    assert answer.content_type == "application/json"


def test_problem_is_shown_in_the_modal(modal: Workspace) -> None:
    post = submit(modal, modal.views[-1], {"Why not?": "No."})
    answer = json.loads(acknowledge(post, "Already approved by Carl.").body)
    wanted = {"comment": "Already approved by Carl."}
    assert answer == {"response_action": "errors", "errors": wanted}


def test_second_try_after_a_problem_is_another_event(modal: Workspace) -> None:
    """Slack keeps id and hash of a view that was refused with errors."""
    first, second = (submit(modal, modal.views[-1], {"Why not?": why}) for why in ("a", "b"))
    [one], [again], [other] = parse(first), parse(first.retried()), parse(second)
    assert isinstance(one, Reply)
    assert isinstance(again, Reply)
    assert isinstance(other, Reply)
    assert one.event_id == again.event_id != other.event_id


def test_closed_modal_is_nothing(modal: Workspace) -> None:
    assert parse(close(modal, modal.views[-1])) == []
    assert acknowledge(close(modal, modal.views[-1])) == Answer()


def test_modal_of_somebody_else_is_nothing(modal: Workspace) -> None:
    modal.views[-1].view["callback_id"] = "other"
    assert parse(submit(modal, modal.views[-1], {"Why not?": "x"})) == []


def test_payload_of_the_socket_parses_like_a_post(asked: Workspace, settings: Settings) -> None:
    settings.SLACK_SIGNING_SECRET = ""
    post = click(asked, asked.last, "hitl_approve")
    request = SocketRequest(post.payload)
    SlackChannel().verify(request)
    assert SlackChannel().parse(request) == parse(post)
