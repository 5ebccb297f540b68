"""How often something may happen, counted in windows of fixed length.

`spend` fails closed: where nothing can be counted, nothing of what it limits happens, for it limits
guesses. `hold_off` never fails: without the shared cache each process counts for itself, since the
API must go on without Redis.
"""

import hashlib
import logging
import math
import re
import time
from dataclasses import dataclass
from typing import cast

from django.core.cache import cache

from hitl.lib.caches import Counting, Windows
from hitl.lib.errors import HitlError

logger = logging.getLogger(__name__)

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
# A cache that does not answer is left alone for so long: waiting for it would slow every request.
LEFT_ALONE_SECONDS = 5.0


class TooOften(HitlError):
    """It has happened too often lately; `detail` says when to try again."""

    code = "rate-limited"
    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, *, wait: float = 5) -> None:
        super().__init__(detail)
        self.retry_after = max(math.ceil(wait), 1)


@dataclass(frozen=True)
class Rate:
    """So many times in so many seconds."""

    times: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """`600/minute`; None for `off`. Raises ValueError."""
        if text.strip().lower() == "off":
            return None
        found = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text.strip(), re.ASCII)
        if found is None:
            raise ValueError(f"{text!r} is no rate: write 600/minute, 10/second, 50/hour or off.")
        return cls(int(found[1]), SECONDS[found[2]])

    def __str__(self) -> str:
        unit = next(name for name, seconds in SECONDS.items() if seconds == self.seconds)
        return f"{self.times} a {unit}" if unit != "hour" else f"{self.times} an hour"


def spend(what: str, whose: str, *, times: int, seconds: int) -> None:
    """Count once more for `whose` (hashed, so it may be an address). Raises TooOften."""
    try:
        count, left = _shared().count(_key(what, whose), seconds=seconds)
    except Exception:  # a cache that is down raises its client's own errors
        logger.warning("nothing can be counted", exc_info=True)
        raise TooOften("This cannot be done just now; try again in a minute.", wait=60) from None
    if count > times:
        raise TooOften(f"That was often enough for now; try again in {_words(seconds)}.", wait=left)


def give_back(what: str, whose: str) -> None:
    """Take back one `spend`, for what turned out not to be limited."""
    try:
        _shared().uncount(_key(what, whose))
    except Exception:  # the cache is down: then one counts too many
        logger.info("a count stays", extra={"what": what})


def hold_off(what: str, whose: str, rate: Rate | None) -> float:
    """Count once more; how many seconds to hold off, 0 for nothing. Works without the cache."""
    if rate is None:
        return 0
    count, left = _count_anyhow(_key(what, whose), rate.seconds)
    return left if count > rate.times else 0


def forget_outage() -> None:
    """Ask the shared cache again at once."""
    _outage.end()


def _count_anyhow(key: str, seconds: int) -> tuple[int, float]:
    if not _outage.is_on:
        try:
            return _shared().count(key, seconds=seconds)
        except Exception:  # as above
            _outage.begin()
            logger.warning("limits are counted in each process for now", exc_info=True)
    return _own.count(key, seconds=seconds)


class _Outage:
    """Whether the shared cache failed a moment ago."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self._until

    def begin(self) -> None:
        self._until = time.monotonic() + LEFT_ALONE_SECONDS

    def end(self) -> None:
        self._until = 0.0


_own, _outage = Windows(), _Outage()


def _shared() -> Counting:
    return cast(Counting, cache)


def _key(what: str, whose: str) -> str:
    digest = hashlib.sha256(whose.encode("utf-8", "surrogatepass")).hexdigest()
    return f"limit:{what}:{digest}"


def _words(seconds: int) -> str:
    minutes = max(seconds // 60, 1)
    if minutes >= 60:
        return "an hour" if minutes < 120 else f"{minutes // 60} hours"
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
