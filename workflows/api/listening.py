"""Everybody who listens in one event loop: how many each may open, and one check for them all.

A connection that stays open outlives the look at its credential. So every few seconds, with a
handful of queries however many listen, those are sent away who may not listen any more.
"""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async

from hitl.accounts import standing
from hitl.accounts.standing import Listener, Objection
from hitl.lib.limits import TooOften

logger = logging.getLogger(__name__)

# A revoked key is noticed within this time and the next.
CHECK_SECONDS = 2.0
LISTENERS_A_QUERY = 1000
# Streams and sockets that are open at a time, in each process: of one agent's credential, and of
# one person. Long polls end by themselves and are not counted.
OPEN_PER_AGENT = 100
OPEN_PER_PERSON = 10


class Seat:
    """One connection that is open. `ended` comes true with the objection, or None at a stop."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[Objection | None] = asyncio.get_running_loop().create_future()

    def end(self, objection: Objection | None) -> None:
        """Have the connection closed."""
        if not self.ended.done():
            self.ended.set_result(objection)


class Room:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self._seats: defaultdict[Listener, set[Seat]] = defaultdict(set)
        self._open: Counter[str] = Counter()
        self._check: asyncio.Task[None] | None = None
        self._is_closing = False
        self._at_close: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def seat(self, listener: Listener, *, is_counted: bool = True) -> Iterator[Seat]:
        """A place for the listener. Raises TooOften where all it may have are taken."""
        owner = _owner(listener)
        limit = OPEN_PER_PERSON if listener.is_person else OPEN_PER_AGENT
        if is_counted and self._open[owner] >= limit:
            raise TooOften(f"{limit} streams and sockets are open already: close one first.")
        seat = Seat()
        self._open[owner] += is_counted
        self._seats[listener].add(seat)
        if self._check is None:
            self._check = asyncio.create_task(self._check_forever(), name="listeners' check")
        if self._is_closing:
            seat.end(None)
        try:
            yield seat
        finally:
            self._leave(listener, seat)
            self._open[owner] -= is_counted
            if not self._open[owner]:
                del self._open[owner]

    def _leave(self, listener: Listener, seat: Seat) -> None:
        self._seats[listener].discard(seat)
        if not self._seats[listener]:
            del self._seats[listener]
        if not self._seats and self._check is not None:
            self._check.cancel()
            self._check = None

    def close(self) -> None:
        """The server stops: everybody is to come back to the one that starts next."""
        self._is_closing = True
        for seats in self._seats.values():
            for seat in seats:
                seat.end(None)
        for call in self._at_close:
            call()

    def at_close(self, call: Callable[[], None]) -> None:
        """Have this called when the server stops."""
        self._at_close.append(call)
        if self._is_closing:
            call()

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self._check_once()
            except Exception:
                # Without a database there is nothing to hear either.
                logger.warning("listeners could not be checked", exc_info=True)

    async def _check_once(self) -> None:
        listeners = list(self._seats)
        for start in range(0, len(listeners), LISTENERS_A_QUERY):
            some = listeners[start : start + LISTENERS_A_QUERY]
            for listener, objection in (await _objections(some)).items():
                for seat in self._seats.get(listener, ()):
                    seat.end(objection)


# A thread for the length of the queries; the connection goes back afterwards.
@partial(database_sync_to_async, thread_sensitive=False)
def _objections(listeners: list[Listener]) -> dict[Listener, Objection]:
    return standing.objections(listeners)


def _owner(listener: Listener) -> str:
    """Whose limit it is: a person's, however they log in; each credential's of an agent."""
    credential = listener.credential
    return listener.principal if listener.is_person else f"{credential.kind}:{credential.id}"


_rooms: "WeakKeyDictionary[asyncio.AbstractEventLoop, Room]" = WeakKeyDictionary()


def get_room() -> Room:
    """The connections of the running event loop."""
    return _rooms.setdefault(asyncio.get_running_loop(), Room())
