"""The mail backend of the sandbox keeps what a mail server would have been given."""

import pytest
from django.core.mail import BadHeaderError, EmailMessage
from pytest_django import Settings

from deliveries import services
from deliveries.models import Delivery, SandboxMessage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sandbox(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "deliveries.sandbox.EmailBackend"


def test_keeps_text_html_and_headers(delivery: Delivery) -> None:
    services.send(delivery.pk)
    message = SandboxMessage.objects.get()
    assert (message.channel, message.recipient) == ("email", "ann@example.com")
    assert message.subject.startswith("Approve by ")
    assert "/l/" in message.text
    assert message.html.startswith("<!doctype html>")
    assert message.headers["Message-ID"].startswith(f"<{delivery.pk}@")
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.SENT


def test_plain_mail_has_no_html() -> None:
    assert EmailMessage("s", "body", to=["a@example.com"], cc=["b@example.com"]).send() == 1
    message = SandboxMessage.objects.get()
    assert (message.html, message.text) == ("", "body")
    assert message.recipient == "a@example.com, b@example.com"


def test_mail_to_nobody_is_not_kept() -> None:
    assert EmailMessage("s", "body").send() == 0
    assert not SandboxMessage.objects.exists()


def test_forged_headers_are_refused_as_by_a_server() -> None:
    with pytest.raises(BadHeaderError):
        EmailMessage("s", "b", to=["a@example.com\nBcc: e@example.com"]).send()
    assert not SandboxMessage.objects.exists()
