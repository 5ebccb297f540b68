"""Followers of the feed: each gets every event once and in order, at the cost of a queue.

For each set of teams that somebody follows, a process reads new events once, when a hint says so,
and hands them to everybody who follows. Who comes with an older cursor, or reads too slowly, reads
the log itself until it has caught up. Hints may get lost: without any, each tail looks every few
seconds, so that nothing is late for longer than that.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async

from events import feed
from events.feed import Position
from events.hub import Hints, get_hub
from events.models import Event

logger = logging.getLogger(__name__)

Teams = frozenset[UUID]
Answer = TypeVar("Answer")

# Without hints a tail looks this often; while Redis is away, the hub says so every second.
RECHECK_SECONDS = 5.0
# A hint can be ahead of what may be read: another transaction is still open. Look again soon.
FIRST_LOOK_SECONDS = 0.005
LAST_LOOK_SECONDS = 0.5
STOP_SECONDS = 1.0
PAGE = 200
# So many pages may wait for a slow follower; then it reads the log itself.
QUEUE_SIZE = 100
# Reads at a time in this process, each on a thread and a connection for its length.
AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Entry:
    """An event and where it stands. `texts` keeps what followers make of it, made once for all."""

    event: Event
    position: Position
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """Which of the teams' events a follower is after; None: any."""

    types: frozenset[str] | None = None
    workflow_id: UUID | None = None

    def takes(self, event: Event) -> bool:
        """Whether this event is one of them."""
        is_type = self.types is None or event.type in self.types
        return is_type and self.workflow_id in (None, event.workflow_id)


EVERYTHING = Wanted()
Pages = asyncio.Queue[list[Entry] | None]  # None: some were left out


class Tail:
    """The newest events of some teams, read once for everybody in this event loop."""

    def __init__(self, teams: Teams, turns: asyncio.Semaphore) -> None:
        self._teams = teams
        self._turns = turns
        self.position = feed.START
        self._started = asyncio.Event()
        self._followers: set[Pages] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_followed(self) -> bool:
        return bool(self._followers)

    def start(self) -> None:
        """Read on, until `stop`."""
        self._task = asyncio.create_task(self._run(), name="feed-tail")

    async def stop(self) -> None:
        """Read no more."""
        # What runs below may swallow a cancellation that comes at the wrong moment.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=STOP_SECONDS)

    async def join(self, after: Position | None, wanted: Wanted) -> "Follower":
        """A follower that goes on behind `after` (None: behind all there are)."""
        pages: Pages = asyncio.Queue(QUEUE_SIZE)
        self._followers.add(pages)
        try:
            await self._started.wait()
        except BaseException:
            self._followers.discard(pages)
            raise
        return Follower(self, pages, self.position if after is None else after, wanted)

    def leave(self, follower: "Follower") -> None:
        """Hand this follower nothing any more."""
        self._followers.discard(follower.pages)

    async def _run(self) -> None:
        async with get_hub().subscribe(*(f"team:{id_}" for id_ in self._teams)) as hints:
            await self._follow_hints(hints)

    async def _follow_hints(self, hints: Hints) -> None:
        self.position = await self._ask(_newest, self._teams)
        self._started.set()
        wanted = self.position
        patience = FIRST_LOOK_SECONDS
        while True:
            await self._read_news()
            if self.position >= wanted:
                patience = FIRST_LOOK_SECONDS
                wanted = max(wanted, await _next_hint(hints, RECHECK_SECONDS))
            else:
                wanted = max(wanted, await _next_hint(hints, patience))
                patience = min(patience * 2, LAST_LOOK_SECONDS)

    async def _read_news(self) -> None:
        while page := await self.read(self.position):
            self.position = page[-1].position
            for pages in self._followers:
                _offer(pages, page)
            if len(page) < PAGE:
                return

    async def read(self, after: Position, wanted: Wanted = EVERYTHING) -> list[Entry]:
        """The next page of the log behind a position."""
        rows = await self._ask(_rows, self._teams, after, wanted)
        return [Entry(row, Position.of(row)) for row in rows]

    async def _ask(self, query: Callable[..., Awaitable[Answer]], *args: object) -> Answer:
        """Ask until the database answers: whoever follows waits, and nothing is lost meanwhile."""
        while True:
            try:
                async with self._turns:
                    return await query(*args)
            except Exception:
                logger.warning("the feed could not be read, trying again", exc_info=True)
                await asyncio.sleep(LAST_LOOK_SECONDS)


