"""Telegram against a stand-in of its Bot API on loopback, and the updates it posts to us."""

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from deliveries.channels import CHANNELS
from deliveries.channels import telegram as channel_module
from deliveries.channels.base import (
    ChannelError,
    Choice,
    Fact,
    Forged,
    Message,
    Receipt,
    Reply,
    Report,
)
from deliveries.channels.telegram import TelegramChannel
from tests.deliveries.channels.contract import CANARY, KEY, LINK, ChannelContract, Provider
from tests.deliveries.factories import HOSTILE, make_message
from tests.receiver import free_port
from tests.standins.server import Post, Said
from tests.standins.telegram import (
    ANN,
    BOT,
    CALLBACK,
    GROUP,
    SECRET,
    TOKEN,
    Telegram,
    buttons,
    check_markup,
    check_text,
    person,
    styled,
    units,
)

PUBLIC_LINK = "https://approvals.example.com/l/" + "a" * 43 + "/"
OUTCOME = "Approved by Ann Approver on the dashboard, 24 Nov 16:02 UTC."


@pytest.fixture
def telegram(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telegram]:
    monkeypatch.setattr(channel_module, "TIMEOUT_SECONDS", 1.0)
    with Telegram().running() as server:
        settings.TELEGRAM_BOT_TOKEN = TOKEN
        settings.TELEGRAM_WEBHOOK_SECRET = SECRET
        settings.TELEGRAM_API_URL = server.url
        yield server


def send(
    message: Message | None = None, *, to: int | str = ANN, link: str = PUBLIC_LINK
) -> Receipt:
    return TelegramChannel().send(message or make_message(), to=str(to), key=KEY, link=link)


def received(post: Post) -> HttpRequest:
    return RequestFactory().post(
        post.path, data=post.body, content_type=post.content_type, headers=dict(post.headers)
    )


def parse(post: Post) -> list[Reply | Report]:
    request = received(post)
    TelegramChannel().verify(request)
    return TelegramChannel().parse(request)


def reply_to(post: Post) -> Reply:
    [reply] = parse(post)
    assert isinstance(reply, Reply)
    return reply


def acknowledge(telegram: Telegram, post: Post, problem: str = "") -> Any:
    """What our answer to the post makes Telegram do."""
    answer = TelegramChannel().acknowledge(received(post), problem)
    assert answer.status == 200
    return telegram.take(answer.body)


def refuses(request: HttpRequest) -> bool:
    try:
        TelegramChannel().verify(request)
    except Forged:
        return True
    return False


class TelegramProvider(Provider):
    def __init__(self, server: Telegram, settings: Settings) -> None:
        self.server = server
        self.settings = settings

    def received(self) -> list[str]:
        return [each["text"] + json.dumps(buttons(each)) for each in self.server.messages()]

    def refuse_for_good(self) -> None:
        self.server.does = self.server.error(400, f"Bad Request: URL '{LINK}' is invalid {CANARY}")

    def refuse_for_now(self) -> None:
        self.server.does = self.server.error(429, f"Too Many Requests: {LINK}", retry_after=30)

    def hang(self) -> None:
        self.server.does = "hang"

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.settings.TELEGRAM_API_URL = f"http://127.0.0.1:{free_port()}"
        yield


class TestContract(ChannelContract):
    name = "telegram"
    to = str(ANN)

    @pytest.fixture(autouse=True)
    def _in_the_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(CHANNELS, "telegram", TelegramChannel)

    @pytest.fixture
    def provider(self, telegram: Telegram, settings: Settings) -> Provider:
        return TelegramProvider(telegram, settings)


# --- What people see ------------------------------------------------------------------------------


def test_a_question_reads_well(telegram: Telegram) -> None:
    send()
    [message] = telegram.messages()
    assert message["text"] == (
        "Approval needed (medium risk)\n"
        "Refund order A-1009\n"
        "\n"
        "refund-bot of the team Payments asks to run payments.refund.\n"
        "Decide by 24 Nov 2026, 17:00 UTC. Without an answer, the request times out and nothing"
        " runs.\n"
        "\n"
        "What will happen\n"
        "Amount:\n"
        "  120\n"
        "Note to the customer [note]:\n"
        "  Damaged in transit.\n"
        "  Sorry!\n"
        "\n"
        "Why, in the agent’s own words (nobody has checked them)\n"
        "The customer sent photos.\n"
        "Policy 4.2 allows it.\n"
        "\n"
        "Fingerprint of the data: 9f86d081884c"
    )


