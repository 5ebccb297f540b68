"""How often something may happen, counted in the cache in windows of fixed length.

Fails closed: where nothing can be counted, nothing of what is limited here happens. What must not
fail is not to be limited here.
"""

import hashlib
import logging

from django.core.cache import cache

from hitl.lib.errors import HitlError

logger = logging.getLogger(__name__)


class TooOften(HitlError):
    """It has happened too often lately; `detail` says when to try again."""

    code = "rate-limited"
    status = 429
    title = "Too many requests"


def spend(what: str, whose: str, *, times: int, seconds: int) -> None:
    """Count once more for `whose` (hashed, so it may be an address). Raises TooOften."""
    key = _key(what, whose)
    try:
        cache.add(key, 0, timeout=seconds)
        count = cache.incr(key)
    except ValueError:  # it ran out between the two calls: a new window begins
        return
    except Exception:  # a cache that is down raises its client's own errors
        logger.warning("nothing can be counted", exc_info=True)
        raise TooOften("This cannot be done just now; try again in a minute.") from None
    if count > times:
        raise TooOften(f"That was often enough for now; try again in {_words(seconds)}.")


def give_back(what: str, whose: str) -> None:
    """Take back one `spend`, for what turned out not to be limited."""
    try:
        cache.decr(_key(what, whose))
    except Exception:  # it ran out meanwhile, or the cache is down: then one counts too many
        logger.info("a count stays", extra={"what": what})


def _key(what: str, whose: str) -> str:
    digest = hashlib.sha256(whose.encode("utf-8", "surrogatepass")).hexdigest()
    return f"limit:{what}:{digest}"


def _words(seconds: int) -> str:
    minutes = max(seconds // 60, 1)
    if minutes >= 60:
        return "an hour" if minutes < 120 else f"{minutes // 60} hours"
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