async def _next_hint(hints: Hints, seconds: float) -> Position:
    """The highest position that hints speak of; START after so many seconds without any."""
    highest = feed.START
    # Not `wait_for`, which in Python 3.11 can swallow a cancellation.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            highest = _position(await hints.get())
        while not hints.empty():
            highest = max(highest, _position(hints.get_nowait()))
    return highest


def _position(hint: dict[str, Any]) -> Position:
    return Position(hint["xid"], hint["event_id"]) if "xid" in hint else feed.START


def _offer(pages: Pages, page: list[Entry]) -> None:
    try:
        pages.put_nowait(page)
    except asyncio.QueueFull:
        while not pages.empty():
            pages.get_nowait()
        pages.put_nowait(None)


# A thread for the length of one query; the connection goes back afterwards.
@partial(database_sync_to_async, thread_sensitive=False)
def _rows(teams: Collection[UUID], after: Position, wanted: Wanted) -> list[Event]:
    return feed.read(
        after, limit=PAGE, teams=teams, types=wanted.types, workflow_id=wanted.workflow_id
    )


@partial(database_sync_to_async, thread_sensitive=False)
def _newest(teams: Collection[UUID]) -> Position:
    return feed.newest(teams)


class Follower:
    """One reader's way through the feed. `position` is where it stands: its cursor.

    It moves on past what is not wanted, too, so that who comes back with it reads nothing again.
    """

    def __init__(self, tail: Tail, pages: Pages, position: Position, wanted: Wanted) -> None:
        self.pages = pages
        self.position = position
        self._tail = tail
        self._wanted = wanted
        self._is_behind = True
        self._reading: asyncio.Task[list[Entry]] | None = None

    async def next_within(self, seconds: float) -> list[Entry]:
        """The next events, or none when the time is over; what is being read is then kept."""
        if self._reading is None:
            self._reading = asyncio.create_task(self.next())
        done, _ = await asyncio.wait((self._reading,), timeout=seconds)
        if not done:
            return []
        self._reading = None
        return done.pop().result()

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def next(self) -> list[Entry]:
        """The next events, as soon as there are any. Giving up waiting loses nothing."""
        while True:
            # What the tail has read already is this follower's own to read; the rest is queued.
            while self._is_behind and self.position < self._tail.position:
                if page := await self._catch_up():
                    return page
            self._is_behind = False
            news = await self.pages.get()
            if news is None:
                self._is_behind = True
                continue
            fresh = [entry for entry in news if entry.position > self.position]
            if fresh:
                self.position = fresh[-1].position
            if found := [entry for entry in fresh if self._wanted.takes(entry.event)]:
                return found

    async def _catch_up(self) -> list[Entry]:
        """A page of the log; the position is then behind all that has been looked at."""
        known = self._tail.position  # up to here, nothing can come any more
        page = await self._tail.read(self.position, self._wanted)
        end = page[-1].position if page else self.position
        self.position = end if len(page) == PAGE else max(end, known)
        return page


class Tails:
    """The tails of one event loop, one for each set of teams that somebody follows."""

    def __init__(self) -> None:
        self._tails: dict[Teams, Tail] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    @contextlib.asynccontextmanager
    async def follow(
        self, teams: Collection[UUID], after: Position | None, wanted: Wanted = EVERYTHING
    ) -> AsyncIterator[Follower]:
        """Follow the wanted among the teams' events behind `after` (None: news only)."""
        key = frozenset(teams)
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = Tail(key, self._turns)
            tail.start()
        try:
            follower = await tail.join(after, wanted)
            try:
                yield follower
            finally:
                tail.leave(follower)
                await follower.close()
        finally:
            if not tail.is_followed and self._tails.get(key) is tail:
                del self._tails[key]
                await tail.stop()


_tails: "WeakKeyDictionary[asyncio.AbstractEventLoop, Tails]" = WeakKeyDictionary()


def get_tails() -> Tails:
    """The tails of the running event loop."""
    return _tails.setdefault(asyncio.get_running_loop(), Tails())
