"""Threads of a worker process in which webhooks are sent, apart from its tasks.

A receiver that hangs holds a thread here and never a place among the tasks: deadlines, mails and
other endpoints go on. The threads die with the process; their claims lapse and others go on.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import connections

from events.webhooks import sending

logger = logging.getLogger(__name__)

Drain = Callable[[UUID], object]
# So many threads keep their connection to the database while a receiver makes up its mind; beyond
# that, opening one anew twice a message costs less than what idle ones take from everybody else.
KEEPING = 8


class Lanes:
    """At most `total` threads, WEBHOOK_IN_FLIGHT for one endpoint; each drains one endpoint."""

    def __init__(self, drain: Drain, total: int = 32) -> None:
        self._drain = drain
        self._total = total
        self._lock = threading.Lock()
        self._running: Counter[UUID] = Counter()
        self._asked: set[UUID] = set()

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self._running.total()

    def open(self, endpoint_id: UUID) -> bool:
        """Send what waits for the endpoint; returns at once.

        False where no thread is free: the sweep comes back. Where this endpoint's threads are all
        at work, one of them looks once more before it ends.
        """
        with self._lock:
            if self._running[endpoint_id]:
                self._asked.add(endpoint_id)
            if self._running[endpoint_id] >= settings.WEBHOOK_IN_FLIGHT:
                return True
            if self._running.total() >= self._total:
                return False
            self._running[endpoint_id] += 1
        name = f"webhooks {endpoint_id}"
        threading.Thread(target=self._run, args=(endpoint_id,), name=name, daemon=True).start()
        return True

    def _run(self, endpoint_id: UUID) -> None:
        try:
            while True:
                self._drain(endpoint_id)
                with self._lock:
                    if endpoint_id not in self._asked:
                        self._leave(endpoint_id)
                        return
                    self._asked.discard(endpoint_id)
        except Exception:
            logger.exception("webhook lane broke", extra={"endpoint": str(endpoint_id)})
            with self._lock:
                self._leave(endpoint_id)
        finally:
            connections.close_all()

    def _leave(self, endpoint_id: UUID) -> None:
        self._running[endpoint_id] -= 1
        if not self._running[endpoint_id]:
            del self._running[endpoint_id]
            self._asked.discard(endpoint_id)


def _drain(endpoint_id: UUID) -> None:
    sending.drain(endpoint_id, release=_release)


def _release() -> None:
    if LANES.busy > KEEPING:
        connections.close_all()


LANES = Lanes(_drain)
