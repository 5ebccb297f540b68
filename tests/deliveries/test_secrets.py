"""A link's token is nowhere but in the message: canary tokens are searched for everywhere else."""

import logging
import re
import secrets
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers
from pytest_django import Settings

from deliveries import services
from deliveries.models import Delivery, DeliveryToken, SandboxMessage
from tests.deliveries.smtp import MailServer

pytestmark = pytest.mark.django_db


def database() -> str:
    """Every row of every table, as text. The sandbox holds mails, so it is left out."""
    models = [model for model in apps.get_models() if model is not SandboxMessage]
    return "".join(serializers.serialize("json", model._default_manager.all()) for model in models)


def tokens(mails: list[Any]) -> set[str]:
    return set(re.findall(r"/l/([\w-]{20,})/", "".join(str(mail) for mail in mails)))


def test_token_is_random_and_hashed_at_rest(delivery: Delivery, smtp: MailServer) -> None:
    services.send(delivery.pk)
    [token] = tokens(smtp.accepted)
    assert len(token) == 43
    row = DeliveryToken.objects.get()
    assert row.digest == services.token_digest(token) != token
    assert token not in database()


@pytest.mark.parametrize(
    "does", ["accept", "refuse-recipient", "busy-data", "drop-after-data", "hang"]
)
def test_token_is_in_no_log_event_or_row(
    delivery: Delivery,
    smtp: MailServer,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary" + "x" * 37
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: canary)
    smtp.does = does
    if does == "refuse-recipient":
        smtp.says = f"550 spam: http://testserver/l/{canary}/?choice=approved {canary}"
    services.send(delivery.pk)
    assert canary not in database()
    ours = [record for record in caplog.records if record.name != "mail.log"]  # the server's own
    assert canary not in "".join(record.getMessage() + str(record.exc_text) for record in ours)


def test_token_is_in_no_log_when_the_channel_breaks(
    delivery: Delivery, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "canary" + "y" * 37
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: canary)
    monkeypatch.setattr("deliveries.channels.email.compose.mjml.mjml2html", None)
    services.send(delivery.pk)
    assert "channel broke" in caplog.text
    assert canary not in caplog.text + database()
