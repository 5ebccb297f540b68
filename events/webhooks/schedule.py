"""When to try again, and when to leave an endpoint alone: pure functions over numbers and times."""

import datetime as dt
import random
from collections.abc import Callable

from hitl.lib import backoff

MINUTE, HOUR = 60.0, 3600.0
# The waits before the second to the tenth try: the last is 75 h 35 min after the first.
WAITS = (
    5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
MAX_TRIES = len(WAITS) + 1
JITTER = 0.2
LONGEST_ASKED = dt.timedelta(hours=6)

# Answers by which a receiver says that it is overburdened; no answer at all says so too.
SLOW_DOWN = frozenset({429, 502, 503, 504})
GONE = 410
# So many of those in a row, and the endpoint rests: one probe at a time from then on.
SILENCES = 3
FIRST_REST, LONGEST_REST = 15.0, 300.0


def wait(
    tries: int,
    *,
    retry_after: str | None,
    now: dt.datetime,
    rng: Callable[[], float] = random.random,
) -> dt.timedelta | None:
    """How long to wait after so many tries (1 or more); None when that was the last.

    A `Retry-After` lengthens the wait, up to LONGEST_ASKED, and never shortens it.
    """
    if tries > len(WAITS):
        return None
    planned = dt.timedelta(seconds=WAITS[tries - 1])
    spread = backoff.spread_out(planned, jitter=JITTER, rng=rng)
    return backoff.honour_retry_after(spread, retry_after, now, at_most=LONGEST_ASKED)


def rest(
    failures: int, *, status: int | None, retry_after: str | None, now: dt.datetime
) -> dt.timedelta:
    """How long to send nothing to an endpoint after so many failures in a row; 0: go on.

    It rests when it asks for that, and when it keeps giving no answer. A receiver that answers
    quickly, whatever it says, costs nobody anything.
    """
    if status is not None and status not in SLOW_DOWN:
        return dt.timedelta(0)
    own = dt.timedelta(0)
    if failures >= SILENCES:
        own = backoff.delay(failures - SILENCES + 1, first=FIRST_REST, maximum=LONGEST_REST)
    if status is None:
        return own
    return backoff.honour_retry_after(own, retry_after, now, at_most=LONGEST_ASKED)
