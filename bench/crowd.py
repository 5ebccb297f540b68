"""Many who wait, in a process of their own: long polls and sockets on raw connections.

Reads a plan from the file it is given, opens everything, says so on a line, and then answers each
line it reads with what has arrived since: seconds from the decision to its arrival here.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import resource
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

AT_ONCE = 32  # connections that are being opened
WAIT_SECONDS = 60
RESPONDED = re.compile(rb'"respondedAt":"([^"]+)"')
HAPPENED = re.compile(rb'"timestamp":"([^"]+)"')


@dataclass
class Heard:
    """Seconds since the decision, one for each who was told; and how often polls were asked."""

    polls: list[float] = field(default_factory=list)
    sockets: list[float] = field(default_factory=list)
    asked: int = 0
    broken: int = 0


class Crowd:
    """Everybody who waits."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._port: int = plan["port"]
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []
        self.heard = Heard()

    def take(self) -> dict[str, Any]:
        """What has been heard since the last time."""
        heard, self.heard = self.heard, Heard()
        return heard.__dict__

    async def open_polls(self, polls: list[list[str]]) -> None:
        """Begin so many long polls; come back when the server has them all."""
        asked = [asyncio.Event() for _ in polls]
        for (path, key), event in zip(polls, asked, strict=True):
            self._tasks.append(asyncio.create_task(self._poll(path, key, event)))
        for event in asked:
            await event.wait()
        await asyncio.sleep(2)  # the last ones are being looked at

    async def open_sockets(self, keys: list[str]) -> None:
        """Begin so many sockets; come back when all are subscribed."""
        asked = [asyncio.Event() for _ in keys]
        for key, event in zip(keys, asked, strict=True):
            self._tasks.append(asyncio.create_task(self._socket(key, event)))
        for event in asked:
            await event.wait()

    async def _poll(self, path: str, key: str, asked: asyncio.Event) -> None:
        """One agent that waits for its decision, and asks again as long as there is none."""
        head = _head(f"{path}?wait={WAIT_SECONDS}", key, "Connection: keep-alive\r\n")
        async with self._turns:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
            writer.write(head)
            asked.set()
            await asyncio.sleep(0.1)
        while True:
            self.heard.asked += 1
            body = await _answer(reader)
            now = time.time()
            if found := RESPONDED.search(body):
                self.heard.polls.append(now - _seconds(found[1]))
                writer.close()
                return
            self.heard.broken += b'"PENDING"' not in body
            writer.write(head)

    async def _socket(self, key: str, asked: asyncio.Event) -> None:
        """One dashboard that hears every decision of its team."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\n"
        )
        async with self._turns:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
            writer.write(_head("/ws/v1/events/", key, upgrade))
            await reader.readuntil(b"\r\n\r\n")
            await _message(reader, writer)  # ready
            wish = {"type": "subscribe", "after": "latest", "types": ["human.responded"]}
            writer.write(_masked(json.dumps(wish).encode()))
            said = await _message(reader, writer)
            self.heard.broken += b'"subscribed"' not in said
            asked.set()
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                said = await _message(reader, writer)
                now = time.time()
                if found := HAPPENED.search(said):
                    self.heard.sockets.append(now - _seconds(found[1]))


def _head(path: str, key: str, more: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{more}\r\n"
    ).encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    return await reader.readexactly(int(found[1]) if found else 0)


async def _message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The next text message; pings are answered on the way (RFC 6455, section 5)."""
    while True:
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8))
        content = await reader.readexactly(length)
        if first & 0x0F == 0x9:
            writer.write(_masked(content, opcode=0xA))
        elif first & 0x0F == 0x1:
            return content


def _masked(content: bytes, opcode: int = 0x1) -> bytes:
    """A short frame of a client; a mask of zeros leaves the bytes as they are."""
    assert len(content) < 126  # noqa: S101  # ours are
    return bytes([0x80 | opcode, 0x80 | len(content)]) + bytes(4) + content


def _seconds(text: bytes) -> float:
    return datetime.fromisoformat(text.decode().replace("Z", "+00:00")).timestamp()


async def main() -> None:
    """Open what the plan says, step by step as lines are read, and tell what is heard."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    crowd = Crowd(plan)
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if line == "polls":
            await crowd.open_polls(plan["polls"])
        elif line == "sockets":
            await crowd.open_sockets(plan["sockets"])
        print(json.dumps(crowd.take()), flush=True)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
