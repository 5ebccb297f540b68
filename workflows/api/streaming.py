"""Waiting for events without holding a thread: `GET /api/v1/events/stream`, `…/events?wait=30`.

Django answers at once: the view looks at credentials and parameters, and leaves an order for what
is to be followed. Who is to wait then follows the feed's tail, and every text is made once for
everybody who hears it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from django.http import HttpRequest

from events.feed import Position
from events.tails import Entry, Wanted, get_tails
from hitl.accounts.standing import Listener
from hitl.lib.limits import TooOften
from workflows.api.errors import from_exception
from workflows.api.event_serializers import as_json
from workflows.api.gateway import refuse
from workflows.api.inner import (
    Application,
    Message,
    Receive,
    Scope,
    Send,
    Turns,
    unless,
    while_connected,
)
from workflows.api.listening import Seat, get_room

logger = logging.getLogger(__name__)

PATHS = ("/api/v1/events", "/api/v1/events/stream")
TICKET = "hitl.follow"
# Proxies close what is silent for a minute, and a client that has gone shows at the next word.
HEARTBEAT_SECONDS = 15.0
# A client that does not read for so long is left; what it missed is behind its cursor.
SEND_SECONDS = 30.0
LAST_WORD_SECONDS = 1.0
CHUNK_CHARACTERS = 64 * 1024
# What a client waits before it comes back.
RETRY_MILLISECONDS = 2000


@dataclass(frozen=True)
class Order:
    """What a connection is to follow, and for whom; the view has seen that it may."""

    listener: Listener
    after: Position | None
    wanted: Wanted
    limit: int = 0
    seconds: int = 0  # how long a long poll waits; 0: it is a stream


@dataclass
class Ticket:
    """Goes with the request into Django, to come back with the order that the view leaves."""

    order: Order | None = None


def leave(request: HttpRequest, order: Order) -> bool:
    """Leave the order to who can wait. False where nobody can (WSGI)."""
    ticket: Ticket | None = getattr(request, "scope", {}).get(TICKET)
    if ticket is not None:
        ticket.order = order
    return ticket is not None


def block(cursor: str, event_type: str, data: str) -> str:
    """One event as Server-Sent Events write it (HTML Standard, section 9.2)."""
    return f"id: {cursor}\nevent: {event_type}\ndata: {data}\n\n"


def place(position: Position) -> str:
    """Tells the client where it stands, and nothing else: a block without data is no event."""
    return f"id: {position}\n\n"


class Streaming:
    """ASGI application around Django's that goes on where a view has left an order."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in PATHS:
            await self.application(scope, receive, send)
        else:
            await while_connected(receive, self._serve(scope, send))

    async def _serve(self, scope: Scope, send: Send) -> None:
        ticket = Ticket()
        answer = await self._ask({**scope, TICKET: ticket})
        order = ticket.order
        if order is None:
            await _send_all(answer, send)
        elif order.seconds:
            await _send_all(await self._wait(scope, order, answer), send)
        else:
            try:
                with get_room().seat(order.listener) as seat:
                    await _stream(order, seat, answer[0], send)
            except TooOften as error:
                await refuse(from_exception(error), scope, send)

    async def _ask(self, scope: Scope) -> list[Message]:
        turns = self._turns.setdefault(asyncio.get_running_loop(), Turns())
        return await turns.ask(self.application, scope)

    async def _wait(self, scope: Scope, order: Order, answer: list[Message]) -> list[Message]:
        """The answer with the first events that come, or with none when the time is over."""
        with get_room().seat(order.listener, is_counted=False) as seat:
            page = await unless(_first_page(order), seat.ended)
            if page is not None:
                return _with_body(answer, page.encode())
            # Somebody who may not wait any more is told so by the view.
            return await self._ask(scope) if seat.ended.result() else answer


async def _first_page(order: Order) -> str:
    async with get_tails().follow(order.listener.teams, order.after, order.wanted) as follower:
        found = (await follower.next_within(order.seconds))[: order.limit]
        end = found[-1].position if found else follower.position
        items = ",".join(as_json(entry) for entry in found)
        return f'{{"items":[{items}],"next":"{end}"}}'


async def _stream(order: Order, seat: Seat, start: Message, send: Send) -> None:
    """Everything that happens, until the seat is needed back or the client does not read."""
    await send(_without_length(start))
    try:
        await unless(_tell(order, send), seat.ended)
    except TimeoutError:
        logger.info("a stream was left: its client does not read")
        return
    objection = seat.ended.result()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORD_SECONDS):
            await _say(send, f": {objection.says}\n\n" if objection else "", more=False)


async def _tell(order: Order, send: Send) -> None:
    await _say(send, f"retry: {RETRY_MILLISECONDS}\n\n")
    async with get_tails().follow(order.listener.teams, order.after, order.wanted) as follower:
        told = order.after
        while True:
            if told is None:
                found = []  # it wants news only, and learns first where they begin
            else:
                found = await follower.next_within(HEARTBEAT_SECONDS)
            at = follower.position
            for text in chunks(map(_event, found)):
                await _say(send, text)
            if not found:
                await _say(send, ":\n\n" if told == at else place(at))
            told = at


def _event(entry: Entry) -> str:
    """The entry's block, made once for all streams."""
    text = entry.texts.get("block")
    if text is None:
        text = block(str(entry.position), entry.event.type, as_json(entry))
        entry.texts["block"] = text
    return text


def chunks(texts: Iterable[str]) -> Iterator[str]:
    """The texts, short ones put together, so that nothing long waits for a slow reader."""
    waiting: list[str] = []
    length = 0
    for text in texts:
        if waiting and length + len(text) > CHUNK_CHARACTERS:
            yield "".join(waiting)
            waiting, length = [], 0
        waiting.append(text)
        length += len(text)
    if waiting:
        yield "".join(waiting)


async def _say(send: Send, text: str, *, more: bool = True) -> None:
    """Raises TimeoutError where the client has not read enough of what came before."""
    async with asyncio.timeout(SEND_SECONDS):
        body = {"type": "http.response.body", "body": text.encode(), "more_body": more}
        await send(body)


async def _send_all(messages: Iterable[Message], send: Send) -> None:
    for message in messages:
        await send(message)


def _without_length(start: Message) -> Message:
    kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    return {**start, "headers": kept}


def _with_body(answer: list[Message], body: bytes) -> list[Message]:
    start = _without_length(answer[0])
    start["headers"].append((b"Content-Length", b"%d" % len(body)))
    return [start, {"type": "http.response.body", "body": body}]
