"""Waiting for a decision without holding a thread: `GET /api/v1/workflows/{id}?wait=30`.

A wait is the ordinary request, asked again when a hint says that it is worth it. The view answers
at once and marks with `Retry-After` what has not happened yet; between two such requests nothing
but a coroutine, a queue and that answer exists. When the time is over and nothing has been heard of
the request meanwhile, the answer of the beginning is given: it still says what is so. Django's
handler is not held open meanwhile: with a synchronous middleware (static files, sessions) it would
keep one thread for every waiting agent. Permissions are checked anew each time, so a revoked key
ends the wait.
"""

import asyncio
import contextlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.conf import settings

from events.hub import RESYNC, get_hub
from events.types import EventType
from hitl.accounts.throttles import AGAIN
from workflows import conversation
from workflows.api.inner import Application, Message, Receive, Scope, Send, Turns, while_connected
from workflows.api.listening import get_room
from workflows.api.queries import parse_uuid
from workflows.models import SETTLED, Status, Workflow

logger = logging.getLogger(__name__)

Hints = asyncio.Queue[dict[str, Any]]

MARK = b"retry-after"
PATH = re.compile(r"/api/v1/workflows/([0-9A-Fa-f-]{36})")
# Where nothing can wait (WSGI), clients ask again after this.
RETRY_SECONDS = 2
# Hints may get lost with Redis: this often, one query asks for everybody who waits.
RECHECK_SECONDS = 5.0
IDS_A_QUERY = 1000
CLOSE = "close"  # the type of what is told at a stop
CHECK = "check"  # the type of what such a query tells, beside the types of hints


def is_reached(status: str, until: str, *, asked: bool = False) -> bool:
    """Whether a wait for `until` ("decided", "settled" or "asked") is over in this status.

    `asked`: a question waits for the agent.
    """
    if until == "settled":
        return status in SETTLED
    return status != Status.PENDING or (until == "asked" and asked)


def not_yet(workflow: Workflow, *, wait: int, until: str) -> dict[str, str]:
    """Headers of an answer: `Retry-After` where the caller wants to wait and still has to."""
    asked = wait > 0 and until == "asked" and conversation.open_questions(workflow) > 0
    if not wait or is_reached(workflow.status, until, asked=asked):
        return {}
    return {"Retry-After": str(RETRY_SECONDS)}


class LongPoll:
    """ASGI application around Django's that holds back answers which say "not yet"."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, _Room] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wish = _wish(scope)
        if wish is None:
            await self.application(scope, receive, send)
            return
        room = self._room()
        for message in await while_connected(receive, self._wait(scope, room, wish)) or ():
            await send(message)

    def _room(self) -> "_Room":
        loop = asyncio.get_running_loop()
        room = self._rooms.get(loop)
        if room is None:
            room = self._rooms[loop] = _Room()
            get_room().at_close(room.close)
        return room

    async def _wait(self, scope: Scope, room: "_Room", wish: "_Wish") -> list[Message]:
        """The messages of the answer that ends the wait."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wish.seconds
        # Listening comes first: what happens between the look and the wait is then heard.
        async with get_hub().subscribe(f"workflow:{wish.workflow_id}") as hints:
            with room.member(wish, hints):
                while True:
                    answer = await room.turns.ask(self.application, scope)
                    scope = {**scope, AGAIN: True}
                    is_over = loop.time() >= deadline or room.is_closing
                    if is_over or not _says_not_yet(answer):
                        return _without_mark(answer)
                    news = _News()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(deadline):
                            await room.worth_asking(hints, wish.until, news)
                    if not news.came:
                        return _without_mark(answer)


@dataclass(frozen=True)
class _Wish:
    """What a waiting request asks for."""

    workflow_id: UUID
    seconds: int
    until: str


@dataclass
class _News:
    """Whether anything has been heard since the last look, worth asking at once or not."""

    came: bool = False