def test_what_the_agent_wrote_is_in_boxes_of_its_own(telegram: Telegram) -> None:
    send()
    [message] = telegram.messages()
    assert styled(message, "code")[:3] == ["Refund order A-1009", "refund-bot", "payments.refund"]
    facts, reason = styled(message, "pre")
    assert facts.startswith("Amount:")
    assert reason.startswith("The customer")
    assert "Approval needed" in styled(message, "bold")


def test_entities_count_as_telegram_counts(telegram: Telegram) -> None:
    send(make_message(title="\U0001f600\U0001f600 pay", reason="\U0001f4b6 now"))
    [message] = telegram.messages()
    assert styled(message, "code")[0] == "\U0001f600\U0001f600 pay"
    assert styled(message, "pre")[1] == "\U0001f4b6 now"


def test_previews_are_off_and_personal_links_stay_here(telegram: Telegram) -> None:
    send()
    [message] = telegram.messages()
    assert message["link_preview_options"] == {"is_disabled": True}
    assert message["protect_content"] is True
    assert CANARY not in message["text"]


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "<b>bold</b> &lt;i&gt; &amp;amp; &copy &#x41;",
        "*bold* _italic_ [a](http://evil.example) `code` ||spoiler||",
        "</code></pre><a href='https://evil.example'>Approve</a>",
        "/start@hitl_bot #tag @admin $USD https://evil.example +15551234567",
        "{{ message }} {% debug %} {0.__class__} %s ${}",
    ],
)
def test_markup_of_strangers_is_text_in_a_box(telegram: Telegram, text: str) -> None:
    line = text[:100]
    send(make_message(title=line, agent=line, facts=[Fact(line, line, line)], reason=line))
    [message] = telegram.messages()
    assert styled(message, "code")[:2] == [line, line]
    assert styled(message, "pre") == [f"{line} [{line}]:\n  {line}", line]


def test_hidden_characters_are_shown_and_warned_of(telegram: Telegram) -> None:
    hidden = "pay \u202e001\u200b\U000e0041"
    send(make_message(title=hidden, deceptive=True, facts=[Fact(hidden, hidden)], reason=hidden))
    [message] = telegram.messages()
    assert message["text"].count("pay ⟦U+202E⟧001⟦U+200B⟧⟦U+E0041⟧") == 4
    assert "\u202e" not in message["text"]
    assert "Look closely:" in styled(message, "bold")


def test_a_value_cannot_pass_for_another_fact(telegram: Telegram) -> None:
    send(make_message(facts=[Fact("Amount", "5\nAmount:\n  500\r\nTo: me")]))
    facts = styled(telegram.messages()[0], "pre")[0]
    assert facts == "Amount:\n  5\n  Amount:\n    500\n  To: me"


def test_facts_that_do_not_fit_are_counted(telegram: Telegram) -> None:
    facts = [Fact(f"Field {number}", "x" * 300) for number in range(20)]
    send(make_message(facts=facts, facts_left_out=3))
    text = telegram.messages()[0]["text"]
    shown = text.count("Field ")
    assert 5 <= shown < 20
    assert f"… and {23 - shown} more values, to be read when you open the request." in text


def test_long_values_and_blank_lines_are_cut_where_one_sees_it(telegram: Telegram) -> None:
    send(make_message(facts=[Fact("a", "x" * 5000), Fact("b", "y\n" * 5000)], reason="\n" * 5000))
    text = telegram.messages()[0]["text"]
    assert "x… (4640 more characters)" in text
    assert "(4992 more lines)" in text
    assert text.count("\n") < 60


def test_a_reminder_and_an_outcome_say_what_they_are(telegram: Telegram) -> None:
    send(make_message(kind="reminder"))
    send(make_message(kind="outcome", outcome=OUTCOME, choices=[]))
    reminder, outcome = telegram.messages()
    assert reminder["text"].startswith("Still waiting for an answer")
    assert outcome["text"].startswith("What became of it")
    assert OUTCOME in styled(outcome, "bold")
    assert "Decide by" not in outcome["text"]
    assert buttons(outcome) == []


