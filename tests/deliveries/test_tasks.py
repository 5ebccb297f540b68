"""Tasks are pokes: sending one, and the sweep that finds what is due."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest

from deliveries import breaker, services, tasks, wakeups
from deliveries.models import Delivery
from hitl.celery import app
from tests.deliveries.smtp import MailServer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _an_empty_queue() -> None:
    """What other tests asked for and no worker took would count as a queue that is too long."""
    app.control.purge()


def test_sending_twice_sends_once(delivery: Delivery, smtp: MailServer) -> None:
    tasks.send_delivery(str(delivery.pk))
    tasks.send_delivery(str(delivery.pk))
    assert len(smtp.accepted) == 1


def test_sweep_wakes_what_is_due_and_the_wake_up_does_not_pile_up(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    poked: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(
        tasks.send_delivery, "apply_async", lambda args, **options: poked.append((args, options))
    )
    tasks.sweep_deliveries()
    assert poked == [([str(delivery.pk)], {"expires": wakeups.WAKE_UP_SECONDS})]
    services.claim(delivery.pk)
    tasks.sweep_deliveries()
    assert len(poked) == 1


def test_for_many_messages_somebody_else_rings(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    asked: list[Any] = []
    rung: list[list[str]] = []
    monkeypatch.setattr(tasks.ring_deliveries, "apply_async", lambda args, **_: asked.append(args))
    monkeypatch.setattr(tasks.update_delivery, "apply_async", lambda args, **_: rung.append(args))
    ids = [uuid4() for _ in range(wakeups.FEW + 1)]
    with django_capture_on_commit_callbacks(execute=True):
        wakeups.wake_all(wakeups.UPDATE, ids[1:])
    assert (asked, rung) == ([], [[str(each)] for each in ids[1:]])

    rung.clear()
    with django_capture_on_commit_callbacks(execute=True):
        wakeups.wake_all(wakeups.UPDATE, ids)
    assert rung == []
    tasks.ring_deliveries(*asked[0])
    assert rung == [[str(each)] for each in ids]


def test_sweep_passes_over_a_provider_that_is_left_alone(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages, however many, stand in nobody's way."""
    monkeypatch.setattr(tasks, "BATCH", 1)
    other = Delivery.objects.get(pk=delivery.pk)
    other.pk, other.channel, other.recipient = uuid4(), "slack", "T1:U1"
    other.next_retry_at = delivery.next_retry_at and delivery.next_retry_at - dt.timedelta(hours=1)
    other.save(force_insert=True)
    poked: list[list[str]] = []
    monkeypatch.setattr(
        tasks.send_delivery, "apply_async", lambda args, **options: poked.append(args)
    )
    tasks.sweep_deliveries()
    breaker.rest("slack", 30)
    tasks.sweep_deliveries()
    assert poked == [[str(other.pk)], [str(delivery.pk)]]


def test_sweep_adds_nothing_to_a_queue_that_nobody_empties(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else copies would pile up faster than workers throw them away, and all would expire."""
    monkeypatch.setattr(tasks, "BATCH", 3)
    assert wakeups.waiting() == 0
    for number in range(1, 6):
        tasks.sweep_deliveries()
        assert wakeups.waiting() == min(number, 3)
    app.control.purge()
    tasks.sweep_deliveries()
    assert wakeups.waiting() == 1
    app.control.purge()
