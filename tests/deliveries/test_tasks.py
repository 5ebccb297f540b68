"""Tasks are pokes: sending one, and the sweep that finds what is due."""

from typing import Any

import pytest

from deliveries import services, tasks, wakeups
from deliveries.models import Delivery
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
