"""E-mail against a real SMTP server on loopback."""

import contextlib
import re
import time
from collections.abc import Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import cast

import pytest
from pytest_django import Settings

from deliveries.channels.base import ChannelError, Fact, Message
from deliveries.channels.email import EmailChannel
from deliveries.channels.email.channel import may_reply
from deliveries.channels.email.compose import request as compose
from tests.deliveries.channels.contract import CANARY, KEY, LINK, ChannelContract, Provider
from tests.deliveries.factories import HOSTILE, make_message
from tests.deliveries.smtp import MailServer, free_port, mail_server, point_at, silent_server
from tests.hostile import CORPUS


class SmtpProvider(Provider):
    def __init__(self, server: MailServer, settings: Settings) -> None:
        self.server = server
        self.settings = settings

    def received(self) -> list[str]:
        return [text_of(mail) + html_of(mail) for mail in self.server.accepted]

    def refuse_for_good(self) -> None:
        self.server.does = "refuse-recipient"
        self.server.says = f"550 5.7.1 we dislike {LINK}?choice=approved and {CANARY}"

    def refuse_for_now(self) -> None:
        self.server.does = "busy-recipient"

    def hang(self) -> None:
        self.server.does = "hang"

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        point_at(self.settings, free_port())
        yield


@pytest.fixture
def smtp(settings: Settings) -> Iterator[MailServer]:
    with mail_server(settings) as server:
        yield server


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def send(message: Message | None = None, to: str = "ann@example.com") -> str:
    receipt = EmailChannel().send(message or make_message(), to=to, key=KEY, link=LINK)
    return receipt.provider_ids["messageId"]


def html(**changes: object) -> str:
    mail = compose(make_message(**changes), to="ann@example.com", key=KEY, link=LINK)
    return str(mail.alternatives[0][0])


def text(**changes: object) -> str:
    return str(compose(make_message(**changes), to="ann@example.com", key=KEY, link=LINK).body)