anything = st.text(st.characters(), max_size=600)
facts = st.lists(st.builds(Fact, label=anything, value=anything, path=anything), max_size=25)
messages = st.builds(
    Message,
    kind=st.sampled_from(["approval", "reminder", "outcome"]),
    subject=anything,
    title=anything | st.text("\U0001f600<&", min_size=100, max_size=700),
    team=anything,
    agent=anything,
    action_type=anything,
    risk=st.sampled_from(["low", "medium", "high"]),
    facts=facts,
    facts_left_out=st.integers(0, 10**6),
    reason=anything | st.text("\U0001f600\n", min_size=500, max_size=900),
    fingerprint=st.just("") | anything,
    expires_at=st.sampled_from(["", "2026-11-24T17:00:00+00:00"]),
    on_timeout=anything,
    outcome=st.just("") | anything,
    choices=st.sampled_from([[], make_message().choices]),
    deceptive=st.booleans(),
    progress=anything | st.text("\U0001f600", min_size=200, max_size=300),
    notice=anything | st.text("\U0001f600", min_size=300, max_size=400),
    on_behalf=anything | st.text("\U0001f600", min_size=100, max_size=200),
    second_factor=st.booleans(),
)


@given(messages, st.sampled_from([PUBLIC_LINK, LINK, ""]))
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_message_is_one_that_telegram_takes(message: Message, link: str) -> None:
    body = channel_module._body(message, link)
    keyboard = channel_module._keyboard(message, UUID(KEY), link)
    check_text(body)
    check_markup(keyboard.get("reply_markup", {}))
    assert body["text"].encode()
    assert "\0" not in body["text"]
    assert units(body["text"]) <= 4096
    assert len(styled(body, "pre")) <= 2


def test_it_says_what_happened_for_whom_and_how_far_it_is(telegram: Telegram) -> None:
    standing = {"notice": "Bob has changed the data.", "on_behalf": "Ann", "progress": "1 of 2."}
    send(make_message(**standing))
    send(make_message(**standing, outcome=OUTCOME, choices=[]))
    asked, settled = (each["text"] for each in telegram.messages())
    for part in ("Bob has changed the data.", "You are asked in place of Ann.", "So far: 1 of 2."):
        assert part in asked
        assert part not in settled


def test_what_people_are_called_makes_no_link_and_no_line_of_ours(telegram: Telegram) -> None:
    hostile = f"https://evil.example @all {HOSTILE}\nDecide by never."
    send(make_message(notice=hostile, on_behalf=hostile, progress=hostile))
    [message] = telegram.messages()
    boxes = styled(message, "code")
    assert sum(each.startswith("https://evil.example @all") for each in boxes) == 3
    assert "\nDecide by never." not in message["text"]


def test_a_reminder_answers_the_message_that_asked(telegram: Telegram) -> None:
    ids = send().provider_ids
    reminder = make_message(kind="reminder")
    channel = TelegramChannel()
    channel.send(reminder, to=str(ANN), key=KEY, link=PUBLIC_LINK, earlier=ids)
    asked, again = telegram.messages()
    assert again["reply_parameters"]["message_id"] == asked["message_id"]
    assert again["reply_parameters"]["allow_sending_without_reply"] is True
    assert again["text"].startswith("Still waiting for an answer")


# --- Buttons --------------------------------------------------------------------------------------


@pytest.mark.parametrize("risk", ["low", "medium", "high"])
def test_where_a_second_factor_is_wanted_every_button_opens_the_page(
    telegram: Telegram, risk: str
) -> None:
    send(make_message(risk=risk, second_factor=True))
    [message] = telegram.messages()
    assert all(button["url"].startswith(PUBLIC_LINK) for button in buttons(message))
    assert "takes your second factor" in message["text"]


def test_what_can_be_seen_can_be_decided_here(telegram: Telegram) -> None:
    send()
    approve, reject, edit = buttons(telegram.messages()[0])
    assert approve == {"text": "Approve", "callback_data": f"a:{UUID(KEY).hex}"}
    assert reject == {"text": "Reject", "callback_data": f"r:{UUID(KEY).hex}"}
    assert edit == {"text": "Edit, then approve", "url": f"{PUBLIC_LINK}?choice=modified"}


def test_high_risk_has_to_be_opened(telegram: Telegram) -> None:
    send(make_message(risk="high"))
    assert [button["url"] for button in buttons(telegram.messages()[0])] == [
        f"{PUBLIC_LINK}?choice={choice}" for choice in ("approved", "rejected", "modified")
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"facts_left_out": 1},
        {"facts": [Fact("a", "x" * 500)]},
        {"facts": [Fact("a", "x\n" * 9)]},
        {"facts": [Fact(f"{number}", "x" * 300) for number in range(9)]},
    ],
)
def test_what_is_not_all_there_cannot_be_approved_here(
    telegram: Telegram, changes: dict[str, Any]
) -> None:
    send(make_message(**changes))
    approve, reject, _ = buttons(telegram.messages()[0])
    assert approve["url"] == f"{PUBLIC_LINK}?choice=approved"
    assert "callback_data" in reject


