"""Thin tasks: send one, rewrite one, sweep the due, report who reached nobody."""

from uuid import UUID

from celery import shared_task

from deliveries import breaker, selectors, services, updates
from deliveries.wakeups import SEND, UPDATE, ring, waiting
from hitl.lib.db import database_now
from hitl.lib.sweeps import each

BATCH = 500


@shared_task
def send_delivery(delivery_id: str) -> None:
    """Try one delivery."""
    services.send(UUID(delivery_id))


@shared_task
def update_delivery(delivery_id: str) -> None:
    """Make one sent message tell the outcome."""
    updates.update(UUID(delivery_id))


@shared_task
def ring_deliveries(task: str, delivery_ids: list[str]) -> None:
    """Wake up workers for many messages, so that whoever wrote the rows need not."""
    for delivery_id in delivery_ids:
        ring(task, UUID(delivery_id))


@shared_task
def sweep_deliveries() -> None:
    """Wake up everything that is due: lost first attempts, retries, stuck ones, rewrites.

    A queue that is longer than a batch gets nothing more to send: copies would come faster than
    they go, and in the end every message would have expired before a worker sees it. Nor does a
    provider that is left alone fill the batch, where others' messages wait.
    """
    now = database_now()
    for delivery_id in selectors.updates_due(now, limit=BATCH):
        ring(UPDATE, delivery_id)
    room = max(BATCH - waiting(), 0)
    for delivery_id in selectors.due(now, limit=room, without=breaker.resting()):
        ring(SEND, delivery_id)


@shared_task
def sweep_unreached() -> None:
    """Report open questions that have reached nobody within minutes."""
    each(selectors.unreached(database_now(), limit=BATCH), services.report_unreached)
