"""How long to wait after a failed attempt: pure functions for deliveries and webhooks alike."""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Longer than any HTTP-date; what is longer is not read at all.
_HEADER_LIMIT = 64


def delay(
    attempt: int,
    *,
    first: float,
    factor: float = 2.0,
    maximum: float,
    jitter: float = 0.2,
    rng: Callable[[], float] = random.random,
) -> timedelta:
    """The wait after `attempt` failures (1 or more), growing from `first` seconds by `factor`.

    Never more than `maximum` seconds; spread by plus or minus `jitter` (a share, 0 to 1) so that
    what failed together does not come back together.
    """
    if attempt < 1:
        raise ValueError("the first failure is attempt 1")
    try:
        seconds = min(first * factor ** (attempt - 1), maximum)
    except OverflowError:
        seconds = maximum
    spread = spread_out(timedelta(seconds=seconds), jitter=jitter, rng=rng)
    return min(spread, timedelta(seconds=maximum))


def spread_out(
    planned: timedelta, *, jitter: float = 0.2, rng: Callable[[], float] = random.random
) -> timedelta:
    """The planned wait, plus or minus a random part of the share `jitter`."""
    return planned * (1 + jitter * (2 * rng() - 1))


def honour_retry_after(
    planned: timedelta, retry_after_header: str | None, now: datetime, *, at_most: timedelta
) -> timedelta:
    """The planned wait, or the longer one the other side asked for, but never past `at_most`.

    Takes both forms of RFC 9110 section 10.2.3 (seconds, HTTP-date). What it cannot read, and
    what would shorten the wait, changes nothing: the header comes from a stranger.
    """
    asked = _asked(retry_after_header or "", now)
    return planned if asked is None else max(planned, min(asked, at_most))


def _asked(header: str, now: datetime) -> timedelta | None:
    header = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", header):
        return timedelta(seconds=int(header))
    if len(header) > _HEADER_LIMIT:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # A date without a zone is in GMT by the grammar of HTTP.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