def test_there_is_always_a_way_to_the_page(telegram: Telegram) -> None:
    choices = [Choice("approved", "Approve"), Choice("rejected", "Reject")]
    send(make_message(choices=choices))
    *_, last = buttons(telegram.messages()[0])
    assert last == {"text": "Open the request", "url": PUBLIC_LINK}


@pytest.mark.parametrize("link", ["http://localhost:4000/l/abc/", "http://testserver/l/abc/"])
def test_an_address_that_telegram_refuses_is_written_out(telegram: Telegram, link: str) -> None:
    send(link=link)
    [message] = telegram.messages()
    assert link in styled(message, "code")
    assert all("url" not in button for button in buttons(message))


def test_without_a_personal_link_the_page_with_a_login_is_opened(telegram: Telegram) -> None:
    send(make_message(url="https://approvals.example.com/workflows/1/"), link="")
    assert buttons(telegram.messages()[0])[2]["url"] == "https://approvals.example.com/workflows/1/"


# --- Sending --------------------------------------------------------------------------------------


def test_receipt_names_chat_and_message(telegram: Telegram) -> None:
    receipt = send()
    [message] = telegram.messages()
    assert receipt.provider_ids == {"messageId": str(message["message_id"]), "chatId": str(ANN)}
    assert receipt.delivered


def test_groups_can_be_asked(telegram: Telegram) -> None:
    send(to=GROUP)
    assert len(telegram.messages(GROUP)) == 1


@pytest.mark.parametrize("to", ["", "0", "ann", "@ann", "1e5", "5550001x", "9" * 17, "\u0661"])
def test_no_call_for_what_is_no_chat(telegram: Telegram, to: str) -> None:
    with pytest.raises(ChannelError, match="not an id") as caught:
        send(to=to)
    assert caught.value.permanent
    assert telegram.ledger == []


def test_a_person_who_left_is_permanent(telegram: Telegram) -> None:
    telegram.blocked.add(ANN)
    with pytest.raises(ChannelError, match="blocked the bot") as caught:
        send()
    assert caught.value.permanent


def test_an_unknown_chat_is_permanent(telegram: Telegram) -> None:
    with pytest.raises(ChannelError, match="no such chat") as caught:
        send(to=999)
    assert caught.value.permanent


@pytest.mark.parametrize("token", [f"{BOT}:other", "nonsense"])
def test_a_wrong_token_is_permanent(telegram: Telegram, settings: Settings, token: str) -> None:
    settings.TELEGRAM_BOT_TOKEN = token
    with pytest.raises(ChannelError, match="TELEGRAM_BOT_TOKEN") as caught:
        send()
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [({"retry_after": 34}, 34.0), ({"retry_after": "34"}, None), ({"retry_after": True}, None),
     ({}, None)],
)  # fmt: skip
def test_too_many_is_transient_and_says_for_how_long(
    telegram: Telegram, parameters: dict[str, Any], seconds: float | None
) -> None:
    telegram.does = telegram.error(429, "Too Many Requests", **parameters)
    with pytest.raises(ChannelError) as caught:
        send()
    assert not caught.value.permanent
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 307, 408])
def test_trouble_that_passes_is_transient(telegram: Telegram, status: int) -> None:
    telegram.does = Said(status, raw=b"<html>", headers={"Location": telegram.url})
    with pytest.raises(ChannelError, match=str(status)) as caught:
        send()
    assert not caught.value.permanent
    assert len(telegram.ledger) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"null", b"[]", b'{"ok": true}', b'{"ok": true, "result": 5}', b'{"ok": "true"}',
     b'{"ok": true, "result": {"message_id": 1}}', b"[" * 50_000, b"\xff"],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_transient(telegram: Telegram, body: bytes) -> None:
    telegram.does = Said(200, raw=body)
    with pytest.raises(ChannelError, match="may have gone out or not") as caught:
        send()
    assert not caught.value.permanent


