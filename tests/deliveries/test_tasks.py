"""Tasks are pokes: sending one, and the sweep that finds what is due."""

from typing import Any

import pytest

from deliveries import services, tasks, wakeups
from deliveries.models import Delivery
from hitl.celery import app
from tests.deliveries.smtp import MailServer

pytestmark = pytest.mark.django_db


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


def test_sweep_adds_nothing_to_a_queue_that_nobody_empties(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else copies would pile up faster than workers throw them away, and all would expire."""
    monkeypatch.setattr(tasks, "BATCH", 3)
    app.control.purge()
    assert wakeups.waiting() == 0
    for number in range(1, 6):
        tasks.sweep_deliveries()
        assert wakeups.waiting() == min(number, 3)
    app.control.purge()
    tasks.sweep_deliveries()
    assert wakeups.waiting() == 1
    app.control.purge()
