"""Wakes a worker about one delivery after commit. Losing it costs seconds: a sweep follows."""

from collections.abc import Sequence
from uuid import UUID

from celery import current_app
from django.db import transaction

SEND = "deliveries.tasks.send_delivery"
UPDATE = "deliveries.tasks.update_delivery"
RING = "deliveries.tasks.ring_deliveries"
# Of more than these, whoever wrote the rows lets somebody else ring.
FEW = 20
# A wake-up that waited this long is thrown away: the sweep has made newer ones since, and a queue
# that stands still must not fill up with copies.
WAKE_UP_SECONDS = 60


def wake(task: str, delivery_id: UUID) -> None:
    """After commit, ask a worker to send or to rewrite one message."""
    transaction.on_commit(lambda: ring(task, delivery_id), robust=True)


def wake_all(task: str, delivery_ids: Sequence[UUID]) -> None:
    """The same for several. Of many, a worker is told in one message, which rings for each."""
    if len(delivery_ids) <= FEW:
        for delivery_id in delivery_ids:
            wake(task, delivery_id)
        return
    ids = [str(each) for each in delivery_ids]
    transaction.on_commit(
        lambda: current_app.tasks[RING].apply_async([task, ids], expires=WAKE_UP_SECONDS),
        robust=True,
    )


def waiting() -> int:
    """How many messages stand in the queue: workers that are behind need no more of them."""
    name = current_app.amqp.router.route({}, SEND)["queue"].name
    with current_app.connection_or_acquire() as connection:
        try:
            told = connection.default_channel.queue_declare(name, passive=True)
        except connection.channel_errors:
            return 0  # in Redis an empty queue is none
    return int(told.message_count)


def ring(task: str, delivery_id: UUID) -> None:
    """Ask a worker now."""
    current_app.tasks[task].apply_async([str(delivery_id)], expires=WAKE_UP_SECONDS)