class _Room:
    """Everybody who waits in one event loop: turns for asking, and the shared check for losses."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._queues: defaultdict[UUID, set[Hints]] = defaultdict(set)
        self._curious: Counter[UUID] = Counter()  # who waits for questions, too
        self._soon = asyncio.Event()
        self._check: asyncio.Task[None] | None = None
        self.is_closing = False

    def close(self) -> None:
        """The server stops: answer everybody who waits with what is so now."""
        self.is_closing = True
        for queues in self._queues.values():
            for hints in queues:
                with contextlib.suppress(asyncio.QueueFull):
                    hints.put_nowait({"type": CLOSE})

    @contextlib.contextmanager
    def member(self, wish: "_Wish", hints: Hints) -> Iterator[None]:
        """Take part in the shared check."""
        workflow_id, is_curious = wish.workflow_id, wish.until == "asked"
        self._queues[workflow_id].add(hints)
        self._curious[workflow_id] += is_curious
        if self._check is None:
            self._check = asyncio.create_task(self._check_forever(), name="long-poll check")
        try:
            yield
        finally:
            self._queues[workflow_id].discard(hints)
            self._curious[workflow_id] -= is_curious
            if not self._curious[workflow_id]:
                del self._curious[workflow_id]
            if not self._queues[workflow_id]:
                del self._queues[workflow_id]
            if not self._queues and self._check is not None:
                self._check.cancel()
                self._check = None

    async def worth_asking(self, hints: Hints, until: str, news: _News) -> None:
        """Come back when a hint says that the wait may be over; note in `news` if there was any."""
        while True:
            hint = await hints.get()
            if hint["type"] == CLOSE:
                return
            news.came = news.came or hint["type"] != CHECK
            if hint["type"] == RESYNC["type"]:
                self._soon.set()
            elif is_reached(hint["status"], until, asked=_tells_of_question(hint)):
                news.came = True
                return

    async def _check_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._soon.wait()
            self._soon.clear()
            try:
                await self._check_once()
            except Exception:
                logger.warning("long polls could not be checked", exc_info=True)

    async def _check_once(self) -> None:
        ids = list(self._queues)
        for start in range(0, len(ids), IDS_A_QUERY):
            some = ids[start : start + IDS_A_QUERY]
            curious = [workflow_id for workflow_id in some if self._curious[workflow_id]]
            asked = await _asked(curious) if curious else frozenset()
            for workflow_id, status in await _statuses(some):
                hint = {"type": CHECK, "status": status, "asked": workflow_id in asked}
                for hints in self._queues.get(workflow_id, ()):
                    with contextlib.suppress(asyncio.QueueFull):
                        hints.put_nowait(hint)


# A thread for the length of one query; the connection goes back afterwards.
@partial(database_sync_to_async, thread_sensitive=False)
def _statuses(ids: list[UUID]) -> list[tuple[UUID, str]]:
    return list(Workflow.objects.filter(pk__in=ids).values_list("pk", "status"))


@partial(database_sync_to_async, thread_sensitive=False)
def _asked(ids: list[UUID]) -> Set[UUID]:
    """Those in which a question waits for the agent."""
    return conversation.waiting(ids)


def _tells_of_question(hint: dict[str, Any]) -> bool:
    return bool(hint.get("asked")) or hint.get("event_type") == EventType.HUMAN_ASKED


def _wish(scope: Scope) -> _Wish | None:
    """What the request wants to wait for; None where it wants no wait, or puts it wrongly."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path = PATH.fullmatch(scope["path"])
    query = parse_qs(scope["query_string"].decode("latin-1"))
    seconds, until = query.get("wait", []), query.get("until", ["decided"])
    if path is None or len(seconds) != 1 or len(until) != 1:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", seconds[0], re.ASCII):
        return None
    try:
        workflow_id = parse_uuid(path[1])
    except ValueError:
        return None
    waits = 0 < int(seconds[0]) <= settings.LONG_POLL_SECONDS
    return _Wish(workflow_id, int(seconds[0]), until[0]) if waits else None


def _says_not_yet(answer: list[Message]) -> bool:
    start = answer[0]
    return start["status"] == 200 and any(name.lower() == MARK for name, _ in start["headers"])


def _without_mark(answer: list[Message]) -> list[Message]:
    start = answer[0]
    if start["status"] == 200:
        start["headers"] = [pair for pair in start["headers"] if pair[0].lower() != MARK]
    return answer