@pytest.mark.parametrize("does", ["drop", "hang", "drip", "refuse"])
def test_a_lost_answer_is_told_as_such(telegram: Telegram, does: str) -> None:
    telegram.does = does
    before = time.monotonic()
    with pytest.raises(ChannelError, match="may have gone out or not") as caught:
        send()
    assert not caught.value.permanent
    assert time.monotonic() - before < 3


def test_the_time_limit_is_ten_seconds_at_most() -> None:
    assert channel_module.TIMEOUT_SECONDS <= 10


def test_neither_token_nor_text_is_logged_or_told(
    telegram: Telegram, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    send(link=LINK)
    settings.TELEGRAM_API_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ChannelError) as caught:
        send(link=LINK)
    for secret in (TOKEN, CANARY, "A-1009"):
        assert secret not in caplog.text + str(caught.value)


# --- Rewriting ------------------------------------------------------------------------------------


def rewrite(ids: dict[str, str], **changes: Any) -> None:
    told = make_message(**{"outcome": OUTCOME, "choices": [], **changes})
    TelegramChannel().update(told, to=str(ANN), provider_ids=ids)


def test_a_decided_message_tells_it_and_has_no_buttons(telegram: Telegram) -> None:
    rewrite(send().provider_ids)
    [message] = telegram.messages()
    assert OUTCOME in message["text"]
    assert "Refund order A-1009" in message["text"]
    assert buttons(message) == []
    assert PUBLIC_LINK not in json.dumps(message)


def test_buttons_go_even_if_the_caller_left_the_choices_in(telegram: Telegram) -> None:
    rewrite(send().provider_ids, choices=make_message().choices)
    assert buttons(telegram.messages()[0]) == []


def test_a_question_that_still_stands_keeps_its_buttons(telegram: Telegram) -> None:
    receipt = send()
    [before] = [buttons(each) for each in telegram.messages()]
    told = make_message(progress="1 of 2, waiting for Finance.")
    channel, ids = TelegramChannel(), receipt.provider_ids
    channel.update(told, to=str(ANN), provider_ids=ids, key=KEY, link=PUBLIC_LINK)
    [message] = telegram.messages()
    assert "1 of 2, waiting for Finance." in message["text"]
    assert buttons(message) == before


def test_rewriting_twice_is_fine(telegram: Telegram) -> None:
    ids = send().provider_ids
    rewrite(ids)
    rewrite(ids)
    assert len(telegram.ledger) == 3


def test_a_message_that_is_gone_is_permanent(telegram: Telegram) -> None:
    with pytest.raises(ChannelError, match="message is gone") as caught:
        rewrite({"messageId": "7", "chatId": str(ANN)})
    assert caught.value.permanent


def test_without_the_ids_nothing_is_called(telegram: Telegram) -> None:
    with pytest.raises(ChannelError) as caught:
        rewrite({})
    assert caught.value.permanent
    assert telegram.ledger == []


def test_rewriting_fails_for_now_like_sending(telegram: Telegram) -> None:
    ids = send().provider_ids
    telegram.does = telegram.error(429, "Too Many Requests", retry_after=5)
    with pytest.raises(ChannelError) as caught:
        rewrite(ids)
    assert (caught.value.permanent, caught.value.retry_after) == (False, 5.0)


# --- Verifying ------------------------------------------------------------------------------------


def test_a_post_with_the_secret_is_accepted(telegram: Telegram) -> None:
    assert not refuses(received(telegram.write("hello")))
    assert not refuses(received(telegram.update(my_chat_member={})))


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "secret", ["", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper(), "é" * 20, "A" * 100_000]
)
def test_another_secret_is_forged(
    telegram: Telegram, settings: Settings, secret: str, debug: bool
) -> None:
    settings.DEBUG = debug
    assert refuses(received(telegram.update(message={}, secret=secret)))


def test_no_header_at_all_is_forged(telegram: Telegram) -> None:
    assert refuses(received(dataclasses.replace(telegram.write("hello"), headers={})))


@pytest.mark.parametrize("debug", [False, True])
def test_without_a_secret_nobody_is_trusted(
    telegram: Telegram, settings: Settings, debug: bool
) -> None:
    settings.DEBUG = debug
    settings.TELEGRAM_WEBHOOK_SECRET = ""
    assert refuses(received(telegram.update(message={}, secret="")))


@pytest.mark.parametrize(
    ("age", "good"),
    [(0, True), (3600, True), (24 * 3600 - 5, True), (24 * 3600 + 5, False), (-290, True),
     (-310, False)],
)  # fmt: skip
def test_words_have_an_age(telegram: Telegram, age: int, good: bool) -> None:
    post = telegram.write("hello", date=int(time.time()) - age)
    assert refuses(received(post)) is not good


