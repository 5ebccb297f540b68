"""How often each task ran and how long it took, over all workers: added to one row a task.

Each process keeps its own sums for a few seconds, because some sweeps run every second.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import Error, close_old_connections
from django.db.models import F

from hitl.lib.db import database_now
from hitl.operate.models import TaskCount

logger = logging.getLogger(__name__)

KEPT_SECONDS = 10.0


@dataclass
class Sum:
    """Runs of one task that are not written yet."""

    runs: int = 0
    failures: int = 0
    seconds: float = 0.0

    def plus(self, other: "Sum") -> "Sum":
        return Sum(
            self.runs + other.runs, self.failures + other.failures, self.seconds + other.seconds
        )


class Sums:
    """What this process has not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, Sum] = {}
        self._began: dict[str, float] = {}
        self._written = time.monotonic()

    def begin(self, run: str) -> None:
        """This run of some task begins now."""
        self._began[run] = time.monotonic()

    def end(self, run: str, task: str, *, failed: bool) -> None:
        """It has ended; from time to time this writes."""
        began = self._began.pop(run, None)
        if began is not None:
            self._add(task, Sum(1, int(failed), time.monotonic() - began))
        if time.monotonic() - self._written >= KEPT_SECONDS:
            self.write()

    def write(self) -> None:
        """Add everything to the rows. What cannot be written is kept for the next time."""
        with self._lock:
            sums, self._sums = self._sums, {}
            self._written = time.monotonic()
        while sums:
            task, added = next(iter(sums.items()))
            try:
                _store(task, added)
            except Error:
                logger.warning("runs of tasks could not be counted", exc_info=True)
                close_old_connections()
                break
            del sums[task]
        for task, added in sums.items():
            self._add(task, added)

    def _add(self, task: str, added: Sum) -> None:
        with self._lock:
            self._sums[task] = self._sums.get(task, Sum()).plus(added)


def _store(task: str, added: Sum) -> None:
    now = database_now()
    row = TaskCount.objects.filter(task=task)
    changes = {
        "runs": F("runs") + added.runs,
        "failures": F("failures") + added.failures,
        "seconds": F("seconds") + added.seconds,
        "at": now,
    }
    if not row.update(**changes):
        TaskCount.objects.bulk_create([TaskCount(task=task, at=now)], ignore_conflicts=True)
        row.update(**changes)


def rows() -> Iterator[TaskCount]:
    """Every task that ever ran."""
    return TaskCount.objects.iterator()


SUMS = Sums()
