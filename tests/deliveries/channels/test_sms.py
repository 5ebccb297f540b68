"""SMS against a stand-in of Twilio on loopback, and what Twilio posts to us."""

import contextlib
import dataclasses
import logging
import re
import time
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlencode

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from deliveries.channels import CHANNELS, sms
from deliveries.channels.base import (
    Channel,
    ChannelError,
    Choice,
    Forged,
    Message,
    Receipt,
    Reply,
    Report,
)
from deliveries.channels.sms import SmsChannel, compose, read
from hitl.lib import gsm7
from tests.deliveries.channels.contract import CANARY, KEY, LINK, ChannelContract, Provider
from tests.deliveries.factories import HOSTILE, make_message
from tests.receiver import free_port
from tests.standins import twilio as standin
from tests.standins.server import Post, Said
from tests.standins.twilio import ACCOUNT, ANN, CALLBACK, NUMBER, PUBLIC, SERVICE, TOKEN, Twilio

CODE = "BCDFG"
LONG_LINK = "https://approvals.example.com/l/" + "a" * 43 + "/"


@pytest.fixture
def twilio(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twilio]:
    monkeypatch.setattr(sms, "TIMEOUT_SECONDS", 1.0)
    with Twilio().running() as server:
        settings.TWILIO_ACCOUNT_SID = ACCOUNT
        settings.TWILIO_AUTH_TOKEN = TOKEN
        settings.TWILIO_FROM = NUMBER
        settings.TWILIO_API_URL = server.url
        settings.PUBLIC_URL = PUBLIC
        yield server


def low(**changes: object) -> Message:
    return make_message(**{"risk": "low", **changes})


def send(message: Message | None = None, *, to: str = ANN, code: str = "") -> Receipt:
    return SmsChannel().send(message or make_message(), to=to, key=KEY, link=LINK, code=code)


def received(post: Post, **meta: str) -> HttpRequest:
    """The post as Django hands it over; `meta` overrides what the server would have set."""
    return RequestFactory(**meta).post(  # type: ignore[arg-type]
        post.path, data=post.body, content_type=post.content_type, headers=dict(post.headers)
    )


def fields_of(post: Post) -> list[tuple[str, str]]:
    return parse_qsl(post.body.decode(), keep_blank_values=True)


def parse(post: Post) -> list[Reply | Report]:
    request = received(post)
    SmsChannel().verify(request)
    return SmsChannel().parse(request)


def refuses(request: HttpRequest) -> bool:
    try:
        SmsChannel().verify(request)
    except Forged:
        return True
    return False


class TwilioProvider(Provider):
    def __init__(self, server: Twilio, settings: Settings) -> None:
        self.server = server
        self.settings = settings

    def received(self) -> list[str]:
        return [message["Body"] for message in self.server.messages]

    def refuse_for_good(self) -> None:
        self.server.refused[ANN] = 21610  # the refusal quotes the body

    def refuse_for_now(self) -> None:
        self.server.does = Said(503, {"message": f"busy with {LINK}"})

    def hang(self) -> None:
        self.server.does = "hang"

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.settings.TWILIO_API_URL = f"http://127.0.0.1:{free_port()}"
        yield


class TestContract(ChannelContract):
    name = "sms"
    to = ANN

    @pytest.fixture(autouse=True)
    def _in_the_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(CHANNELS, "sms", SmsChannel)

    @pytest.fixture
    def provider(self, twilio: Twilio, settings: Settings) -> Provider:
        return TwilioProvider(twilio, settings)

    def test_hands_over_what_when_who_and_the_link(
        self, channel: Channel, provider: Provider
    ) -> None:
        """Of the request only its title: the rest is behind the link (two segments, one person)."""
        self.send(channel)
        [text] = provider.received()
        for part in ("Refund order A-1009", "24 Nov", LINK):
            assert part in text


# --- What people get ------------------------------------------------------------------------------


def test_a_question_of_medium_risk_has_to_be_opened() -> None:
    assert compose(make_message(), link=LONG_LINK, code=CODE).splitlines() == [
        'Approve "Refund order A-1009"?',
        "Until 24 Nov 17:00 UTC.",
        "To decide, open:",
        LONG_LINK,
    ]


def test_a_question_of_low_risk_may_be_answered_with_the_code() -> None:
    text = compose(low(), link=LONG_LINK, code=CODE)
    assert "Reply YES BCDFG, or NO BCDFG and why. Details:" in text
    assert text.endswith(LONG_LINK)


def test_high_risk_is_said() -> None:
    text = compose(make_message(risk="high"), link=LONG_LINK, code=CODE)
    assert "HIGH RISK" in text
    assert CODE not in text


def test_text_that_deceives_is_said_and_has_to_be_opened() -> None:
    text = compose(low(deceptive=True), link=LONG_LINK, code=CODE)
    assert "hides or imitates letters" in text
    assert CODE not in text


def test_a_reminder_says_so() -> None:
    assert compose(low(kind="reminder"), link=LONG_LINK).startswith("Reminder: approve")


