"""A worker killed while it sends loses no delivery, over any channel: real process, real kill.

What the provider had taken may come twice where it can neither be asked nor told: in a mailbox with
one Message-ID, on a phone with two links that are both good. Slack is asked first.
"""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from deliveries import services
from deliveries.models import Delivery, DeliveryToken
from events.models import Event
from events.types import approval_sent
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, User
from hitl.lib.db import database_now
from tests.deliveries.smtp import mail_server
from tests.embedded import until
from tests.standins.slack import slack_server
from tests.standins.twilio import ACCOUNT, ANN, NUMBER, TOKEN, Twilio
from tests.workflows.factories import make_workflow

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = """
import sys, uuid, django
django.setup()
from deliveries import services
services.send(uuid.UUID(sys.argv[1]))
"""


@dataclass(frozen=True)
class Provider:
    """One channel's stand-in: how to make it hang, and what it has seen and taken."""

    channel: str
    environment: dict[str, str]
    does: Callable[[str], None]  # "hang", "mute" (take it, then hang) or "answer"
    seen: Callable[[], int]
    taken: Callable[[], list[str]]  # ids: equal where the receiver's program sees one message


@contextmanager
def _mail(settings: Settings, person: User) -> Iterator[Provider]:
    words = {"hang": "hang", "mute": "hang-after-data", "answer": "accept"}
    with mail_server(settings) as server:
        yield Provider(
            "email",
            {"EMAIL_URL": server.url, "DEFAULT_FROM_EMAIL": settings.DEFAULT_FROM_EMAIL},
            lambda does: setattr(server, "does", words[does]),
            lambda: server.attempts,
            lambda: [str(mail["Message-ID"]) for mail in server.accepted],
        )


@contextmanager
def _slack(settings: Settings, person: User) -> Iterator[Provider]:
    with slack_server(settings) as server:
        link(person, "slack", f"{server.workspace.team}:U0ANN")
        names = ("SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")
        yield Provider(
            "slack",
            {name: getattr(settings, name) for name in names},
            lambda does: setattr(server, "does", does),
            lambda: sum("chat.postMessage" in call.path for call in server.ledger),
            lambda: [post.ts for post in server.workspace.posts],
        )


@contextmanager
def _sms(settings: Settings, person: User) -> Iterator[Provider]:
    link(person, "phone", ANN)
    with Twilio().running() as server:
        environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": NUMBER,
            "TWILIO_API_URL": server.url,
        }
        for name, value in environment.items():
            setattr(settings, name, value)
        yield Provider(
            "sms",
            environment,
            lambda does: setattr(server, "does", does),
            lambda: len(server.ledger),
            lambda: [text["MessageSid"] for text in server.messages],
        )


PROVIDERS: dict[str, Callable[[Settings, User], AbstractContextManager[Provider]]] = {
    "email": _mail,
    "slack": _slack,
    "sms": _sms,
}
# Messages that are there in the end after a kill before and after the provider had taken one, and
# how many of the latter the receiver can tell apart.
BEFORE, AFTER = "hang", "mute"
COPIES = {"email": (2, 1), "slack": (1, 1), "sms": (2, 2)}


@pytest.fixture(params=PROVIDERS)
def provider(
    request: pytest.FixtureRequest, settings: Settings, approver: User
) -> Iterator[Provider]:
    with PROVIDERS[request.param](settings, approver) as given:
        if given.channel != "email":
            ContactPoint.objects.filter(kind="email").update(use=ContactPoint.Use.OFF)
        yield given


def start_worker(delivery: Delivery, provider: Provider) -> subprocess.Popen[bytes]:
    db = connection.settings_dict
    address = f"{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(delivery.pk)],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "hitl.settings",
            "DATABASE_URL": f"postgres://{address}",
            **provider.environment,
        },
    )


def kill_while(delivery: Delivery, provider: Provider, moment: str) -> None:
    """Kill a worker between claim and send, or between send and settle."""
    provider.does(moment)
    worker = start_worker(delivery, provider)
    try:
        until(provider.seen if moment == BEFORE else provider.taken, 30)
    finally:
        worker.kill()
        worker.wait(10)
    provider.does("answer")


@pytest.mark.parametrize("moment", [BEFORE, AFTER])
def test_killed_while_sending(
    agent: Agent, provider: Provider, settings: Settings, moment: str
) -> None:
    [delivery] = Delivery.objects.filter(workflow=make_workflow(agent))
    assert delivery.channel == provider.channel
    kill_while(delivery, provider, moment)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.is_sending) == ("pending", 1, True)
    assert len(provider.taken()) == (moment == AFTER)

    services.send(delivery.pk)
    assert provider.seen() == 1, "the claim of the dead worker still holds"
    past = database_now() - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS + 1)
    Delivery.objects.update(claimed_at=past)
    services.send(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.status in ("sent", "delivered")
    assert (delivery.attempts, delivery.claimed_at) == (2, None)
    copies, distinct = COPIES[provider.channel] if moment == AFTER else (1, 1)
    assert (len(provider.taken()), len(set(provider.taken()))) == (copies, distinct)
    assert Event.objects.filter(type=approval_sent(provider.channel)).count() == 1
    # Each attempt that wrote a message made a link of its own, so both copies of a text work.
    wrote = 1 if provider.channel == "slack" and moment == AFTER else 2
    assert DeliveryToken.objects.filter(delivery=delivery).count() == wrote
