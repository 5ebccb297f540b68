"""Several workers at once, and one that is killed: real processes, real PostgreSQL."""

import contextlib
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from celery import Celery
from django.db import connection
from pytest_django import Settings

from events.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from events.webhooks import endpoints, replays, sending
from hitl.accounts.models import Agent
from hitl.lib.db import database_now
from scripts import services
from tests.events.webhooks.hooks import Hook
from tests.racing import count, race
from tests.receiver import Receiver
from tests.workflows.factories import make_workflow

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]
ROOT = Path(__file__).resolve().parent.parent.parent.parent
WORKER = """
import sys, uuid, django
django.setup()
from events.webhooks import sending
sending.drain(uuid.UUID(sys.argv[1]))
"""
ROUNDS = 60


def start_worker(hook: Hook, receiver: Receiver) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(hook.endpoint.pk)], cwd=ROOT, env=environment(receiver)
    )


def environment(receiver: Receiver) -> dict[str, str]:
    db = connection.settings_dict
    address = f"{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "hitl.settings",
        "DATABASE_URL": f"postgres://{address}",
        "OUTBOUND_ALLOW": receiver.allow,
        "OUTBOUND_ALLOW_HTTP": "on",
    }


@contextlib.contextmanager
def celery_worker(receiver: Receiver) -> Iterator[Celery]:
    """A worker with one process and a Redis of its own; yields what sends tasks to it."""
    with services.redis(services.redis_program()) as url:
        # Not the current app: that is what everything else sends its tasks with.
        queue = Celery(broker=url, set_as_current=False)
        queue.conf.task_default_queue = "webhooks"
        options = ["--concurrency=1", "--queues=webhooks", "--loglevel=ERROR"]
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "hitl", "worker", *options],
            cwd=ROOT,
            env=environment(receiver) | {"REDIS_URL": url},
        )
        try:
            yield queue
        finally:
            worker.terminate()
            worker.wait(30)


@pytest.mark.parametrize("behaviour", ["hang", "late"])
def test_killed_between_claim_and_settle(
    hook: Hook, agent: Agent, receiver: Receiver, settings: Settings, behaviour: str
) -> None:
    """Whether the receiver had it or not, it comes again under the same id; nothing is lost."""
    make_workflow(agent)
    receiver.behaviour = behaviour
    worker = start_worker(hook, receiver)
    try:
        give_up = time.monotonic() + 60
        while not receiver.ledger and time.monotonic() < give_up and worker.poll() is None:
            time.sleep(0.05)
    finally:
        worker.kill()
        worker.wait(10)
    assert len(receiver.ledger) == 1
    receiver.behaviour = "answer"
    receiver.release.set()
    [message] = hook.messages()
    assert (message.status, message.attempts) == ("pending", 1)
    assert hook.drain() == 0, "the claim of the dead worker still holds"

    past = database_now() - dt.timedelta(seconds=settings.WEBHOOK_CLAIM_SECONDS + 1)
    WebhookMessage.objects.update(claimed_at=past)
    assert hook.drain() == 1
    [message] = hook.messages()
    assert (message.status, message.attempts) == ("delivered", 2)
    first, second = receiver.ledger
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    cut, done = WebhookAttempt.objects.order_by("number")
    assert (cut.finished_at is None, done.status_code) == (True, 200)


def test_many_workers_on_one_endpoint_send_each_message_once(
    hook: Hook, agent: Agent, receiver: Receiver
) -> None:
    for _ in range(ROUNDS):
        make_workflow(agent)
    outcomes = race(*[partial(sending.drain, hook.endpoint.pk)] * 4)
    assert count(outcomes, Exception) == 0, outcomes
    assert sum(outcomes) == len(receiver.ledger) == ROUNDS
    assert len({each.headers["webhook-id"] for each in receiver.ledger}) == ROUNDS
    assert {each.status for each in hook.messages()} == {"delivered"}


def test_never_more_in_flight_than_permitted(hook: Hook, agent: Agent, settings: Settings) -> None:
    for _ in range(10):
        make_workflow(agent)
    outcomes = race(*[partial(sending.claim, hook.endpoint.pk)] * 8)
    assert count(outcomes, sending.Claimed) == settings.WEBHOOK_IN_FLIGHT, outcomes


def test_two_notes_on_one_message(hook: Hook, agent: Agent) -> None:
    """A success wins over a failure that comes at the same moment from a worker thought dead."""
    for _ in range(ROUNDS):
        make_workflow(agent)
        first = sending.claim(hook.endpoint.pk)
        hook.time_passes()
        second = sending.claim(hook.endpoint.pk)
        assert first is not None
        assert second is not None
        outcomes = race(
            partial(sending.settle, first, sending.Result(status=200)),
            partial(sending.settle, second, sending.Result(status=500, error="500")),
        )
        assert count(outcomes, Exception) == 0, outcomes
        message = WebhookMessage.objects.get(pk=first.message.pk)
        assert message.status == "delivered"
        WebhookEndpoint.objects.update(failures=0, first_failure_at=None, rests_until=None)


def test_recording_against_switching_off_and_removing(hook: Hook, agent: Agent) -> None:
    """What records an event never waits for, nor breaks on, what people do to endpoints."""
    for number in range(ROUNDS // 2):
        off = number % 2 == 0
        outcomes = race(
            partial(make_workflow, agent),
            partial(endpoints.change, hook.endpoint.pk, {"is_active": not off}),
        )
        assert count(outcomes, Exception) == 0, outcomes
    endpoints.change(hook.endpoint.pk, {"is_active": True})
    outcomes = race(
        partial(make_workflow, agent),
        partial(make_workflow, agent),
        partial(endpoints.rotate, hook.endpoint.pk),
    )
    assert count(outcomes, Exception) == 0, outcomes


def test_sending_again_against_sending(hook: Hook, agent: Agent, receiver: Receiver) -> None:
    for _ in range(ROUNDS // 4):
        make_workflow(agent)
        [message] = hook.messages(status="pending")
        outcomes = race(
            partial(sending.drain, hook.endpoint.pk),
            partial(replays.resend, hook.endpoint.pk, message.pk),
        )
        assert count(outcomes, Exception) - count(outcomes, replays.BeingSent) == 0, outcomes
        hook.drain()
        message.refresh_from_db()
        assert message.status == "delivered"
        numbers = [each.number for each in WebhookAttempt.objects.filter(message=message)]
        assert numbers == list(range(1, message.attempts + 1))


def test_webhooks_go_on_while_tasks_come_and_go(
    hook: Hook, agent: Agent, receiver: Receiver
) -> None:
    """Celery closes connections around every task; the threads beside the tasks need theirs."""
    for _ in range(ROUNDS):
        make_workflow(agent)
    with celery_worker(receiver) as queue:
        queue.send_task("events.tasks.drain_webhooks", [str(hook.endpoint.pk)])
        give_up = time.monotonic() + 60
        while len(receiver.ledger) < ROUNDS and time.monotonic() < give_up:
            for _ in range(10):
                queue.send_task("workflows.tasks.sweep_timeouts")
            time.sleep(0.05)
    assert len({each.headers["webhook-id"] for each in receiver.ledger}) == ROUNDS