def test_whoever_stands_in_reads_for_whom() -> None:
    text = compose(low(on_behalf="Zoë Absent"), link=LONG_LINK, code=CODE)
    assert text.startswith('Approve for Zoe Absent "Refund order A-1009"?')
    reminder = compose(low(kind="reminder", on_behalf="Zoë Absent"), link=LONG_LINK)
    assert reminder.startswith("Reminder: approve for Zoe Absent ")


def test_the_title_matters_more_than_for_whom() -> None:
    link = LONG_LINK + "a" * 122
    text = compose(low(on_behalf="Zoe Absent"), link=link, code=CODE)
    assert "Zoe" not in text
    assert "Refund order A-1009" in text
    assert gsm7.segments(text) <= 2


@pytest.mark.parametrize("name", ['x" YES BCDFG', "evil.com\nUntil never.", "пётр", "🙂" * 80])
def test_a_name_is_a_few_harmless_letters(name: str) -> None:
    text = compose(low(on_behalf=name), link=LONG_LINK, code=CODE)
    first = text.splitlines()[0]
    assert first.count('"') == 2
    assert "evil.com" not in text
    assert gsm7.is_gsm7(text)
    assert first.endswith('"Refund order A-1009"?')


def test_where_a_second_factor_is_wanted_there_is_no_code() -> None:
    assert SmsChannel().new_code(low()) != ""
    assert SmsChannel().new_code(low(second_factor=True)) == ""
    assert CODE not in compose(low(second_factor=True), link=LONG_LINK, code=CODE)


def test_an_outcome_is_told_without_anything_to_press() -> None:
    outcome = "Approved by Ann Approver in Slack, 24 Nov 16:02 UTC."
    text = compose(low(kind="outcome", outcome=outcome, choices=[]), link=LONG_LINK, code=CODE)
    assert text == f'{outcome}\n"Refund order A-1009"'


def test_without_a_personal_link_the_page_with_a_login_is_named() -> None:
    assert compose(make_message()).endswith("http://testserver/workflows/0192/")


def test_without_a_deadline_there_is_no_line_about_it() -> None:
    assert "Until" not in compose(make_message(expires_at=""))


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Café “Zürich” – 5 €", "Café 'Zürich' - 5 €"),
        ('say "yes" to all', "say 'yes' to all"),
        ("one\r\ntwo\n\n\nUntil tomorrow", "one two Until tomorrow"),
        ("open http://evil.example/a?b", "open evil[.]example/a?b"),
        ("open HTTPS://EVIL.EXAMPLE", "open EVIL[.]EXAMPLE"),
        ("go to evil.example now", "go to evil[.]example now"),
        ("go to evil\uff0eexample", "go to evil[.]example"),
        ("go to evil\u3002example", "go to evil[.]example"),
        ("go to 203.0.113.9/x", "go to 203[.]0[.]113[.]9/x"),
        ("javascript://x%0aalert(1)", "x%0aalert(1)"),
        ("release v1.2.3 e.g. today", "release v1.2.3 e.g. today"),
        ("pay \u202e00001", "pay [U+202E]00001"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        ("tag\U000e0041", "tag[U+E0041]"),
        ("{{7*7}} {% now 'Y' %} %s ${x}", "{{7*7}} {% now 'Y' %} %s ${x}"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
    ],
)
def test_title_is_one_harmless_line(title: str, shown: str) -> None:
    assert f'Approve "{shown}"?' in compose(make_message(title=title), link=LONG_LINK)


def test_only_the_title_of_what_the_agent_wrote_is_sent() -> None:
    text = compose(make_message(agent="AGENT", reason="REASON", subject="SUBJECT"), link=LONG_LINK)
    assert not re.search("AGENT|REASON|SUBJECT|Damaged|payments", text)


def test_our_link_is_the_only_one() -> None:
    text = compose(make_message(title=HOSTILE + " https://evil.example/x"), link=LONG_LINK)
    assert re.findall(r"https?://\S+", text) == [LONG_LINK]


def test_an_ordinary_question_is_two_segments_at_most() -> None:
    assert gsm7.segments(compose(low(), link=LONG_LINK, code=CODE)) == 2


def test_a_long_title_is_cut_where_one_sees_it() -> None:
    text = compose(low(title="a" * 400), link=LONG_LINK, code=CODE)
    assert 'aaa..."?' in text
    assert gsm7.segments(text) == 2


def test_other_alphabets_are_kept_while_there_is_room() -> None:
    text = compose(make_message(title="注文 A-1009 を返金する"), link="https://a.example/l/x/")
    assert "注文 A-1009 を返金する" in text
    assert gsm7.segments(text) <= 2


def test_other_alphabets_give_way_visibly_before_the_link_does() -> None:
    text = compose(low(title="注文 A-1009 を返金する"), link=LONG_LINK, code=CODE)
    assert 'Approve "?? A-1009 ?????"?' in text
    assert text.endswith(LONG_LINK)


