"""Those who follow a server's feed, each in one of the four ways, as clients on raw sockets.

Every one of them keeps its cursor, comes back when its connection breaks, and writes down what it
was told. What they have written down is judged by `judge`, which knows none of them.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.live_server import LiveServer

PAUSE_SECONDS = 0.05
# What a connection that breaks looks like, an answer that was cut short included.
_BROKEN = (
    OSError, EOFError, TimeoutError, ValueError, KeyError, IndexError, ConnectionClosed,
    InvalidHandshake,
)  # fmt: skip


@dataclass
class Told:
    """What one follower was told, in the order in which it was."""

    way: str
    events: list[dict[str, Any]] = field(default_factory=list)
    cursor: str = ""

    def note(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.cursor = event["cursor"]


@dataclass
class Block:
    """One block of Server-Sent Events."""

    id: str = ""
    type: str = ""
    data: str = ""
    retry: str = ""

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data)
        return found


class Stream:
    """An open `text/event-stream`, read as the HTML Standard says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.comments: list[str] = []

    async def begin(self) -> "Stream":
        """Read the head of the answer."""
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        self.headers = {name.lower(): value for name, value in pairs}
        return self

    async def body(self) -> bytes:
        """All that comes until the connection ends."""
        return await self._reader.read()

    async def block(self, seconds: float = 20) -> Block | None:
        """The next block that says something; None when the stream is over."""
        async with asyncio.timeout(seconds):
            while True:
                found = Block()
                async for name, value in self._fields():
                    setattr(found, "type" if name == "event" else name, value)
                if found != Block():
                    return found
                if self._reader.at_eof():
                    return None

    async def event(self, seconds: float = 20) -> dict[str, Any]:
        """The next event."""
        async with asyncio.timeout(seconds):
            while True:
                block = await self.block(seconds)
                assert block is not None, "the stream is over"
                if block.data:
                    return block.event

    async def _fields(self) -> Any:
        while True:
            line = (await self._line()).rstrip("\n")
            if not line:
                return
            name, _, value = line.partition(":")
            if name:
                yield name, value.removeprefix(" ")
            else:
                self.comments.append(value.strip())

    _text = ""

    async def _line(self) -> str:
        """One line of the body; "" at its end. The body comes in chunks (RFC 9112, 7.1)."""
        while "\n" not in self._text:
            size = int((await self._reader.readline()).strip() or b"0", 16)
            if not size:
                return ""
            self._text += (await self._reader.readexactly(size)).decode()
            await self._reader.readexactly(2)
        line, _, self._text = self._text.partition("\n")
        return line + "\n" if line else ""

    def close(self) -> None:
        self._writer.close()


@contextlib.asynccontextmanager
async def stream(server: LiveServer, query: str = "", *, token: str = "", headers: str = "") -> Any:
    """An open stream of the server's feed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
    path = f"/api/v1/events/stream{query}"
    writer.write(server.head("GET", path, token or server.api_key, 0, headers))
    found = Stream(reader, writer)
    try:
        yield await found.begin()
    finally:
        found.close()


async def follow_stream(server: LiveServer, told: Told, *, breaks: bool = False) -> None:
    """By Server-Sent Events; comes back with the last id, as EventSource does."""
    while True:
        with contextlib.suppress(*_BROKEN):
            last = f"Last-Event-ID: {told.cursor}\r\n" if told.cursor else ""
            async with stream(server, headers=last) as open_:
                count = 0
                while block := await open_.block():
                    if block.data:
                        told.note(block.event)
                        count += 1
                    if breaks and count == 7:  # in the middle of whatever came together
                        break
        await asyncio.sleep(PAUSE_SECONDS)


async def follow_socket(server: LiveServer, told: Told, *, breaks: bool = False) -> None:
    """By socket; subscribes behind the last cursor whenever it has to connect again."""
    url = f"ws://127.0.0.1:{server.port}/ws/v1/events/"
    # Without a bound for what is unread: a client that has stopped reading waits in vain, and ten
    # seconds, for the answer to its good-bye.
    options: dict[str, Any] = {
        "additional_headers": {"Authorization": f"Bearer {server.api_key}"},
        "max_size": 2**24,
        "max_queue": None,
    }
    while True:
        with contextlib.suppress(*_BROKEN):
            async with connect(url, **options) as client:
                wish = {"type": "subscribe"} | ({"after": told.cursor} if told.cursor else {})
                await client.send(json.dumps(wish))
                count = 0
                async for text in client:
                    message = json.loads(text)
                    if message["type"] == "event":
                        told.note(message["event"])
                        count += 1
                    if breaks and count == 7:
                        break
        await asyncio.sleep(PAUSE_SECONDS)


async def follow_pages(server: LiveServer, told: Told, *, query: str = "") -> None:
    """Page by page, as fast as it may; with `wait=` in the query by long poll."""
    cursor = "0-0"
    while True:
        with contextlib.suppress(*_BROKEN):
            answer = await server.ask("GET", f"/api/v1/events?after={cursor}{query}")
            page = answer.json
            for event in page["items"]:
                told.note(event)
            cursor = page["next"]
        await asyncio.sleep(PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def following(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let these followers follow meanwhile."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.2)  # connections that were closed are let go


def judge(told: Iterable[Told], truth: list[dict[str, Any]]) -> list[str]:
    """What is wrong: `truth` is the log by workflow and number, read some other way."""
    wrong = []
    hashes = {event["hash"] for event in truth}
    for one in told:
        seen = [event["hash"] for event in one.events]
        if len(seen) != len(set(seen)):
            wrong.append(f"{one.way}: {len(seen) - len(set(seen))} came twice")
        if set(seen) != hashes:
            wrong.append(
                f"{one.way}: {len(hashes - set(seen))} missed, {len(set(seen) - hashes)} made up"
            )
        numbers = defaultdict(list)
        for event in one.events:
            numbers[event["workflowId"]].append(event["seq"])
        if any(found != list(range(1, len(found) + 1)) for found in numbers.values()):
            wrong.append(f"{one.way}: out of order")
    return wrong