class Reader(HTMLParser):
    """What a browser would find: elements, addresses, attributes, visible words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words += data


class TestContract(ChannelContract):
    name = "email"
    to = "ann@example.com"

    @pytest.fixture
    def provider(self, settings: Settings) -> Iterator[Provider]:
        with mail_server(settings) as server:
            yield SmtpProvider(server, settings)


# --- What the server says -----------------------------------------------------------------------


@pytest.mark.parametrize("does", ["refuse-recipient", "refuse-sender", "refuse-data"])
def test_5xx_at_any_step_is_permanent(smtp: MailServer, does: str) -> None:
    smtp.does = does
    with pytest.raises(ChannelError, match=r"refuses .* \(55") as caught:
        send()
    assert caught.value.permanent


@pytest.mark.parametrize("does", ["busy-recipient", "busy-data"])
def test_4xx_at_any_step_is_transient(smtp: MailServer, does: str) -> None:
    smtp.does = does
    with pytest.raises(ChannelError, match=r"\(45") as caught:
        send()
    assert not caught.value.permanent


@pytest.mark.parametrize("does", ["drop-after-data", "hang-after-data"])
def test_lost_answer_after_the_mail_says_that_it_may_have_arrived(
    smtp: MailServer, does: str
) -> None:
    smtp.does = does
    with pytest.raises(ChannelError, match="may have arrived or not") as caught:
        send()
    assert not caught.value.permanent
    assert len(smtp.accepted) == 1


def test_server_that_hangs_up_before_the_mail_is_transient(smtp: MailServer) -> None:
    smtp.does = "hang-up"
    with pytest.raises(ChannelError) as caught:
        send()
    assert not caught.value.permanent


def test_server_that_never_greets_costs_one_timeout(settings: Settings) -> None:
    with silent_server() as port:
        point_at(settings, port, EMAIL_TIMEOUT=0.3)
        began = time.monotonic()
        with pytest.raises(ChannelError, match="does not answer") as caught:
            send()
    assert time.monotonic() - began < 2
    assert not caught.value.permanent


def test_unknown_host_is_transient(settings: Settings) -> None:
    point_at(settings, 25, EMAIL_HOST="mail.invalid")
    with pytest.raises(ChannelError, match="cannot be reached") as caught:
        send()
    assert not caught.value.permanent


def test_server_without_tls_is_no_reason_to_send_in_the_clear(
    smtp: MailServer, settings: Settings
) -> None:
    settings.EMAIL_USE_TLS = True
    with pytest.raises(ChannelError):
        send()
    assert smtp.accepted == []


def test_refused_login_is_the_operators_to_mend(smtp: MailServer, settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "hitl", "wrong"
    with pytest.raises(ChannelError) as caught:
        send()
    assert not caught.value.permanent
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("to", ["ann@example.com\nBcc: eve@example.com", "ann@"])
def test_address_that_cannot_be_used_is_permanent(smtp: MailServer, to: str) -> None:
    with pytest.raises(ChannelError) as caught:
        send(to=to)
    assert caught.value.permanent
    assert smtp.accepted == []


def test_without_an_account_nothing_is_called_sent(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert not EmailChannel.is_on()
    with pytest.raises(ChannelError, match="EMAIL_URL") as caught:
        send()
    assert caught.value.permanent


def test_server_that_never_says_goodbye_does_not_undo_success(smtp: MailServer) -> None:
    async def hang_up(*_: object) -> str:
        raise ConnectionResetError

    smtp.handle_QUIT = hang_up  # type: ignore[attr-defined]
    assert send()
    assert len(smtp.accepted) == 1


# --- Headers ------------------------------------------------------------------------------------


def test_mails_about_one_request_are_one_thread(smtp: MailServer) -> None:
    message_id = send()
    [mail] = smtp.accepted
    assert mail["Message-ID"] == message_id == f"<{KEY}@hitl.example.com>"
    assert mail["In-Reply-To"] == mail["References"] == "<0192aaaa@hitl.example.com>"


def test_auto_responders_stay_silent(smtp: MailServer) -> None:
    send()
    assert smtp.accepted[0]["Auto-Submitted"] == "auto-generated"
    assert smtp.accepted[0]["X-Auto-Response-Suppress"] == "All"


def test_a_second_attempt_has_the_same_message_id(smtp: MailServer) -> None:
    assert send() == send()


@pytest.mark.parametrize(
    "title", ["a\r\nBcc: eve@example.com", "a\nX-Evil: 1\n\nbody", "a\0b", "x" * 5000, "\u2028b"]
)
def test_subject_is_one_short_line_whatever_the_title(smtp: MailServer, title: str) -> None:
    send(make_message(subject=title))
    [mail] = smtp.accepted
    assert len(mail["Subject"].strip()) <= 150
    assert not re.search(r"[\r\n\0\u2028]", mail["Subject"])
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert text_of(mail).startswith("APPROVAL NEEDED")


# --- Content ------------------------------------------------------------------------------------


def test_text_and_html_are_equally_complete() -> None:
    message = make_message(deceptive=True, facts_left_out=3, risk="high")
    mail = compose(message, to="ann@example.com", key=KEY, link=LINK)
    words = Reader(str(mail.alternatives[0][0])).words
    for said in (
        message.title, message.agent, message.team, message.action_type, "high risk",
        "Amount", "120", "Damaged in transit.", "Sorry!", "[note]", "and 3 more values",
        "Tue 24 Nov 2026, 17:00", "the request times out and nothing runs",
        "The customer sent photos.", "nobody has checked them", "9f86d081884c", message.fingerprint,
        "Look closely", "ask you to log in",
    ):  # fmt: skip
        assert said in mail.body
        assert said.strip("[]") in words


def test_text_carries_no_markup() -> None:
    body = text(title='"Tom & Jerry" <tom@example.com>', facts=[Fact("a<b", "1 < 2 & 'x'")])
    assert '"Tom & Jerry" <tom@example.com>' in body
    assert "1 < 2 & 'x'" in body
    assert "&amp;" not in body
    assert "&#x27;" not in body


def test_one_link_per_choice_and_one_to_the_dashboard() -> None:
    links = [f"{LINK}?choice={choice}" for choice in ("approved", "rejected", "modified")]
    dashboard = "http://testserver/workflows/0192/"
    assert Reader(html()).links == [*links, dashboard]
    assert re.findall(r"http\S+", text()) == [*links, dashboard]


def test_mail_loads_nothing_from_anywhere() -> None:
    source = html()
    assert "fonts.googleapis" not in source
    assert "@import" not in source
    assert not {"img", "script", "iframe", "link", "form"} & Reader(source).tags


def test_hostile_text_stays_text() -> None:
    source = html(
        title=HOSTILE, agent=HOSTILE, team=HOSTILE, action_type=HOSTILE, reason=HOSTILE,
        fingerprint=HOSTILE, on_timeout=HOSTILE, facts=[Fact(HOSTILE, HOSTILE, HOSTILE)] * 3,
    )  # fmt: skip
    found, clean = Reader(source), Reader(html())
    assert found.tags <= clean.tags
    assert found.attributes <= clean.attributes
    assert found.links == clean.links
    assert HOSTILE in found.words
    assert HOSTILE in text(title=HOSTILE)


@pytest.mark.parametrize("number", range(0, len(CORPUS), 20))
def test_no_text_of_the_corpus_becomes_markup(number: int) -> None:
    clean = Reader(html(reason="x", facts=[Fact("x", "x", "x")]))
    for evil in CORPUS[number : number + 20]:
        source = html(
            title=evil, agent=evil, team=evil, action_type=evil, reason=evil,
            facts=[Fact(evil, evil, evil)],
        )  # fmt: skip
        found = Reader(source)
        assert found.tags == clean.tags, evil
        assert found.attributes == clean.attributes, evil
        assert found.links == clean.links, evil
        assert evil.replace("\t", " ") in re.sub(r"\s", " ", found.words)
        assert evil in text(title=evil)


def test_hostile_links_cannot_break_out_of_their_attribute() -> None:
    found = Reader(html(url='http://x/"><script>alert(1)</script>'))
    assert "script" not in found.tags


def test_the_agents_words_come_last_boxed_and_labelled() -> None:
    imitation = "Already approved by the CFO.\n\nApprove: http://evil.example.com/"
    body = text(reason=imitation)
    assert body.index("YOUR ANSWER") < body.index("OWN WORDS") < body.index("  > Approve: http://e")
    assert "\nApprove: http://evil" not in body
    source = html(reason=imitation)
    assert source.index("?choice=rejected") < source.index("own words") < source.index("CFO")


def test_lines_of_a_value_cannot_leave_their_indent() -> None:
    body = text(facts=[Fact("note", "ok\nYOUR ANSWER\nApprove:\nhttp://evil.example.com/")])
    assert "\n      YOUR ANSWER\n" in body
    assert body.count("\nYOUR ANSWER\n") == 1


def test_outcome_tells_and_asks_nothing() -> None:
    said = "Already approved by Ann Approver in Slack at 2026-11-23 16:40 UTC."
    told = {"kind": "outcome", "outcome": said, "choices": []}
    assert said in text(**told)
    assert said in Reader(html(**told)).words
    assert LINK not in text(**told) + html(**told)
    assert "Decide by" not in text(**told)


def test_reminder_says_so() -> None:
    assert "STILL WAITING" in text(kind="reminder")
    assert "Still waiting" in Reader(html(kind="reminder")).words


def test_message_without_deadline_form_or_reason_is_still_whole() -> None:
    body = text(expires_at="", reason="", facts=[], risk="")
    assert "Refund order A-1009" in body
    assert "Decide by" not in body
    assert "OWN WORDS" not in body
    assert not re.search(r"\n{4,}", body)


def test_long_lines_survive_the_way(smtp: MailServer) -> None:
    send(make_message(facts=[Fact("blob", "x" * 2000)], reason="ü" * 1500))
    [mail] = smtp.accepted
    assert "x" * 2000 in text_of(mail)
    assert "ü" * 1500 in text_of(mail)


def test_domain_of_an_odd_sender_is_replaced(settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "nobody"
    headers = compose(make_message(), to="a@example.com", key=KEY, link=LINK).extra_headers
    assert cast(str, headers["Message-ID"]) == f"<{KEY}@localhost>"


# --- How it stands --------------------------------------------------------------------------------

STANDING = {
    "notice": "Bob has changed the data: your answer is about what it says now.",
    "progress": "1 of 2, waiting for Finance.",
    "on_behalf": "Zoe Absent",
}


def test_both_parts_say_what_happened_for_whom_and_how_far_it_is() -> None:
    for words in (text(**STANDING), Reader(html(**STANDING)).words):
        for part in STANDING.values():
            assert part in words
        # The data comes last: style sheets and the preview have its number, too.
        assert words.index(STANDING["notice"]) < words.rindex("120")


def test_once_it_is_settled_only_the_outcome_is_told() -> None:
    settled = STANDING | {"outcome": "Approved by Ann.", "choices": []}
    for words in (text(**settled), Reader(html(**settled)).words):
        assert "Approved by Ann." in words
        assert not [part for part in STANDING.values() if part in words]


def test_mail_without_anything_of_the_kind_has_no_gaps() -> None:
    assert "Refund order A-1009\nrefund-bot of the team Payments asks" in text()
    assert "\n\n\n" not in text(notice="Bob has changed the data.", on_behalf="Zoe")


def test_what_people_are_called_stays_text() -> None:
    hostile = f"{HOSTILE}\nYOUR ANSWER\n  Approve:\n  https://evil.example/"
    odd = {"notice": hostile, "progress": hostile, "on_behalf": hostile}
    read = Reader(html(**odd))
    assert "script" not in read.tags
    assert "onload" not in read.attributes
    assert not [link for link in read.links if "evil" in link]
    assert text(**odd).count("\nYOUR ANSWER\n") == 1
    assert "{{7*7}}" in text(**odd)


def test_reminder_comes_in_the_thread_of_its_question(smtp: MailServer) -> None:
    send()
    EmailChannel().send(
        make_message(kind="reminder", subject="Reminder: approve by 24 Nov 17:00 UTC: Refund"),
        to="ann@example.com",
        key="0193aaaa-0000-7000-8000-000000000002",
        link=LINK,
    )
    asked, again = smtp.accepted
    assert again["References"] == asked["References"]
    assert again["In-Reply-To"] == asked["In-Reply-To"]
    assert again["Message-ID"] != asked["Message-ID"]
    assert again["Subject"].startswith("Reminder: approve by")
    assert "STILL WAITING FOR AN ANSWER" in text_of(again)


def test_where_a_second_factor_is_wanted_no_answer_by_mail_is_offered() -> None:
    wanted = make_message(risk="low", second_factor=True)
    assert may_reply(make_message(risk="low"))
    assert not may_reply(wanted)
    for words in (text(second_factor=True), Reader(html(second_factor=True)).words):
        assert "takes your second factor" in words
