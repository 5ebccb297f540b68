"""Thin tasks: send what waits for one endpoint, sweep the due, sign what happened."""

import datetime as dt
from uuid import UUID

from celery import shared_task
from django.conf import settings

from events.proof import checkpoints
from events.restores import gate, noticing
from events.webhooks import environment, notices, selectors
from events.webhooks.lanes import LANES
from events.webhooks.models import WebhookMessage
from events.webhooks.wakeups import ring
from hitl.lib.db import database_now
from hitl.lib.sweeps import each

BATCH = 500


@shared_task
def drain_webhooks(endpoint_id: str) -> None:
    """Send what is due for one endpoint, in a thread beside the tasks."""
    LANES.open(UUID(endpoint_id))


@shared_task
def sweep_webhooks() -> None:
    """Wake up every endpoint for which something is due, and tell owners what was switched off."""
    for endpoint_id in selectors.due_endpoints(database_now(), limit=BATCH):
        ring(endpoint_id)
    if gate.current() is None:
        each(notices.due(limit=BATCH), notices.send)


@shared_task
def sync_webhooks() -> None:
    """Bring the endpoint of LLM_BACKEND_HOST into line with the environment."""
    environment.sync()


@shared_task
def forget_webhooks() -> None:
    """Empty the log of what was settled long ago. Replays make such messages anew."""
    horizon = database_now() - dt.timedelta(days=settings.WEBHOOK_LOG_DAYS)
    old = WebhookMessage.objects.filter(created_at__lt=horizon).exclude(
        status=WebhookMessage.Status.PENDING
    )
    while ids := list(old.order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        WebhookMessage.objects.filter(pk__in=ids).delete()


@shared_task
def sweep_checkpoints() -> None:
    """Sign the heads of all chains that have moved, and see whether the database is the old one."""
    noticing.look()
    checkpoints.sweep()
