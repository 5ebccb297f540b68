"""How many messages stand in each queue, asked of the broker within two seconds."""

from typing import Any

from celery import current_app
from django.conf import settings

from hitl.operate.bounded import Bounded


def depths() -> dict[str, int]:
    """Messages that no worker has taken yet, by queue; empty where the broker does not answer."""
    return _depths.ask() or {}


def forget() -> None:
    """Ask anew the next time."""
    _depths.forget()


def _ask() -> dict[str, int] | None:
    try:
        with current_app.connection_or_acquire() as broker:
            return {name: _depth(broker, name) for name in settings.QUEUES}
    except Exception:  # each transport has errors of its own
        return None


def _depth(broker: Any, name: str) -> int:
    try:
        told = broker.default_channel.queue_declare(name, passive=True)
    except broker.channel_errors:
        return 0  # in Redis an empty queue is none
    return int(told.message_count)


_depths = Bounded(_ask)