anything = st.text(st.characters(), max_size=300)
messages = st.builds(
    Message,
    kind=st.sampled_from(["approval", "reminder", "outcome"]),
    subject=anything,
    title=anything | st.text("a\U0001f600ç€.[]", max_size=300),
    team=anything,
    agent=anything,
    action_type=anything,
    risk=st.sampled_from(["low", "medium", "high"]),
    reason=anything,
    expires_at=st.sampled_from(["", "2026-11-24T17:00:00+00:00"]),
    choices=st.sampled_from([[], [Choice("approved", "Approve"), Choice("rejected", "Reject")]]),
    outcome=st.just("") | anything,
    deceptive=st.booleans(),
)


@given(messages)
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_message_fits_two_segments_and_keeps_its_link(message: Message) -> None:
    text = compose(message, link=LONG_LINK, code=CODE)
    assert 1 <= gsm7.segments(text) <= 2
    assert text.encode()
    assert text.endswith(LONG_LINK) or message.outcome
    assert (CODE in text) <= (message.risk == "low")
    assert "\0" not in text


# --- Codes ----------------------------------------------------------------------------------------


def test_codes_cannot_be_guessed_misread_or_turned_into_words() -> None:
    assert len(sms.CODE_LETTERS) ** sms.CODE_LENGTH >= 2**20
    assert not set(sms.CODE_LETTERS) & set("AEIOULY")
    codes = {SmsChannel().new_code(low()) for _ in range(200)}
    assert len(codes) > 190
    assert all(re.fullmatch(f"[{sms.CODE_LETTERS}]{{5}}", code) for code in codes)


@pytest.mark.parametrize(
    "message",
    [
        make_message(risk="medium"),
        make_message(risk="high"),
        make_message(risk=""),
        low(deceptive=True),
        low(choices=[]),
        low(choices=[Choice("approved", "Approve")]),
    ],
)
def test_no_code_where_a_reply_may_not_decide(message: Message) -> None:
    assert SmsChannel().new_code(message) == ""


# --- What Twilio is asked -------------------------------------------------------------------------


def test_asks_twilio_as_it_wants_to_be_asked(twilio: Twilio) -> None:
    receipt = send(low(), code=CODE)
    [message] = twilio.messages
    assert message["To"] == ANN
    assert message["From"] == NUMBER
    assert message["StatusCallback"] == PUBLIC + CALLBACK
    assert receipt.provider_ids["messageId"] == message["MessageSid"]
    assert receipt.provider_ids["segments"] == message["NumSegments"]
    assert not receipt.delivered


def test_a_messaging_service_may_send_too(twilio: Twilio, settings: Settings) -> None:
    settings.TWILIO_FROM = SERVICE
    send()
    assert twilio.messages[0]["MessagingServiceSid"] == SERVICE


@pytest.mark.parametrize(
    "public", ["http://localhost:4000", "http://testserver", "http://a_b.example"]
)
def test_no_callback_to_an_address_that_twilio_refuses(
    twilio: Twilio, settings: Settings, public: str
) -> None:
    settings.PUBLIC_URL = public
    send()
    assert "StatusCallback" not in twilio.messages[0]


@pytest.mark.parametrize("to", ["", "12345", "+0123456789", "whatsapp:+447700900123", "+44 7700"])
def test_no_call_for_what_is_no_number(twilio: Twilio, to: str) -> None:
    with pytest.raises(ChannelError, match="not a valid phone number") as caught:
        send(to=to)
    assert caught.value.permanent
    assert twilio.ledger == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (21610, "opted out"),
        (21211, "not a valid phone number"),
        (21614, "cannot receive text messages"),
        (21408, "permit the region"),
        (21999, r"error 21999"),
    ],
)
def test_a_receiver_that_cannot_be_texted_is_permanent(
    twilio: Twilio, code: int, sentence: str
) -> None:
    twilio.refused[ANN] = code
    with pytest.raises(ChannelError, match=sentence) as caught:
        send()
    assert caught.value.permanent
    assert len(twilio.ledger) == 1


@pytest.mark.parametrize(
    "setting", [{"TWILIO_AUTH_TOKEN": "other"}, {"TWILIO_ACCOUNT_SID": "AC" + "f" * 32}]
)
def test_a_wrong_login_is_permanent(
    twilio: Twilio, settings: Settings, setting: dict[str, str]
) -> None:
    for name, value in setting.items():
        setattr(settings, name, value)
    with pytest.raises(ChannelError, match="TWILIO_ACCOUNT_SID") as caught:
        send()
    assert caught.value.permanent


