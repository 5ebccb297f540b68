"""Thin tasks: send one, sweep the due."""

from uuid import UUID

from celery import shared_task

from deliveries import selectors, services
from hitl.lib.db import database_now

BATCH = 500
# A wake-up that waited this long is thrown away: the sweep has made newer ones since, and a queue
# that stands still must not fill up with copies.
WAKE_UP_SECONDS = 60


@shared_task
def send_delivery(delivery_id: str) -> None:
    """Try one delivery."""
    services.send(UUID(delivery_id))


@shared_task
def sweep_deliveries() -> None:
    """Wake up everything that is due: lost first attempts, retries, stuck ones."""
    for delivery_id in selectors.due(database_now(), limit=BATCH):
        send_delivery.apply_async([str(delivery_id)], expires=WAKE_UP_SECONDS)
