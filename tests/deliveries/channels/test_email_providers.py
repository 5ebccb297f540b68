"""E-mail through providers' APIs: stand-ins of Postmark and Mailgun on loopback."""

import contextlib
from collections.abc import Iterator

import pytest
from django.test import RequestFactory
from django.utils.module_loading import import_string
from pytest_django import Settings

from deliveries.channels.base import Channel, ChannelError, Forged
from deliveries.channels.email import EmailChannel, provider
from tests.deliveries.channels.contract import KEY, LINK, ChannelContract, Provider
from tests.deliveries.factories import make_message
from tests.standins.mail_providers import Mailgun, MailProvider, Postmark, configured
from tests.standins.server import Said


class Double(Provider):
    """A mail provider, as the contract wants to command it."""

    def __init__(self, server: MailProvider) -> None:
        self.server = server

    def received(self) -> list[str]:
        return [f"{mail.subject}\n{mail.text}\n{mail.html}" for mail in self.server.mails]

    def refuse_for_good(self) -> None:
        self.server.does = Said(422, {"ErrorCode": 300, "Message": f"Invalid content: {LINK}"})

    def refuse_for_now(self) -> None:
        self.server.does = Said(503, {"Message": f"Later: {LINK}"})

    def hang(self) -> None:
        self.server.does = "hang"

    def down(self) -> contextlib.AbstractContextManager[None]:
        self.server.stop()
        return contextlib.nullcontext()


class Contract(ChannelContract):
    name = "email"
    to = "ann@example.com"
    server: type[Postmark] | type[Mailgun]

    @pytest.fixture
    def provider(self, settings: Settings) -> Iterator[Provider]:
        server = self.server()
        with configured(server, settings, patience=0.5):
            yield Double(server)


class TestPostmark(Contract):
    server = Postmark


class TestMailgun(Contract):
    server = Mailgun


del Contract  # or it would be collected as a suite of its own


@pytest.fixture(params=[Postmark, Mailgun], ids=["postmark", "mailgun"])
def server(request: pytest.FixtureRequest, settings: Settings) -> Iterator[MailProvider]:
    double: MailProvider = request.param()
    with configured(double, settings, patience=0.5):
        yield double


@pytest.fixture
def postmark(settings: Settings) -> Iterator[Postmark]:
    double = Postmark()
    with configured(double, settings, patience=0.5):
        yield double


def send(to: str = "ann@example.com") -> str:
    channel: Channel = EmailChannel()
    receipt = channel.send(make_message(), to=to, key=KEY, link=LINK)
    return receipt.provider_ids["messageId"]


def refusal(to: str = "ann@example.com") -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        send(to)
    return caught.value


def test_id_is_the_providers_own(server: MailProvider) -> None:
    assert send() == server.mails[0].id


def test_headers_survive_the_way(server: MailProvider) -> None:
    send()
    headers = server.mails[0].headers
    assert headers["references"] == "<0192aaaa@hitl.example.com>"
    assert headers["auto-submitted"] == "auto-generated"
    assert headers["list-unsubscribe"].startswith("<http://testserver/mail/off/")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_passing_trouble_is_transient(server: MailProvider, status: int) -> None:
    server.does = Said(status, {"message": "Try again"}, headers={"Retry-After": "17"})
    error = refusal()
    assert (error.permanent, error.retry_after) == (False, 17.0)
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_login_is_the_operators_to_mend(server: MailProvider, status: int) -> None:
    server.does = Said(status, {"Message": "Bad token 1111"})
    error = refusal()
    assert not error.permanent
    assert "login" in str(error)
    assert "1111" not in str(error)


@pytest.mark.parametrize("status", [400, 404, 406, 413, 422])
def test_refusal_is_permanent(server: MailProvider, status: int) -> None:
    server.does = Said(status, {"ErrorCode": 300, "Message": "The sender is not verified."})
    error = refusal()
    assert error.permanent
    assert "The sender is not verified." in str(error)


def test_suppressed_mailbox_is_permanent_and_says_so(postmark: Postmark) -> None:
    postmark.inactive.add("ann@example.com")
    error = refusal()
    assert error.permanent
    assert "refuses the recipient" in str(error)
    assert "marked as inactive" in str(error)


@pytest.mark.parametrize("does", ["drop", "rubbish", "hang"])
def test_lost_answer_says_that_the_mail_may_have_gone_out(server: MailProvider, does: str) -> None:
    server.does = does
    error = refusal()
    assert not error.permanent
    assert "may have gone out or not" in str(error)


def test_nobody_there_is_transient_and_certain(server: MailProvider) -> None:
    server.stop()
    error = refusal()
    assert not error.permanent
    assert str(error) == "The mail provider cannot be reached."


@pytest.mark.parametrize("to", ["ann@example.com\nBcc: eve@example.com", "ann@", "ann"])
def test_address_that_cannot_be_used_is_permanent(server: MailProvider, to: str) -> None:
    assert refusal(to).permanent
    assert server.mails == []


def test_account_without_its_key_is_the_operators_to_mend(
    postmark: Postmark, settings: Settings
) -> None:
    settings.ANYMAIL = {}
    error = refusal()
    assert not error.permanent
    assert "manage.py check" in str(error)
    assert postmark.ledger == []


@pytest.mark.filterwarnings("ignore:django-anymail has dropped official support")
@pytest.mark.parametrize("name", provider.VIEWS)
def test_every_provider_can_post(name: str, settings: Settings) -> None:
    settings.EMAIL_PROVIDER = name
    keys = {"MAILGUN_API_KEY", "MAILERSEND_SIGNING_SECRET", "MAILERSEND_INBOUND_SECRET"}
    keys |= {"POSTAL_WEBHOOK_KEY", "UNISENDER_GO_API_KEY"}
    settings.ANYMAIL = dict.fromkeys(keys, "x") | {"WEBHOOK_SECRET": ["a:b"]}
    settings.REPLY_ADDRESS = "approvals@in.example.com"
    paths = [provider.TRACKING, *([provider.INBOUND] if provider.takes_replies() else [])]
    for path in paths:
        with pytest.raises(Forged):
            provider.verify(RequestFactory().post(f"/webhooks/email/{path}"))


def test_every_provider_in_the_settings_can_send(settings: Settings) -> None:
    assert set(provider.VIEWS) == set(settings.EMAIL_PROVIDERS) - {"scaleway"}
    for name in settings.EMAIL_PROVIDERS:
        assert import_string(f"anymail.backends.{name}.EmailBackend").esp_name
