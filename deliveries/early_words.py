"""Keeps a provider's word on a message that came before our own note that the message is out.

Providers report within milliseconds, and our note may have to wait for a lock. Held in the cache:
losing a word costs what it told, a delivery stays "sent".
"""

import hashlib
import logging

from django.core.cache import cache

from deliveries.channels.base import Report

logger = logging.getLogger(__name__)
KEPT_SECONDS = 300


def keep(channel: str, report: Report) -> None:
    """Remember it until `take`, or for some minutes."""
    try:
        cache.set(_key(channel, report.provider_id), report, KEPT_SECONDS)
    except Exception:  # a cache that is down raises its client's own errors
        logger.warning("an early word was lost", exc_info=True)


def take(channel: str, provider_id: str) -> Report | None:
    """What was kept for that message, once."""
    try:
        found: Report | None = cache.get(_key(channel, provider_id))
        if found:
            cache.delete(_key(channel, provider_id))
    except Exception:
        logger.warning("an early word cannot be read", exc_info=True)
        return None
    return found


def _key(channel: str, provider_id: str) -> str:
    digest = hashlib.sha256(provider_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"deliveries:{channel}:early:{digest}"
