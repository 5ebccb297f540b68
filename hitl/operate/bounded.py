"""Asks what may never answer: in a thread of its own, for so long, and once at a time.

A database that hangs keeps one thread waiting, not one for each request that asks whether it does.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

Answer = TypeVar("Answer")

SECONDS = 2.0
# Everybody may ask: an answer this young is given again.
KEPT_SECONDS = 1.0
# The server ends a query before we stop waiting for it.
STATEMENT_MILLISECONDS = 1000
# A line that went dead without a word is given up by the kernel, not after hours.
LINE = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


class Bounded(Generic[Answer]):
    """A question with a time limit; many who ask at once share one answer."""

    def __init__(self, work: Callable[[], Answer], *, seconds: float = SECONDS) -> None:
        self._work = work
        self._seconds = seconds
        self._lock = threading.Lock()
        self._run: _Run[Answer] | None = None

    def ask(self) -> Answer | None:
        """The answer, or None where there is none in time."""
        with self._lock:
            if self._run is None or self._run.is_stale:
                self._run = _Run(self._work)
                self._run.start()
            run = self._run
        return run.wait(run.began + self._seconds)

    def forget(self) -> None:
        """The next one asks anew, whoever is still waiting."""
        with self._lock:
            self._run = None


class _Run(threading.Thread, Generic[Answer]):
    def __init__(self, work: Callable[[], Answer]) -> None:
        super().__init__(name="probe", daemon=True)
        self.began = time.monotonic()
        self._work = work
        self._answer: Answer | None = None
        self._ended = threading.Event()

    @property
    def is_stale(self) -> bool:
        return self._ended.is_set() and time.monotonic() - self.began > KEPT_SECONDS

    def run(self) -> None:
        try:
            self._answer = self._work()
        finally:
            self._ended.set()

    def wait(self, until: float) -> Answer | None:
        if self._ended.wait(max(until - time.monotonic(), 0.0)):
            return self._answer
        return None


@contextmanager
def own_connection() -> Iterator[None]:
    """This thread gets a connection that belongs to no pool, where queries end in time.

    For threads of `Bounded` only. A pool may be empty because the database hangs, or because the
    server is busy; neither may be mistaken for the other.
    """
    shared = connections[DEFAULT_DB_ALIAS]
    own: Any = shared.copy()
    options = own.settings_dict["OPTIONS"]
    options.pop("pool", None)
    options |= LINE if own.vendor == "postgresql" else {"timeout": SECONDS / 2}
    connections[DEFAULT_DB_ALIAS] = own
    try:
        with _statements_end():
            yield
    finally:
        own.close()
        connections[DEFAULT_DB_ALIAS] = shared


@contextmanager
def _statements_end() -> Iterator[None]:
    """In a transaction, so that it holds for nobody else behind a pooler. SQLite has no server
    that could be slow, and a transaction would wait for its writers."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}")
            cursor.execute("SET TRANSACTION READ ONLY")
        yield