@pytest.mark.parametrize("name", SmsChannel.settings)
def test_half_an_account_sends_nothing(twilio: Twilio, settings: Settings, name: str) -> None:
    setattr(settings, name, "")
    with pytest.raises(ChannelError, match="No Twilio account is configured") as caught:
        send()
    assert caught.value.permanent
    assert twilio.ledger == []


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 301, 307])
def test_trouble_that_passes_is_transient(twilio: Twilio, status: int) -> None:
    twilio.does = Said(status, {"code": 20429}, {"Location": twilio.url + "/elsewhere"})
    with pytest.raises(ChannelError) as caught:
        send()
    assert not caught.value.permanent
    assert caught.value.retry_after is None
    assert len(twilio.ledger) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 30, None),
        ("Thu, 01 Jan 1970 00:00:00", None),
        ("", None),
    ],
)
def test_retry_after_is_passed_on(twilio: Twilio, header: str, seconds: float | None) -> None:
    twilio.does = Said(429, {"code": 20429}, {"Retry-After": header})
    with pytest.raises(ChannelError) as caught:
        send()
    assert caught.value.retry_after == seconds


def test_refusals_in_the_newer_shape_are_read_too(twilio: Twilio) -> None:
    problem = {"type": "about:blank", "title": "No", "status": 400, "code": 21610}
    twilio.does = Said(400, problem)
    with pytest.raises(ChannelError, match="opted out") as caught:
        send()
    assert caught.value.permanent


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"sid": 5}', b'{"sid": "SM1"}', b"<html>", b"\xff\xfe", b"{" * 9],
)
def test_an_answer_that_cannot_be_read_is_transient(twilio: Twilio, body: bytes) -> None:
    twilio.does = Said(201, raw=body or b" ")
    with pytest.raises(ChannelError, match="may have gone out or not") as caught:
        send()
    assert not caught.value.permanent


@pytest.mark.parametrize("does", ["drop", "hang", "drip", "refuse"])
def test_a_lost_answer_is_told_as_such(twilio: Twilio, does: str) -> None:
    twilio.does = does
    with pytest.raises(ChannelError, match="may have gone out or not") as caught:
        send()
    assert not caught.value.permanent
    assert len(twilio.messages) == (does in ("drop", "drip"))


def test_a_name_that_does_not_resolve_is_transient(settings: Settings, twilio: Twilio) -> None:
    settings.TWILIO_API_URL = "https://twilio.invalid"
    with pytest.raises(ChannelError, match="could not be reached") as caught:
        send()
    assert not caught.value.permanent


def test_a_byte_a_second_does_not_stretch_the_time_limit(twilio: Twilio) -> None:
    twilio.does = "drip"
    before = time.monotonic()
    with pytest.raises(ChannelError):
        send()
    assert time.monotonic() - before < 3


def test_the_time_limit_is_ten_seconds_at_most() -> None:
    assert sms.TIMEOUT_SECONDS <= 10