@pytest.mark.parametrize("date", ["now", 1.5, True, [], 10**30])
def test_an_age_that_is_none_is_forged(telegram: Telegram, date: object) -> None:
    assert refuses(received(telegram.write("hello", date=date)))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"5", b'"x"', b"{}", b'{"update_id": "1"}', b'{"update_id": true}',
     b'{"update_id": null}', b"\xff", b"{" * 100_000, b"[" * 100_000, b"update_id=1"],
)  # fmt: skip
def test_what_is_no_update_is_forged(telegram: Telegram, body: bytes) -> None:
    assert refuses(received(dataclasses.replace(telegram.write("x"), body=body)))


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_forged(telegram: Telegram, content_type: str) -> None:
    post = dataclasses.replace(telegram.write("x"), content_type=content_type)
    assert refuses(received(post))


def test_only_posts_are_believed(telegram: Telegram) -> None:
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    for method in ("get", "put", "delete"):
        assert refuses(getattr(RequestFactory(), method)(CALLBACK, headers=headers))


def test_a_body_beyond_the_limit_is_forged(telegram: Telegram, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert refuses(received(telegram.write("hello")))


# --- Pressing -------------------------------------------------------------------------------------


def test_approve_decides(telegram: Telegram) -> None:
    ids = send().provider_ids
    reply = reply_to(telegram.press("Approve"))
    assert (reply.action, reply.decision, reply.reference) == ("decide", "approved", KEY)
    assert reply.sender == str(ANN)
    assert reply.place == ids
    assert reply.event_id.isdigit()


def test_reject_asks_for_the_reason_first(telegram: Telegram) -> None:
    send()
    reply = reply_to(telegram.press("Reject"))
    assert (reply.action, reply.decision, reply.reference) == ("ask_reason", "rejected", KEY)


def test_who_pressed_is_the_person_and_not_the_chat(telegram: Telegram) -> None:
    ids = send(to=GROUP).provider_ids
    reply = reply_to(telegram.press("Approve", chat=GROUP, by=777))
    assert (reply.sender, reply.place) == ("777", ids)


def test_a_repeated_post_has_the_same_id(telegram: Telegram) -> None:
    send()
    post = telegram.press("Approve")
    assert len({reply_to(post).event_id for _ in range(10)}) == 1
    assert reply_to(telegram.press("Approve")).event_id != reply_to(post).event_id


def test_a_button_keeps_the_place_where_it_was_pressed(telegram: Telegram) -> None:
    """Copied under another message, the data still tells that other place."""
    send()
    other = {"message_id": 999, "from": person(BOT)}
    reply = reply_to(telegram.press_data(f"a:{UUID(KEY).hex}", other))
    assert reply.place == {"messageId": "999", "chatId": str(ANN)}


@pytest.mark.parametrize(
    "data",
    ["", "a", "a:", "a:" + "0" * 31, "a:" + "0" * 33, "x:" + "0" * 32, "A:" + "0" * 32,
     "a:" + "G" * 32, "a:" + "0" * 32 + "\n", f"a:{KEY}"],
)  # fmt: skip
def test_data_that_is_not_ours_is_nothing(telegram: Telegram, data: str) -> None:
    assert parse(telegram.press_data(data, {"message_id": 1})) == []


GOOD_PRESS: dict[str, Any] = {
    "id": "1",
    "from": person(ANN),
    "message": {"message_id": 1, "chat": {"id": ANN, "type": "private"}},
    "data": f"a:{UUID(KEY).hex}",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"from": None},
        {"from": {"id": "5"}},
        {"from": {"id": ANN}},
        {"from": {"id": ANN, "is_bot": True}},
        {"message": None},
        {"message": {}},
        {"message": {"message_id": 1}},
        {"message": {"message_id": "1", "chat": {"id": ANN}}},
        {"message": [1]},
        {"data": None},
        {"data": ["a"]},
        {"inline_message_id": "x", "message": None},
    ],
)
def test_a_press_that_lacks_something_is_nothing(
    telegram: Telegram, changes: dict[str, Any]
) -> None:
    assert len(parse(telegram.update(callback_query=GOOD_PRESS))) == 1
    assert parse(telegram.update(callback_query=GOOD_PRESS | changes)) == []


