"""A link's token is nowhere but in the message: canary tokens are searched for everywhere else."""

import logging
import re
import secrets
from typing import Any

import pytest
from celery import Celery, Task
from django.apps import apps
from django.core import serializers
from django.test import Client
from pytest_django import Settings

from deliveries import services
from deliveries.models import Delivery, DeliveryToken, SandboxMessage
from hitl.accounts.models import Agent, User
from hitl.lib.logs import Line
from tests.deliveries.smtp import MailServer
from tests.workflows.factories import make_workflow

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


@pytest.mark.django_db(transaction=True)
def test_token_is_nowhere_after_a_whole_life(
    approver: User,
    agent: Agent,
    smtp: MailServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked, sent, opened, misused, decided, opened again: pages, addresses, rows, the queue and
    the log are searched."""
    caplog.set_level(logging.DEBUG)
    queued: list[str] = []
    monkeypatch.setattr(
        Celery, "send_task", lambda _, name, args=(), *__, **___: queued.append(f"{name} {args}")
    )
    monkeypatch.setattr(
        Task, "apply_async", lambda task, args=(), *_, **__: queued.append(f"{task.name} {args}")
    )
    workflow = make_workflow(agent)
    services.send(Delivery.objects.get(workflow=workflow).pk)
    [token] = tokens(smtp.accepted)
    client, path = Client(raise_request_exception=False), f"/l/{token}/"

    pages = [client.get(f"{path}?choice=approved"), client.post(path), client.get(path + "x/")]
    page = client.get(pages[0]["Location"])
    form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.content.decode()))
    refused = client.post(pages[0]["Location"], form | {"nonce": "x", "decision": "approved"})
    done = client.post(pages[0]["Location"], form | {"decision": "approved"})
    assert (page.status_code, refused.status_code, done.status_code) == (200, 403, 303)
    pages += [page, refused, done, client.get(path), client.get(done["Location"])]

    assert queued
    seen = "".join(f"{each.headers}{each.cookies}{each.content.decode()}" for each in pages)
    ours = [record for record in caplog.records if record.name != "mail.log"]
    lines = "".join(Line().format(record) for record in ours)
    assert token not in seen + database() + "".join(queued) + lines
    assert workflow.name in seen
