"""Wakes a worker about one endpoint after commit. Losing it costs seconds: a sweep follows."""

from uuid import UUID

from celery import current_app
from django.db import transaction

DRAIN = "events.tasks.drain_webhooks"
# The sweep has made newer ones since: a queue that stands still must not fill up with copies.
WAKE_UP_SECONDS = 60


def wake(endpoint_id: UUID) -> None:
    """After commit, ask a worker to send what waits for this endpoint."""
    transaction.on_commit(lambda: ring(endpoint_id), robust=True)


def ring(endpoint_id: UUID) -> None:
    """Ask a worker now."""
    current_app.tasks[DRAIN].apply_async([str(endpoint_id)], expires=WAKE_UP_SECONDS)