@pytest.mark.parametrize(
    "parts",
    [{}, {"edited_message": {}}, {"my_chat_member": {}}, {"channel_post": {}}, {"inline_query": {}},
     {"message": None}, {"message": []}, {"message": "x"}, {"callback_query": 5}, {"poll": {}}],
)  # fmt: skip
def test_updates_of_other_kinds_are_nothing(telegram: Telegram, parts: dict[str, Any]) -> None:
    post = telegram.update(**parts)
    assert parse(post) == []
    assert acknowledge(telegram, post, "a problem") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["from", "id", "is_bot", "chat", "type", "text", "message", "message_id", "data",
             "reply_to_message", "date", "caption"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip


@given(st.sampled_from(["message", "callback_query"]), json_values)
def test_odd_updates_break_nothing(kind: str, value: Any) -> None:
    body = json.dumps({"update_id": 1, kind: value}).encode()
    request = received(Post(CALLBACK, body, "application/json", {}))
    assert len(TelegramChannel().parse(request)) <= 1
    assert TelegramChannel().acknowledge(request, "problem").status == 200


# --- Writing --------------------------------------------------------------------------------------


def ask_why(telegram: Telegram, chat: int = ANN) -> dict[str, Any]:
    """Press Reject, and return the question that came back."""
    send(to=chat)
    TelegramChannel().ask(reply_to(telegram.press("Reject", chat=chat)), make_message(), [])
    return telegram.messages(chat)[-1]


def test_the_question_wants_an_answer(telegram: Telegram) -> None:
    question = ask_why(telegram)
    assert question["text"].startswith("Why do you reject this?\nRefund order A-1009\n")
    assert question["reply_markup"]["force_reply"] is True
    assert question["reply_parameters"]["message_id"] == telegram.messages()[0]["message_id"]


def test_the_answer_to_the_question_rejects(telegram: Telegram) -> None:
    question = ask_why(telegram)
    reply = reply_to(telegram.write("  too expensive\nand late ", reply_to=question))
    assert (reply.action, reply.decision) == ("decide", "rejected")
    assert reply.comment == "too expensive\nand late"
    assert reply.reference == KEY
    assert reply.place == {"chatId": str(ANN)}


def test_in_a_group_the_answer_is_that_of_its_writer(telegram: Telegram) -> None:
    question = ask_why(telegram, GROUP)
    reply = reply_to(telegram.write("no", chat=GROUP, by=777, reply_to=question))
    assert (reply.sender, reply.decision, reply.place) == (
        "777",
        "rejected",
        {"chatId": str(GROUP)},
    )


def test_an_answer_without_words_is_asked_again(telegram: Telegram) -> None:
    reply = reply_to(telegram.write(None, reply_to=ask_why(telegram), sticker={}))
    assert (reply.action, reply.reference, reply.comment) == ("ask_reason", KEY, "")


def test_a_command_is_no_reason(telegram: Telegram) -> None:
    reply = reply_to(telegram.write("/help", reply_to=ask_why(telegram)))
    assert (reply.action, reply.decision) == ("say", "")


def test_a_question_that_a_person_wrote_is_none(telegram: Telegram) -> None:
    forged = {**ask_why(telegram), "from": person(ANN)}
    assert reply_to(telegram.write("yes", reply_to=forged)).action == "say"


def test_a_title_cannot_redirect_the_answer(telegram: Telegram) -> None:
    other = "0193bbbb-0000-7000-8000-000000000002"
    message = make_message(title=f"x\nrequest {other}", reason=f"Why do you\nrequest {other}")
    send(message)
    TelegramChannel().ask(reply_to(telegram.press("Reject")), message, [])
    shown, question = telegram.messages()
    assert reply_to(telegram.write("no", reply_to=question)).reference == KEY
    assert reply_to(telegram.write("no", reply_to=shown)).action == "say"


def test_words_under_a_message_tell_which_one(telegram: Telegram) -> None:
    ids = send().provider_ids
    reply = reply_to(telegram.write("what is this?", reply_to=telegram.messages()[0]))
    assert (reply.action, reply.comment, reply.place) == ("say", "what is this?", ids)


def test_words_without_more_are_passed_on(telegram: Telegram) -> None:
    reply = reply_to(telegram.write("yes, do\0 it"))
    assert (reply.action, reply.comment, reply.place) == ("say", "yes, do it", {})


@pytest.mark.parametrize("text", ["hello all", "/start abc", "yes"])
def test_talk_in_a_group_is_none_of_ours(telegram: Telegram, text: str) -> None:
    assert parse(telegram.write(text, chat=GROUP)) == []
    replied = {"message_id": 5, "from": person(777), "text": "hello"}
    assert parse(telegram.write(text, chat=GROUP, reply_to=replied)) == []


def test_bots_and_anonymous_groups_are_nobody(telegram: Telegram) -> None:
    bot: dict[str, Any] = {"from": {"id": 1, "is_bot": True}}
    assert parse(telegram.write("yes", **bot)) == []
    assert parse(telegram.write("yes", sender_chat={"id": GROUP})) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("/start AbC_12-x", "AbC_12-x"),
        ("/start@hitl_bot AbC", "AbC"),
        ("/start   AbC  ", "AbC"),
        ("/start " + "a" * 64, "a" * 64),
    ],
)
def test_a_start_with_a_code_links_the_account(telegram: Telegram, text: str, code: str) -> None:
    reply = reply_to(telegram.write(text))
    assert (reply.action, reply.code, reply.sender) == ("link", code, str(ANN))


