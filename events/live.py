"""Tells listeners *that* a workflow changed, after commit, through the channel layer.

The layer may lose messages, so nothing depends on one: a message is a hint to read the database.
"""

import logging
from collections.abc import Sequence
from typing import Any

from channels.layers import get_channel_layer
from django.db import transaction

from events.models import Event
from hitl.lib import background_loop

logger = logging.getLogger(__name__)

GROUP = "live"
PUBLISH_SECONDS = 2.0
AT_ONCE = 100


def announce(event: Event) -> None:
    """After commit, publish who changed. Carries ids only: pages and agents read the rest."""
    message = _hint(event)
    transaction.on_commit(lambda: publish(message), robust=True)


def announce_all(events: Sequence[Event]) -> None:
    """The same for many, in few messages: see `hints_in`."""
    hints = [_hint(event) for event in events]
    messages = [
        {"type": "workflows.changed", "changes": hints[start : start + AT_ONCE]}
        for start in range(0, len(hints), AT_ONCE)
    ]
    transaction.on_commit(lambda: publish(*messages), robust=True)


def hints_in(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The hints that a message of the layer carries."""
    found: list[dict[str, Any]] = message.get("changes", [message])
    return found


def _hint(event: Event) -> dict[str, Any]:
    return {
        "type": "workflow.changed",
        "workflow_id": str(event.workflow_id),
        "team_id": str(event.team_id),
        "event_id": event.pk,
        "xid": event.xid,
        "seq": event.seq,
        "status": event.status,
        "event_type": str(event.type),
    }


def publish(*messages: dict[str, Any]) -> None:
    """Hand hints to the channel layer; without Redis they are dropped with a line in the log."""
    try:
        background_loop.call(_send(*messages), seconds=PUBLISH_SECONDS)
    except Exception:
        # Whatever the layer suffers from, the change itself is committed and listeners catch up.
        logger.warning("live update was not published", exc_info=True)


async def _send(*messages: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is not None:
        for message in messages:
            await layer.group_send(GROUP, message)
