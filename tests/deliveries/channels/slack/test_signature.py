"""Who may speak as Slack: nobody but who signs the raw bytes with our secret, now."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings
from slack_sdk.signature import SignatureVerifier

from deliveries.channels.base import Forged, Reply
from deliveries.channels.slack import SlackChannel, signature
from tests.deliveries.channels.slack.conftest import request_of, send
from tests.standins.slack import Post, Workspace, click, sign, tampered
from tests.standins.slack.posts import headers_for

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PAYLOAD = {"type": "block_actions", "name": "ä & <b>"}


@pytest.fixture(autouse=True)
def _secret(settings: Settings) -> None:
    settings.SLACK_SIGNING_SECRET = SECRET


@pytest.fixture
def post() -> Post:
    return sign(PAYLOAD, SECRET)


def is_accepted(post: Post) -> bool:
    """Whether it passes; anything but Forged is an error of ours."""
    try:
        SlackChannel().verify(request_of(post))
    except Forged:
        return False
    return True


def with_header(post: Post, name: str, value: str) -> Post:
    return replace(post, headers={**post.headers, f"X-Slack-{name}": value})


def test_what_slack_signs_is_accepted(post: Post) -> None:
    assert is_accepted(post)


def test_example_of_slacks_documentation_has_its_signature() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    wanted = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signature.sign(body, secret=SECRET, timestamp="1531420618") == wanted


def test_sdk_makes_the_same_signature(post: Post) -> None:
    timestamp = post.headers["X-Slack-Request-Timestamp"]
    theirs = SignatureVerifier(SECRET).generate_signature(timestamp=timestamp, body=post.body)
    assert theirs == signature.sign(post.body, secret=SECRET, timestamp=timestamp)


VARIANTS = [name for name, _ in tampered(sign(PAYLOAD, SECRET))]


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_may_be_changed(post: Post, variant: str) -> None:
    assert not is_accepted(dict(tampered(post))[variant])


@pytest.mark.parametrize("age", [301, 302, 3600, -301, -302, -86400])
def test_stale_and_early_posts_are_refused(age: int) -> None:
    assert not is_accepted(sign(PAYLOAD, SECRET, at=time.time() - age))


@pytest.mark.parametrize("age", [0, 298, -298])
def test_clocks_may_differ_by_five_minutes(age: int) -> None:
    assert is_accepted(sign(PAYLOAD, SECRET, at=time.time() - age))


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "abc", "1_000", "-1", "+1", "0x10", "1e9", "1.5", "9" * 30, "1" * 13, "nan",
        "٤٢", "١٦٩٨٧٦٥٤٣٢", " 1700000000", "1700000000 ", "1700000000\t", "\u0661", "\u00b2", "½",
    ],
)  # fmt: skip
def test_odd_timestamps_are_refused(post: Post, value: str) -> None:
    assert not is_accepted(with_header(post, "Request-Timestamp", value))


def test_arabic_digits_of_this_very_second_are_refused() -> None:
    body = sign(PAYLOAD, SECRET).body
    now = str(int(time.time()))
    arabic = now.translate({ord(digit): 0x660 + int(digit) for digit in "0123456789"})
    made = signature.sign(body, secret=SECRET, timestamp=arabic)
    headers = {"X-Slack-Request-Timestamp": arabic, "X-Slack-Signature": made}
    assert not is_accepted(replace(sign(PAYLOAD, SECRET), headers=headers))


@pytest.mark.parametrize(
    "value",
    [
        "", "v0", "v0=", "v1=", "v0=ä", "v0=\u0660", "\ud800", "v0=" + "0" * 64, "=" * 100,
        "v0=" + "a" * 1_000_000, "v0=\x00", "v0=%s", "V0=",
    ],
)  # fmt: skip
def test_odd_signatures_are_refused(post: Post, value: str) -> None:
    assert not is_accepted(with_header(post, "Signature", value))


@pytest.mark.parametrize("change", [str.upper, lambda value: f" {value}", lambda v: f"{v} "])
def test_signature_is_compared_byte_by_byte(post: Post, change: Callable[[str], str]) -> None:
    changed = change(post.headers["X-Slack-Signature"])
    assert not is_accepted(with_header(post, "Signature", changed))


@hypothesis_settings(deadline=None)
@given(st.text(), st.text())
def test_no_header_breaks_the_check(timestamp: str, signature: str) -> None:
    post = sign(PAYLOAD, SECRET)
    post = with_header(with_header(post, "Request-Timestamp", timestamp), "Signature", signature)
    assert not is_accepted(post)


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_can_be_signed(body: bytes) -> None:
    post = replace(sign(PAYLOAD, SECRET), body=body, headers=headers_for(body, SECRET))
    assert is_accepted(post)
    assert not is_accepted(replace(post, body=body + b"\n"))


def test_same_form_in_other_bytes_is_refused(post: Post) -> None:
    assert b"%20" not in post.body
    assert b"+" in post.body
    assert not is_accepted(replace(post, body=post.body.replace(b"+", b"%20")))


@pytest.mark.parametrize("secret", ["", " ", ",", " , "])
@pytest.mark.parametrize("debug", [False, True])
def test_without_a_secret_nothing_is_accepted(settings: Settings, secret: str, debug: bool) -> None:
    settings.SLACK_SIGNING_SECRET, settings.DEBUG = secret, debug
    for theirs in ("", secret, "None"):
        assert not is_accepted(sign(PAYLOAD, theirs))


def test_debug_changes_nothing(settings: Settings, post: Post) -> None:
    settings.DEBUG = True
    assert is_accepted(post)
    assert not is_accepted(with_header(post, "Signature", "v0="))


def test_another_apps_signature_is_refused() -> None:
    assert not is_accepted(sign(PAYLOAD, "another-secret"))


def test_both_secrets_count_while_one_replaces_the_other(settings: Settings) -> None:
    settings.SLACK_SIGNING_SECRET = f"new-secret, {SECRET}"
    assert is_accepted(sign(PAYLOAD, SECRET))
    assert is_accepted(sign(PAYLOAD, "new-secret"))
    assert not is_accepted(sign(PAYLOAD, f"new-secret, {SECRET}"))
    settings.SLACK_SIGNING_SECRET = "new-secret"
    assert not is_accepted(sign(PAYLOAD, SECRET))


def test_more_than_we_read_is_refused(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert not is_accepted(sign({"x": "y" * 200}, SECRET))


def test_deprecated_token_in_the_body_counts_for_nothing() -> None:
    request = RequestFactory().post("/webhooks/slack/callback", {"token": SECRET})
    with pytest.raises(Forged):
        SlackChannel().verify(request)


@pytest.mark.parametrize("kind", ["url_verification", "event_callback"])
def test_posts_of_slack_itself_are_checked_too(kind: str) -> None:
    good = sign({"type": kind, "challenge": "c"}, SECRET, as_json=True)
    assert is_accepted(good)
    assert not is_accepted(with_header(good, "Signature", "v0=0"))


def test_refusal_says_nothing() -> None:
    assert str(Forged()) == Forged.title


def test_repeated_post_is_the_same_event_a_hundred_times(workspace: Workspace) -> None:
    send()
    post = click(workspace, workspace.last, "hitl_approve")
    events = set()
    for number in range(100):
        request = request_of(post.retried(number) if number else post)
        SlackChannel().verify(request)
        [reply] = SlackChannel().parse(request)
        assert isinstance(reply, Reply)
        events.add((reply.event_id, reply.reference, reply.decision))
    assert len(events) == 1
