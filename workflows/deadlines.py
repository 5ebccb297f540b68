"""The sweep of deadlines: many at once where silence rejects, one by one where more is judged.

Sweeps may run side by side: each takes what the others have not locked.
"""

import logging
import time
from collections.abc import Collection
from uuid import UUID

from hitl.lib.db import database_now
from hitl.lib.sweeps import each
from workflows import selectors
from workflows.models import TimeoutAction
from workflows.pace import time_out, time_out_many

logger = logging.getLogger(__name__)

BATCH = 500
SWEEP_SECONDS = 20.0


def sweep(*, batch: int = BATCH, seconds: float = SWEEP_SECONDS) -> int:
    """Let every passed deadline take effect; how many did. What is left after `seconds` waits for
    the next sweep."""
    end = time.monotonic() + seconds
    done, tried = 0, set[UUID]()
    while time.monotonic() < end and _is_due(tried):
        try:
            found = time_out_many(limit=batch, without=tried)
        except Exception:
            logger.exception("a batch of deadlines failed, so that they take effect one by one")
            ids = _first(batch, without=tried)
            done += each(ids, time_out)
            tried |= set(ids)
            continue
        done += len(found)
        if len(found) < batch:
            break
    others = selectors.timeouts_due(database_now()).exclude(timeout_action=TimeoutAction.REJECT)
    return done + each(list(others.values_list("pk", flat=True)[:batch]), time_out)


def _is_due(tried: Collection[UUID]) -> bool:
    """Whether there is anything to do: a look costs less than a transaction that writes nothing."""
    return bool(_first(1, without=tried))


def _first(limit: int, *, without: Collection[UUID]) -> list[UUID]:
    rows = selectors.silence_rejects(database_now()).exclude(pk__in=without)
    return list(rows.values_list("pk", flat=True)[:limit])