def test_proxies_of_the_environment_are_not_asked(
    twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    send()
    assert len(twilio.messages) == 1


def test_neither_token_nor_text_is_logged(twilio: Twilio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    send(low(), code=CODE)
    for secret in (TOKEN, CANARY, CODE, ANN):
        assert secret not in caplog.text


# --- Signatures (F-08) ----------------------------------------------------------------------------


def test_a_signed_post_is_accepted(twilio: Twilio) -> None:
    assert not refuses(received(twilio.text("YES BCDFG")))
    assert not refuses(received(twilio.status("SM1", "delivered")))


def test_fields_that_we_do_not_know_belong_to_the_signature(twilio: Twilio) -> None:
    post = twilio.text("YES BCDFG", NewField="später", Empty="", Spaces="  a  b ")
    assert not refuses(received(post))
    without = urlencode([pair for pair in fields_of(post) if pair[0] != "NewField"])
    assert refuses(received(dataclasses.replace(post, body=without.encode())))


def test_white_space_is_neither_trimmed_nor_normalised(twilio: Twilio) -> None:
    post = twilio.text("  yes\r\n bcdfg \n")
    assert not refuses(received(post))
    assert refuses(received(dataclasses.replace(post, body=post.body.replace(b"%0D%0A", b"%0A"))))


Tamper = Callable[[Post], Post]


def with_headers(**headers: str) -> Tamper:
    return lambda post: dataclasses.replace(post, headers={**post.headers, **headers})


def with_body(old: bytes, new: bytes) -> Tamper:
    return lambda post: dataclasses.replace(post, body=post.body.replace(old, new))


def flip(post: Post) -> Post:
    signature = post.headers["X-Twilio-Signature"]
    other = "B" if signature[0] == "A" else "A"
    return dataclasses.replace(post, headers={"X-Twilio-Signature": other + signature[1:]})


@pytest.mark.parametrize(
    "tamper",
    [
        flip,
        lambda post: dataclasses.replace(post, headers={}),
        *(
            with_headers(**{"X-Twilio-Signature": value})
            for value in ("", "=", "abc", "é" * 28, "A" * 100_000, "v1=x", "\u0661" * 28)
        ),
        with_body(b"Body=YES", b"Body=NO"),
        with_body(b"447700900123", b"447700900124"),
        with_body(b"Body=", b"Body=+"),
        with_body(b"&From=", b"&From=%2B15550000000&From="),
        with_body(b"ApiVersion", b"apiversion"),
        lambda post: dataclasses.replace(post, body=post.body + b"&Extra=1"),
        lambda post: dataclasses.replace(post, body=b""),
        lambda post: dataclasses.replace(post, body=b"\xff=\xfe"),
        lambda post: dataclasses.replace(post, body=b"a=%ff"),
        lambda post: dataclasses.replace(post, body=b"a=1&" * 5000),
        lambda post: dataclasses.replace(post, content_type="text/plain"),
        lambda post: dataclasses.replace(post, content_type="application/json"),
        lambda post: dataclasses.replace(post, content_type="multipart/form-data; boundary=x"),
        lambda post: dataclasses.replace(post, content_type=""),
        lambda post: dataclasses.replace(post, path=post.path + "?a=1"),
        lambda post: dataclasses.replace(post, path=post.path + "/"),
        lambda post: dataclasses.replace(post, path="/webhooks/slack/callback"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_tampered_post_is_forged(
    twilio: Twilio, settings: Settings, tamper: Tamper, debug: bool
) -> None:
    settings.DEBUG = debug
    assert refuses(received(tamper(twilio.text("YES BCDFG"))))


@pytest.mark.parametrize(
    ("public", "signed", "good"),
    [
        ("https://a.example.com", "https://a.example.com", True),
        ("https://a.example.com", "https://a.example.com:443", True),
        ("https://a.example.com:443", "https://a.example.com", True),
        ("https://a.example.com:443", "https://a.example.com:443", True),
        ("http://a.example.com", "http://a.example.com:80", True),
        ("http://a.example.com:80", "http://a.example.com", True),
        # Another port: Twilio signs with and without it.
        ("https://a.example.com:8443", "https://a.example.com:8443", True),
        ("https://a.example.com:8443", "https://a.example.com", True),
        ("https://a.example.com/under", "https://a.example.com/under", True),
        ("https://a.example.com", "https://a.example.com:8443", False),
        ("https://a.example.com", "https://a.example.com:80", False),
        ("http://a.example.com", "http://a.example.com:443", False),
        ("https://a.example.com", "http://a.example.com", False),
        ("https://a.example.com", "https://b.example.com", False),
        ("https://a.example.com", "https://a.example.com.evil.example", False),
        ("https://a.example.com", "https://A.example.com", False),
        ("https://a.example.com/under", "https://a.example.com", False),
        ("https://a.example.com", "http://testserver", False),
    ],
)
def test_the_signature_is_for_our_public_address(
    twilio: Twilio, settings: Settings, public: str, signed: str, good: bool
) -> None:
    settings.PUBLIC_URL = public
    post = twilio.post({"Body": "x", "AccountSid": ACCOUNT}, address=signed + CALLBACK)
    assert refuses(received(post)) is not good


@pytest.mark.parametrize("host", ["evil.example", "approvals.example.com:8443", "localhost"])
def test_the_host_header_decides_nothing(twilio: Twilio, settings: Settings, host: str) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    meta = {"SERVER_NAME": host, "HTTP_HOST": host, "HTTP_X_FORWARDED_HOST": host}
    assert not refuses(received(twilio.text("hello"), **meta))
    fields = {"Body": "x", "AccountSid": ACCOUNT}
    assert refuses(received(twilio.post(fields, address=f"https://{host}{CALLBACK}"), **meta))


def test_the_query_belongs_to_the_address(twilio: Twilio) -> None:
    fields = {"Body": "x", "AccountSid": ACCOUNT}
    path = f"{CALLBACK}?a=%C3%A4&b=1%2B1+2"
    assert not refuses(received(twilio.post(fields, path=path)))
    assert refuses(received(twilio.post(fields, path=path, address=PUBLIC + CALLBACK)))


def test_the_right_account_is_not_enough(twilio: Twilio) -> None:
    assert refuses(received(twilio.post({"AccountSid": ACCOUNT}, token="wrong")))


def test_another_account_is_refused_although_signed(twilio: Twilio) -> None:
    assert refuses(received(twilio.post({"AccountSid": "AC" + "f" * 32, "Body": "x"})))


@pytest.mark.parametrize("debug", [False, True])
def test_without_a_token_nobody_is_trusted(twilio: Twilio, settings: Settings, debug: bool) -> None:
    settings.TWILIO_AUTH_TOKEN = ""
    settings.DEBUG = debug
    assert refuses(received(twilio.post({"AccountSid": ACCOUNT}, token="")))


@pytest.mark.parametrize("method", ["get", "put", "head", "delete"])
def test_only_posts_are_believed(twilio: Twilio, method: str) -> None:
    post = twilio.text("YES BCDFG")
    make = getattr(RequestFactory(), method)
    assert refuses(make(post.path, headers=dict(post.headers)))


def test_a_body_beyond_the_limit_is_forged(twilio: Twilio, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert refuses(received(twilio.text("YES BCDFG")))


def test_json_is_checked_by_the_hash_of_its_body(twilio: Twilio) -> None:
    data = {"MessageSid": "SM" + "0" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT}
    assert parse(twilio.json_post(data)) == [Report("SM" + "0" * 32, delivered=True)]


@pytest.mark.parametrize("digest", ["", "0" * 64, "x", "0" * 64 + "&bodySHA256=" + "0" * 64])
def test_json_with_another_hash_is_forged(twilio: Twilio, digest: str) -> None:
    assert refuses(received(twilio.json_post({"a": "b"}, digest=digest)))


def test_json_with_another_body_is_forged(twilio: Twilio) -> None:
    post = twilio.json_post({"AccountSid": ACCOUNT, "MessageStatus": "failed"})
    assert refuses(received(dataclasses.replace(post, body=post.body.replace(b"fail", b"Fail"))))
    assert refuses(received(flip(post)))


def test_json_without_a_hash_is_forged(twilio: Twilio) -> None:
    post = twilio.json_post({"a": "b"})
    bare = {"X-Twilio-Signature": standin.sign(PUBLIC + CALLBACK, {})}
    assert refuses(received(dataclasses.replace(post, path=CALLBACK, headers=bare)))


@pytest.mark.parametrize("data", [[], "text", 5, None])
def test_json_of_another_shape_is_forged(twilio: Twilio, data: object) -> None:
    assert refuses(received(twilio.json_post(data)))


def test_a_form_cannot_hide_behind_a_signed_query(twilio: Twilio) -> None:
    """The signature of a JSON post covers the address only: a form under it is unsigned."""
    signed = twilio.json_post({"a": "b"})
    form = dataclasses.replace(
        signed, body=b"Body=YES+BCDFG", content_type="application/x-www-form-urlencoded"
    )
    assert refuses(received(form))


# --- Status callbacks (N-15) ----------------------------------------------------------------------


@pytest.mark.parametrize("status", ["accepted", "scheduled", "queued", "sending", "sent", "other"])
def test_a_status_before_the_end_says_nothing_new(twilio: Twilio, status: str) -> None:
    assert parse(twilio.status("SM" + "0" * 32, status)) == []


@pytest.mark.parametrize("status", ["delivered", "read"])
def test_delivered_is_reported(twilio: Twilio, status: str) -> None:
    assert parse(twilio.status("SM0", status)) == [Report("SM0", delivered=True)]


@pytest.mark.parametrize("status", ["undelivered", "failed", "canceled"])
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (30003, "The phone is switched off or out of reach."),
        (30007, "The carrier filtered the message as unwanted."),
        (21610, "The receiver has opted out by answering STOP; answering START undoes it."),
        (39999, "The message was not delivered (Twilio error 39999)."),
        (0, "The message was not delivered."),
    ],
)
def test_failed_is_reported_with_the_reason(
    twilio: Twilio, status: str, code: int, sentence: str
) -> None:
    assert parse(twilio.status("SM0", status, code)) == [Report("SM0", error=sentence)]


def test_an_absurd_error_code_does_no_harm(twilio: Twilio) -> None:
    fields = {"MessageSid": "SM0", "MessageStatus": "failed", "AccountSid": ACCOUNT}
    for code in ("abc", "-1", "9" * 5000, "\u0663\u0660\u0660\u0660\u0663", "²"):
        [report] = parse(twilio.post({**fields, "ErrorCode": code}))
        assert isinstance(report, Report)
        assert report.error.startswith("The ")


def test_repeats_of_a_status_read_alike(twilio: Twilio) -> None:
    """Twilio repeats and reorders; each post stands for itself and names its message."""
    told = [parse(twilio.status("SM0", each)) for each in ("delivered", "sent", "delivered")]
    assert told == [[Report("SM0", delivered=True)], [], [Report("SM0", delivered=True)]]


# --- What people write ----------------------------------------------------------------------------

APPROVED = [
    "YES BCDFG",
    "yes bcdfg",
    "Yes Bcdfg",
    "yEs bCdFg",
    "  YES   BCDFG  ",
    "YES\nBCDFG",
    "\r\nYES\r\nBCDFG\r\n",
    "YES\tBCDFG",
    "YES, BCDFG.",
    "Yes: bcdfg!",
    "YES-BCDFG",
    "YES/BCDFG",
    '"YES BCDFG"',
    "“Yes bcdfg”",
    "(YES) BCDFG",
    "*YES* BCDFG",
    "YES\u00a0BCDFG",
    "YES BCDFG please",
    "Yes bcdfg, thanks!",
    "yes bcdfg thank you",
    "yes bcdfg \N{THUMBS UP SIGN}",
    "Y BCDFG",
    "y bcdfg",
    "approve BCDFG",
    "Approved bcdfg",
    "\uff39\uff25\uff33\u3000\uff22\uff23\uff24\uff26\uff27",  # a Japanese keyboard's letters
]
REJECTED = [
    ("NO BCDFG", ""),
    ("no bcdfg", ""),
    ("No, bcdfg.", ""),
    ("N BCDFG", ""),
    ("reject bcdfg", ""),
    ("Rejected BCDFG", ""),
    ("deny bcdfg", ""),
    ("decline BCDFG", ""),
    ("NO BCDFG too expensive", "too expensive"),
    ("no bcdfg: too expensive!", "too expensive"),
    ("NO BCDFG - not this week", "not this week"),
    ("No bcdfg\nFirst reason.\nSecond one?", "First reason.\nSecond one?"),
    ("NO BCDFG why 120€ and not 100€?", "why 120€ and not 100€?"),
    ("NO BCDFG \N{THUMBS DOWN SIGN}", "\N{THUMBS DOWN SIGN}"),
    ("no bcdfg zu teuer, später", "zu teuer, später"),
    ("no bcdfg a\0b", "ab"),
]
UNCLEAR = [
    "",
    " ",
    "YES",
    "yes please",
    "NO",
    "no way",
    "Y",
    "N",
    "ok",
    "ok BCDFG",
    "sure BCDFG",
    "BCDFG",
    "BCDFG YES",
    "YESBCDFG",
    "YES BCDF",
    "YES BCDFGH",
    "YES BCDF G",
    "YES B C D F G",
    "YES BCDF1",
    "YES BCDFG1",
    "YES BCDFÉ",
    "YES HELLO",  # five letters, but none of our codes
    "no thank",
    "no THANKS",
    "NO problem",
    "yes yes BCDFG",
    "YES NO BCDFG",
    "YES/NO BCDFG",
    "YES or NO BCDFG",
    "not BCDFG",
    "don't approve BCDFG",
    "I say yes BCDFG",
    "YES BCDFG?",
    "YES? BCDFG",
    "NO? BCDFG",
    "YES BCDFG if it is below 100",
    "YES BCDFG but not today",
    "YES BCDFG no",
    "YES BCDFG NO BCDFG",
    "YES BCDFG, or NO BCDFG and why",
    "NO BCDFG, or YES BCDFG",
    "NO BCDFG yes",
    "no bcdfg, yes do it",
    "YES BCDFG YES CDFGH",
    "\N{THUMBS UP SIGN} BCDFG",
    "YES \N{THUMBS DOWN SIGN} BCDFG",
    "≠ YES BCDFG",
    "Y\u0415S BCDFG",  # a Cyrillic letter
    "YES BCDF\u0413",
    'Liked "Approve: Reply YES BCDFG"',
    'Approve "Refund"? Reply YES BCDFG, or NO BCDFG and why.',
    "yes\u200bbcdfg",
]


@pytest.mark.parametrize("body", APPROVED)
def test_a_clear_yes_with_the_code_approves(body: str) -> None:
    assert read(body) == ("approved", "BCDFG", "")


@pytest.mark.parametrize(("body", "comment"), REJECTED)
def test_a_clear_no_with_the_code_rejects(body: str, comment: str) -> None:
    assert read(body) == ("rejected", "BCDFG", comment)


@pytest.mark.parametrize("body", UNCLEAR)
def test_anything_else_decides_nothing(body: str) -> None:
    said = read(body)
    assert (said.decision, said.code) == ("", "")


@given(st.text(max_size=200) | st.text("YESNObcdfg ,.?!\n", max_size=40))
def test_nothing_is_decided_without_word_and_code(body: str) -> None:
    said = read(body)
    assert "\0" not in said.comment
    assert bool(said.decision) == bool(said.code)
    if said.decision:
        assert re.fullmatch(f"[{sms.CODE_LETTERS}]{{5}}", said.code)
        assert said.code in unicodedata.normalize("NFKC", body).upper()


def test_reading_takes_no_time_on_hostile_text() -> None:
    before = time.monotonic()
    for body in ("(" * 100_000, "YES " * 50_000, "YES" + " " * 100_000, "a" * 200_000):
        read(body)
    assert time.monotonic() - before < 2


def test_a_yes_becomes_a_reply_of_its_sender(twilio: Twilio) -> None:
    sid = "SM" + "1" * 32
    assert parse(twilio.text("Yes bcdfg", sid=sid)) == [
        Reply(action="decide", sender=ANN, code="BCDFG", decision="approved", event_id=sid)
    ]


def test_a_no_carries_its_reason(twilio: Twilio) -> None:
    [reply] = parse(twilio.text("NO BCDFG zu teuer – später"))
    assert isinstance(reply, Reply)
    assert (reply.decision, reply.comment) == ("rejected", "zu teuer – später")


def test_other_words_are_passed_on_as_such(twilio: Twilio) -> None:
    [reply] = parse(twilio.text("what is this about?"))
    assert isinstance(reply, Reply)
    assert (reply.action, reply.comment) == ("say", "what is this about?")


def test_the_same_post_reads_the_same_ten_times(twilio: Twilio) -> None:
    """F-09: one id, by which the caller knows that it is one message."""
    post = twilio.text("YES BCDFG")
    replies = [parse(post) for _ in range(10)]
    assert all(reply == replies[0] for reply in replies)
    assert len({reply.event_id for [reply] in replies if isinstance(reply, Reply)}) == 1


@pytest.mark.parametrize(
    "word", ["STOP", "stop", " Stop. ", "STOPALL", "unsubscribe", "CANCEL", "END", "quit", "HELP",
             "info", "START", "unstop", "REVOKE", "optout"],
)  # fmt: skip
def test_twilio_answers_the_opt_out_words(twilio: Twilio, word: str) -> None:
    assert parse(twilio.text(word)) == []


def test_opt_out_words_of_the_operators_own_are_twilios_too(twilio: Twilio) -> None:
    assert parse(twilio.text("YES BCDFG", OptOutType="START")) == []


@pytest.mark.parametrize("sender", ["", "12345", "ACME", "whatsapp:+447700900123", "+44770090012x"])
def test_who_has_no_number_is_nobody(twilio: Twilio, sender: str) -> None:
    assert parse(twilio.text("YES BCDFG", sender=sender)) == []


@pytest.mark.parametrize("missing", ["Body", "From", "MessageSid"])
def test_a_post_that_lacks_what_makes_a_message_is_none(twilio: Twilio, missing: str) -> None:
    fields = dict(fields_of(twilio.text("YES BCDFG")))
    del fields[missing]
    assert parse(twilio.post(fields)) == []


def test_a_name_given_twice_says_nothing(twilio: Twilio) -> None:
    """The signature sorts repeated values together, so it does not tell which one is meant."""
    fields = {"AccountSid": ACCOUNT, "Body": "NOYES BCDFG", "From": ANN}
    body = urlencode(
        [("AccountSid", ACCOUNT), ("Body", "NO"), ("Body", "YES BCDFG"), ("From", ANN)]
    ).encode()
    signature = standin.sign(
        PUBLIC + CALLBACK, {"AccountSid": ACCOUNT, "Body": "NOBodyYES BCDFG", "From": ANN}
    )
    post = dataclasses.replace(
        twilio.post(fields), body=body, headers={"X-Twilio-Signature": signature}
    )
    assert parse(post) == []


def test_a_picture_without_words_is_asked_about(twilio: Twilio) -> None:
    [reply] = parse(twilio.text("", NumMedia="1"))
    assert isinstance(reply, Reply)
    assert (reply.action, reply.comment) == ("say", "")


# --- Answers --------------------------------------------------------------------------------------


def acknowledged(twilio: Twilio, problem: str = "") -> list[str | None]:
    answer = SmsChannel().acknowledge(received(twilio.text("x")), problem)
    assert (answer.status, answer.content_type) == (200, "text/xml")
    root = ET.fromstring(answer.body)  # noqa: S314 (our own words)
    assert root.tag == "Response"
    return [message.text for message in root.iter("Message")]


def test_a_post_is_acknowledged_with_an_empty_answer(twilio: Twilio) -> None:
    assert acknowledged(twilio) == []


def test_a_problem_goes_back_as_a_text(twilio: Twilio) -> None:
    problem = "Already approved by Ann <Approver> & Co in Slack at 16:02 UTC."
    assert acknowledged(twilio, problem) == [problem]


def test_a_problem_is_one_short_line_of_real_characters(twilio: Twilio) -> None:
    [text] = acknowledged(twilio, "</Message><Dial>+1900</Dial>\0\x0b\n" + "x" * 999)
    assert text is not None
    assert text.startswith("</Message><Dial>+1900</Dial>")
    assert gsm7.segments(text) == 2


def test_a_person_is_told_by_text(twilio: Twilio) -> None:
    SmsChannel().tell(Reply("say", sender=ANN), "Which one? Reply YES or NO with its code.")
    [message] = twilio.messages
    assert (message["To"], message["Body"]) == (ANN, "Which one? Reply YES or NO with its code.")


def test_what_is_told_is_two_segments_at_most(twilio: Twilio) -> None:
    SmsChannel().tell(Reply("say", sender=ANN), "注" * 500)
    assert twilio.messages[0]["NumSegments"] == "2"


def test_a_reason_is_asked_for_with_the_code_to_use(twilio: Twilio) -> None:
    SmsChannel().ask(Reply("decide", sender=ANN, code=CODE), low(), [])
    assert "NO BCDFG and your reason" in twilio.messages[0]["Body"]


def test_telling_fails_like_sending(twilio: Twilio) -> None:
    twilio.refused[ANN] = 21610
    with pytest.raises(ChannelError, match="opted out"):
        SmsChannel().tell(Reply("say", sender=ANN), "hello")


def test_it_is_on_with_account_token_and_number(twilio: Twilio, settings: Settings) -> None:
    assert SmsChannel.is_on()
    settings.TWILIO_AUTH_TOKEN = ""
    assert not SmsChannel.is_on()
