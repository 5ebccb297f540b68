"""Whether a provider's post was seen before: it repeats what it believes we did not get.

Held in the cache, and only for what may happen twice without harm: forgetting costs a second word
to a person, never a second verdict, which the gate sees to.
"""

import hashlib
import logging

from django.core.cache import cache

logger = logging.getLogger(__name__)
REMEMBERED_SECONDS = 3 * 24 * 3600  # for so long providers repeat a post


def is_repeated(channel: str, event_id: str) -> bool:
    """Whether `remember` was called for this event; False where that cannot be known."""
    try:
        return bool(event_id) and cache.get(_key(channel, event_id)) is not None
    except Exception:  # a cache that is down raises its client's own errors
        logger.warning("nothing can be remembered", exc_info=True)
        return False


def remember(channel: str, event_id: str) -> None:
    """Everything the event asked for is done."""
    try:
        cache.set(_key(channel, event_id), 1, REMEMBERED_SECONDS)
    except Exception:
        logger.warning("nothing can be remembered", exc_info=True)


def _key(channel: str, event_id: str) -> str:
    digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"repeats:{channel}:{digest}"
