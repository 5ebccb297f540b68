"""A worker killed while the mail server hangs loses no delivery: real process, real kill."""

import datetime as dt
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from deliveries import services
from deliveries.models import Delivery, DeliveryToken
from events.models import Event
from events.types import approval_sent
from hitl.accounts.models import Agent
from hitl.lib.db import database_now
from tests.deliveries.smtp import MailServer
from tests.workflows.factories import make_workflow

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = """
import sys, uuid, django
django.setup()
from deliveries import services
services.send(uuid.UUID(sys.argv[1]))
"""


def start_worker(delivery: Delivery, smtp: MailServer) -> subprocess.Popen[bytes]:
    db = connection.settings_dict
    address = f"{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(delivery.pk)],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "hitl.settings",
            "DATABASE_URL": f"postgres://{address}",
            "EMAIL_URL": smtp.url,
            "DEFAULT_FROM_EMAIL": "hitl <approvals@hitl.example.com>",
        },
    )


def wait_for(what: str, smtp: MailServer) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if smtp.attempts if what == "attempt" else smtp.accepted:
            return
        time.sleep(0.05)
    pytest.fail(f"the worker made no {what}")


@pytest.mark.parametrize(
    ("does", "until", "mails"), [("hang", "attempt", 1), ("hang-after-data", "mail", 2)]
)
def test_killed_while_sending(
    agent: Agent, smtp: MailServer, settings: Settings, does: str, until: str, mails: int
) -> None:
    delivery = Delivery.objects.get(workflow=make_workflow(agent))
    smtp.does = does
    worker = start_worker(delivery, smtp)
    try:
        wait_for(until, smtp)
    finally:
        worker.kill()
        worker.wait(10)
    smtp.does = "accept"
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.is_sending) == ("pending", 1, True)

    services.send(delivery.pk)
    assert smtp.attempts == 1, "the claim of the dead worker still holds"
    past = database_now() - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS + 1)
    Delivery.objects.update(claimed_at=past)
    services.send(delivery.pk)

    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("sent", 2)
    assert len(smtp.accepted) == mails
    assert len({mail["Message-ID"] for mail in smtp.accepted}) == 1
    assert Event.objects.filter(type=approval_sent("email")).count() == 1
    assert DeliveryToken.objects.filter(delivery=delivery).count() == 2
