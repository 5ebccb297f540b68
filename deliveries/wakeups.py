"""Wakes a worker about one delivery after commit. Losing it costs seconds: a sweep follows."""

from uuid import UUID

from celery import current_app
from django.db import transaction

SEND = "deliveries.tasks.send_delivery"
UPDATE = "deliveries.tasks.update_delivery"
# A wake-up that waited this long is thrown away: the sweep has made newer ones since, and a queue
# that stands still must not fill up with copies.
WAKE_UP_SECONDS = 60


def wake(task: str, delivery_id: UUID) -> None:
    """After commit, ask a worker to send or to rewrite one message."""
    transaction.on_commit(lambda: ring(task, delivery_id), robust=True)


def waiting() -> int:
    """How many messages stand in the queue: workers that are behind need no more of them."""
    name = current_app.conf.task_default_queue
    with current_app.connection_or_acquire() as connection:
        try:
            told = connection.default_channel.queue_declare(name, passive=True)
        except connection.channel_errors:
            return 0  # in Redis an empty queue is none
    return int(told.message_count)


def ring(task: str, delivery_id: UUID) -> None:
    """Ask a worker now."""
    current_app.tasks[task].apply_async([str(delivery_id)], expires=WAKE_UP_SECONDS)
