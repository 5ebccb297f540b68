"""How to reach me: addresses come in by proof only, and nobody's mailbox or phone is flooded."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from dashboard import me, me_urls
from deliveries import proofs
from hitl.accounts import contacts
from hitl.accounts.linking import link
from hitl.accounts.models import ContactPoint, User
from tests.dashboard.browser import logged_in, text
from tests.standins.slack.server import SlackServer, slack_server
from tests.standins.telegram import ANN as ANNS_CHAT
from tests.standins.telegram import SECRET, Telegram
from tests.standins.telegram import TOKEN as BOT_TOKEN
from tests.standins.twilio import ACCOUNT, NUMBER, TOKEN, Twilio
from tests.standins.twilio import ANN as ANNS_PHONE

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(approver: User) -> Client:
    return logged_in(approver)


@pytest.fixture
def twilio(settings: Settings) -> Iterator[Twilio]:
    with Twilio().running() as server:
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT, TOKEN
        settings.TWILIO_FROM, settings.TWILIO_API_URL = NUMBER, server.url
        yield server


@pytest.fixture
def slack(settings: Settings) -> Iterator[SlackServer]:
    with slack_server(settings) as server:
        yield server


@pytest.fixture
def telegram(settings: Settings) -> Iterator[Telegram]:
    with Telegram().running() as server:
        settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = BOT_TOKEN, SECRET
        settings.TELEGRAM_API_URL, settings.TELEGRAM_BOT_NAME = server.url, ""
        yield server


def add(browser: Client, kind: str, address: str = "") -> Any:
    return browser.post(reverse("me-add", args=[kind]), {"address": address}, follow=True)


def on(browser: Client, name: str, point: ContactPoint, **fields: str) -> Any:
    """Press one of the buttons beside an address."""
    return browser.post(reverse(f"me-{name}", args=[point.pk]), fields, follow=True)


def newest(user: User, kind: str) -> ContactPoint:
    return ContactPoint.objects.filter(user=user, kind=kind).latest("pk")


def mailed_link() -> str:
    """The path of the link in the newest mail."""
    found = re.search(r"http://testserver(/me/confirm/\S+/)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def texted_code(twilio: Twilio) -> str:
    found = re.search(r"\b\d{6}\b", twilio.messages[-1]["Body"])
    assert found
    return found[0]


def kinds_of(user: User, *, proved: bool = True) -> list[str]:
    rows = contacts.mine(user)
    return [row.kind for row in rows if (row.verified_at is not None) == proved]


# --- The page -------------------------------------------------------------------------------------


def test_page_lists_addresses_channels_and_what_would_be_written(
    browser: Client, slack: SlackServer, approver: User
) -> None:
    link(approver, "slack", "T0HITL:U0ANN")

    shown = text(browser.get("/me/"))

    assert "When a request asks you, we write to ann@example.com and Slack at once." in shown
    assert "T0HITL:U0ANN" in shown
    assert shown.count("Off on this server") == 2  # text messages and Telegram
    assert "How to reach me" in text(browser.get("/"))


def test_sentence_follows_order_and_use(
    approver: User, slack: SlackServer, twilio: Twilio, settings: Settings
) -> None:
    link(approver, "slack", "T0HITL:U0ANN")
    link(approver, "phone", ANNS_PHONE)
    contacts.set_use(approver, newest(approver, "phone").pk, "fallback")
    contacts.set_use(approver, newest(approver, "slack").pk, "fallback")

    assert me.sentence(approver) == (
        "When a request asks you, we write to ann@example.com; "
        f"if a message cannot be delivered, to Slack, then {ANNS_PHONE}."
    )
    contacts.move(approver, newest(approver, "phone").pk, -1)
    assert f"to {ANNS_PHONE}, then Slack." in me.sentence(approver)
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    settings.SLACK_BOT_TOKEN = settings.TWILIO_FROM = ""
    assert "writes to nobody" in me.sentence(approver)


def test_person_without_an_address_of_a_channel_that_is_on_is_told(
    approver: User, browser: Client, slack: SlackServer, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert "none of your addresses can be used" in text(browser.get("/me/"))


def test_login_address_is_written_to_where_there_is_no_other_mail(
    browser: Client, approver: User
) -> None:
    on(browser, "remove", newest(approver, "email"))

    shown = text(browser.get("/me/"))
    assert "so mail goes to <strong>ann@example.com</strong>" in shown
    assert "we write to ann@example.com" in shown


@pytest.mark.parametrize("pattern", me_urls.urlpatterns, ids=lambda each: each.name)
def test_nobody_gets_in_without_logging_in(pattern: Any) -> None:
    values = {"IntConverter": 1, "UUIDConverter": uuid4()}
    kinds = [type(one).__name__ for one in pattern.pattern.converters.values()]
    path = reverse(pattern.name, args=[values.get(kind, "x") for kind in kinds])
    for answer in (Client().get(path), Client().post(path)):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login/")


@pytest.mark.parametrize("name", ["again", "code", "use", "move", "test", "remove"])
def test_changes_are_posts_with_a_token_on_ones_own_addresses(
    name: str, browser: Client, colleague: User, approver: User
) -> None:
    theirs = newest(colleague, "email")
    path = reverse(f"me-{name}", args=[theirs.pk])
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(colleague)

    assert browser.get(path)["Location"] == "/me/"
    assert strict.post(path).status_code == 403
    answer = browser.post(path, {"use": "fallback", "to": "up", "code": "123456"})
    assert answer.status_code == 404
    assert "no such" in text(answer)
    theirs.refresh_from_db()
    assert (theirs.use, theirs.user) == ("always", colleague)


def test_order_use_and_removal(browser: Client, approver: User) -> None:
    link(approver, "slack", "T0HITL:U0ANN")
    link(approver, "phone", ANNS_PHONE)

    on(browser, "move", newest(approver, "phone"), to="up")
    on(browser, "move", newest(approver, "phone"), to="up")
    on(browser, "move", newest(approver, "phone"), to="up")
    on(browser, "move", newest(approver, "email"), to="down")
    on(browser, "use", newest(approver, "email"), use="fallback")
    on(browser, "use", newest(approver, "email"), use="nonsense")

    assert kinds_of(approver) == ["phone", "slack", "email"]
    assert newest(approver, "email").use == "fallback"
    on(browser, "remove", newest(approver, "slack"))
    assert kinds_of(approver) == ["phone", "email"]


# --- E-mail ---------------------------------------------------------------------------------------


def test_mail_address_is_used_once_the_link_is_confirmed(browser: Client, approver: User) -> None:
    add(browser, "email", "  Ann@Private.example ")
    assert mail.outbox[-1].to == ["ann@private.example"]
    assert "ann@private.example" not in me.sentence(approver)

    looked = browser.get(mailed_link())
    assert "Is this address yours?" in text(looked)
    assert kinds_of(approver) == ["email"]
    answer = browser.post(mailed_link(), follow=True)

    assert "Confirmed: ann@private.example" in text(answer)
    assert me.sentence(approver).endswith("ann@example.com and ann@private.example at once.")


def test_mail_tells_who_asked_and_carries_nobodys_own_words(
    browser: Client, approver: User
) -> None:
    approver.name = "Win money at http://evil.example"
    approver.save()

    add(browser, "email", "ann@private.example")

    sent = mail.outbox[-1]
    assert isinstance(sent, EmailMultiAlternatives)
    whole = f"{sent.subject} {sent.body} {sent.alternatives[0]}"
    assert "ann@example.com asked hitl" in whole
    assert "evil.example" not in whole
    assert sent.extra_headers["Auto-Submitted"] == "auto-generated"


def test_link_is_no_good_to_anybody_else(browser: Client, approver: User, colleague: User) -> None:
    add(browser, "email", "ann@private.example")
    other = logged_in(colleague)

    for answer in (other.get(mailed_link()), other.post(mailed_link())):
        assert answer.status_code == 403
        assert "Log out and go on with the link" in text(answer)
    anonymous = Client().post(mailed_link())
    assert anonymous["Location"].startswith("/login/?next=/me/confirm/")
    assert kinds_of(approver, proved=False) == ["email"]


@pytest.mark.parametrize("spoil", ["removed", "cut", "rubbish"])
def test_link_dies_with_its_address(browser: Client, approver: User, spoil: str) -> None:
    add(browser, "email", "ann@private.example")
    path = mailed_link()
    if spoil == "removed":
        on(browser, "remove", newest(approver, "email"))
    else:
        path = reverse("me-confirm", args=["rubbish" if spoil == "rubbish" else path[12:-9]])

    for answer in (browser.get(path), browser.post(path)):
        assert answer.status_code == 410
    assert kinds_of(approver) == ["email"]


def test_link_grows_old(browser: Client, approver: User, monkeypatch: pytest.MonkeyPatch) -> None:
    add(browser, "email", "ann@private.example")
    monkeypatch.setattr(proofs, "LINK_SECONDS", -1)
    assert browser.post(mailed_link()).status_code == 410


@pytest.mark.parametrize(
    "address", ["", "ann", "ann@", "a@b\nBcc: x@y.example", "x" * 250 + "@a.eu"]
)
def test_what_is_no_address_is_refused_beside_the_field(browser: Client, address: str) -> None:
    answer = add(browser, "email", address)
    assert answer.status_code == 400
    assert 'role="alert"' in text(answer)
    assert mail.outbox == []


@pytest.mark.parametrize("whose", ["login", "proved"])
def test_address_of_somebody_else_is_refused(
    browser: Client, approver: User, colleague: User, whose: str
) -> None:
    if whose == "login":
        ContactPoint.objects.filter(user=colleague).delete()
    answer = add(browser, "email", "Carl@example.com")
    assert answer.status_code == 409
    assert "belongs to somebody else" in text(answer)
    assert mail.outbox == []


def test_claiming_an_address_does_not_keep_its_owner_from_it(
    browser: Client, approver: User, colleague: User
) -> None:
    add(browser, "email", "carl@private.example")
    claimed = mailed_link()
    add(logged_in(colleague), "email", "carl@private.example")
    logged_in(colleague).post(mailed_link())

    answer = browser.post(claimed)

    assert answer.status_code == 409
    assert kinds_of(colleague) == ["email", "email"]
    assert kinds_of(approver) == ["email"]


def test_closed_accounts_hold_no_address_back(
    browser: Client, approver: User, colleague: User
) -> None:
    colleague.is_active = False
    colleague.save()

    add(browser, "email", "carl@example.com")
    browser.post(mailed_link())

    assert kinds_of(approver) == ["email", "email"]


def test_nobodys_mailbox_is_flooded(browser: Client, colleague: User, approver: User) -> None:
    add(browser, "email", "victim@elsewhere.example")
    for _ in range(proofs.AN_ADDRESS_AN_HOUR + 3):
        answer = on(browser, "again", newest(approver, "email"))
    assert answer.status_code == 429
    assert add(logged_in(colleague), "email", "victim@elsewhere.example").status_code == 429
    assert len(mail.outbox) == proofs.AN_ADDRESS_AN_HOUR


def test_one_person_does_not_write_to_many(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "A_PERSON_AN_HOUR", 3)
    answers = [add(browser, "email", f"person{n}@elsewhere.example") for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert len(mail.outbox) == 3


def test_without_a_cache_nothing_is_written(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(cache, "count", down, raising=False)
    assert add(browser, "email", "ann@private.example").status_code == 429
    assert mail.outbox == []


def test_number_of_addresses_is_bounded(
    browser: Client, approver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "MOST", 2)
    add(browser, "email", "ann@private.example")
    assert add(browser, "email", "ann@third.example").status_code == 409


# --- Phone ----------------------------------------------------------------------------------------


def test_phone_is_used_once_the_code_is_typed(
    browser: Client, approver: User, twilio: Twilio
) -> None:
    shown = text(add(browser, "phone", "0044 (7700) 900-123"))
    assert twilio.messages[-1]["To"] == ANNS_PHONE
    assert "one-time-code" in shown

    code = texted_code(twilio)
    on(browser, "code", newest(approver, "phone"), code=f" {code[:3]} {code[3:]} ")

    assert kinds_of(approver) == ["email", "phone"]


def test_few_tries_for_a_code(browser: Client, approver: User, twilio: Twilio) -> None:
    add(browser, "phone", ANNS_PHONE)
    right = texted_code(twilio)
    wrong = f"{(int(right) + 1) % 10**6:06d}"

    answers = [
        on(browser, "code", newest(approver, "phone"), code=wrong) for _ in range(proofs.CODE_TRIES)
    ]
    last = on(browser, "code", newest(approver, "phone"), code=right)

    assert {answer.status_code for answer in answers} == {400}
    assert "not the code" in text(answers[0])
    assert last.status_code == 429
    assert kinds_of(approver) == ["email"]


def test_code_is_good_for_one_address_of_one_person(
    browser: Client, approver: User, colleague: User, twilio: Twilio
) -> None:
    add(browser, "phone", ANNS_PHONE)
    code = texted_code(twilio)
    other = logged_in(colleague)
    add(other, "phone", "+447700900999")

    assert on(other, "code", newest(colleague, "phone"), code=code).status_code == 400
    assert on(other, "code", newest(approver, "phone"), code=code).status_code == 404


def test_code_expires_and_is_not_stored(browser: Client, approver: User, twilio: Twilio) -> None:
    add(browser, "phone", ANNS_PHONE)
    point = newest(approver, "phone")
    assert texted_code(twilio) not in str(cache.get(f"proof-code:{point.pk}"))
    cache.clear()  # what time does, and a Redis that was emptied
    answer = on(browser, "code", point, code=texted_code(twilio))
    assert answer.status_code == 400
    assert "expired" in text(answer)


@pytest.mark.parametrize("number", ["07700 900123", "+44 7700", "+4477009001234567", "call me"])
def test_number_needs_its_country(browser: Client, twilio: Twilio, number: str) -> None:
    assert add(browser, "phone", number).status_code == 400
    assert twilio.messages == []


def test_what_the_provider_refuses_is_told_and_can_be_tried_again(
    browser: Client, approver: User, twilio: Twilio
) -> None:
    twilio.refused[ANNS_PHONE] = 21610
    answer = add(browser, "phone", ANNS_PHONE)
    assert answer.status_code == 502
    assert "opted out" in text(answer)

    twilio.refused.clear()
    on(browser, "again", newest(approver, "phone"))
    on(browser, "code", newest(approver, "phone"), code=texted_code(twilio))
    assert kinds_of(approver) == ["email", "phone"]


def test_channel_that_is_off_takes_no_address(browser: Client) -> None:
    for kind in ("phone", "slack", "pigeon"):
        assert add(browser, kind, "x").status_code == 409
    assert browser.post(reverse("me-start", args=["telegram"])).status_code == 409


# --- Slack ----------------------------------------------------------------------------------------


def test_slack_is_linked_when_the_same_person_opens_the_message(
    browser: Client, approver: User, colleague: User, slack: SlackServer
) -> None:
    add(browser, "slack")

    post = slack.workspace.last
    assert post.channel == slack.workspace.direct("U0ANN")
    url = post.buttons["hitl_open"]["url"].removeprefix("http://testserver")
    assert kinds_of(approver) == ["email"]
    assert logged_in(colleague).post(url).status_code == 403
    browser.post(url)

    assert kinds_of(approver) == ["email", "slack"]
    assert newest(approver, "slack").address == "T0HITL:U0ANN"


def test_somebody_slack_does_not_know_is_told(stranger: User, slack: SlackServer) -> None:
    answer = add(logged_in(stranger), "slack")
    assert answer.status_code == 404
    assert "Slack knows nobody with the address sue@example.com" in text(answer)


def test_slack_that_refuses_is_told(browser: Client, slack: SlackServer) -> None:
    slack.refuse("missing_scope", "users.lookupByEmail")
    answer = add(browser, "slack")
    assert answer.status_code == 502
    assert "lacks a permission" in text(answer)


# --- Telegram -------------------------------------------------------------------------------------


def test_telegram_is_linked_by_starting_the_bot(
    browser: Client, approver: User, telegram: Telegram
) -> None:
    shown = text(browser.post(reverse("me-start", args=["telegram"]), follow=True))
    found = re.search(r"https://t\.me/hitl_standin_bot\?start=([A-Za-z0-9]+)", shown)
    assert found

    post = telegram.write(f"/start {found[1]}")
    Client().post(post.path, post.body, content_type=post.content_type, headers=post.headers)

    assert newest(approver, "telegram").address == str(ANNS_CHAT)
    assert "t.me/" not in text(browser.get("/me/"))


def test_telegram_account_of_somebody_else_is_refused(
    browser: Client, approver: User, colleague: User, telegram: Telegram, settings: Settings
) -> None:
    settings.TELEGRAM_BOT_NAME = "named_bot"
    link(colleague, "telegram", str(ANNS_CHAT))
    shown = text(browser.post(reverse("me-start", args=["telegram"]), follow=True))
    found = re.search(r"https://t\.me/named_bot\?start=([A-Za-z0-9]+)", shown)
    assert found

    post = telegram.write(f"/start {found[1]}")
    answer = Client().post(
        post.path, post.body, content_type=post.content_type, headers=post.headers
    )

    assert "belongs to somebody else" in text(answer)
    assert kinds_of(colleague) == ["email", "telegram"]


def test_sandbox_sends_nobody_to_a_strangers_bot(
    browser: Client, telegram: Telegram, settings: Settings
) -> None:
    settings.SANDBOX_ACCOUNTS = {"telegram": {}}
    browser.post(reverse("me-start", args=["telegram"]))
    shown = text(browser.get("/me/"))
    assert "there is no bot to start" in shown
    assert "t.me/" not in shown


# --- Tests ----------------------------------------------------------------------------------------


def test_test_message_goes_to_every_kind(
    browser: Client, approver: User, slack: SlackServer, twilio: Twilio, telegram: Telegram
) -> None:
    link(approver, "slack", "T0HITL:U0ANN")
    link(approver, "phone", ANNS_PHONE)
    link(approver, "telegram", str(ANNS_CHAT))

    for point in contacts.mine(approver):
        assert "A test message has gone out" in text(on(browser, "test", point))

    assert "This is a test" in str(mail.outbox[-1].body)
    assert "This is a test" in slack.workspace.last.seen
    assert "This is a test" in twilio.messages[-1]["Body"]
    assert "This is a test" in telegram.messages()[-1]["text"]


def test_unproved_address_gets_no_test(browser: Client, approver: User) -> None:
    add(browser, "email", "ann@private.example")
    assert on(browser, "test", newest(approver, "email")).status_code == 404
    assert len(mail.outbox) == 1
