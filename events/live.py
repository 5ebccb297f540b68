"""Tells listeners *that* a workflow changed, after commit, through the channel layer.

The layer may lose messages, so nothing depends on one: a message is a hint to read the database.
"""

import logging
from typing import Any

from channels.layers import get_channel_layer
from django.db import transaction

from events.models import Event
from hitl.lib import background_loop

logger = logging.getLogger(__name__)

GROUP = "live"
PUBLISH_SECONDS = 2.0


def announce(event: Event) -> None:
    """After commit, publish who changed. Carries ids only: pages and agents read the rest."""
    message = {
        "type": "workflow.changed",
        "workflow_id": str(event.workflow_id),
        "team_id": str(event.team_id),
        "event_id": event.pk,
        "seq": event.seq,
        "status": event.status,
        "event_type": str(event.type),
    }
    transaction.on_commit(lambda: publish(message), robust=True)


def publish(message: dict[str, Any]) -> None:
    """Hand one hint to the channel layer; without Redis it is dropped with a line in the log."""
    try:
        background_loop.call(_send(message), seconds=PUBLISH_SECONDS)
    except Exception:
        # Whatever the layer suffers from, the change itself is committed and listeners catch up.
        logger.warning("live update was not published", exc_info=True)


async def _send(message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is not None:
        await layer.group_send(GROUP, message)