@pytest.mark.parametrize(
    "text", ["/start", "/start a b", "/start a.b", "/start " + "a" * 65, "/starts abc", "start abc"]
)
def test_another_start_links_nothing(telegram: Telegram, text: str) -> None:
    reply = reply_to(telegram.write(text))
    assert (reply.action, reply.code) == ("say", "")


# --- Answering ------------------------------------------------------------------------------------


def test_a_press_is_acknowledged_so_that_the_button_rests(telegram: Telegram) -> None:
    send()
    assert acknowledge(telegram, telegram.press("Approve")) is True
    assert "text" not in telegram.alerts[0]


def test_a_problem_with_a_press_is_an_alert_to_the_one_who_pressed(telegram: Telegram) -> None:
    send(to=GROUP)
    post = telegram.press("Approve", chat=GROUP, by=777)
    acknowledge(telegram, post, "Already approved by Ann in Slack at 16:02 UTC.")
    [alert] = telegram.alerts
    assert alert["text"] == "Already approved by Ann in Slack at 16:02 UTC."
    assert alert["show_alert"] is True


def test_an_alert_is_cut_to_what_telegram_shows(telegram: Telegram) -> None:
    send()
    acknowledge(telegram, telegram.press("Approve"), "\U0001f600" * 300)
    assert "more characters)" in telegram.alerts[0]["text"]


def test_a_problem_with_words_is_answered_in_the_chat(telegram: Telegram) -> None:
    acknowledge(telegram, telegram.write("yes"), "Which one? <b>Press</b> a button.")
    assert telegram.messages()[-1]["text"] == "Which one? <b>Press</b> a button."


def test_words_without_a_problem_are_answered_with_nothing(telegram: Telegram) -> None:
    assert acknowledge(telegram, telegram.write("yes")) is None


def test_a_person_is_told_in_private(telegram: Telegram) -> None:
    send(to=GROUP)
    reply = reply_to(telegram.press("Approve", chat=GROUP, by=ANN))
    TelegramChannel().tell(reply, "You may not decide this.")
    assert [each["text"] for each in telegram.messages()] == ["You may not decide this."]
    assert len(telegram.messages(GROUP)) == 1


def test_in_private_it_is_told_below_the_message(telegram: Telegram) -> None:
    ids = send().provider_ids
    TelegramChannel().tell(reply_to(telegram.press("Approve")), "Too late.")
    assert telegram.messages()[-1]["reply_parameters"]["message_id"] == int(ids["messageId"])


def test_it_is_told_although_the_message_is_gone(telegram: Telegram) -> None:
    send()
    reply = reply_to(telegram.press("Approve"))
    telegram.chats[ANN].clear()
    TelegramChannel().tell(reply, "Too late.")
    assert telegram.messages()[-1]["text"] == "Too late."


def test_telling_somebody_who_left_is_permanent(telegram: Telegram) -> None:
    telegram.blocked.add(ANN)
    with pytest.raises(ChannelError, match="blocked") as caught:
        TelegramChannel().tell(Reply("say", sender=str(ANN)), "hello")
    assert caught.value.permanent


def test_it_is_on_with_token_and_secret(telegram: Telegram, settings: Settings) -> None:
    assert TelegramChannel.is_on()
    settings.TELEGRAM_WEBHOOK_SECRET = ""
    assert not TelegramChannel.is_on()
