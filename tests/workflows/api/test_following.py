"""Followers of every kind at once, and whatever may happen meanwhile: each event once, in order.

Writers commit out of order, hold their transactions open and roll back; followers break off in the
middle; Redis is emptied and deaf. An independent reader of the log judges what each was told.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psycopg
import pytest
import redis

from tests.followers import Told, follow_pages, follow_socket, follow_stream, following, judge
from tests.live_server import LiveServer, running

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

WRITERS, TURNS = 6, 15


WAYS: dict[str, Callable[[LiveServer, Told], Coroutine[Any, Any, None]]] = {
    "stream": follow_stream,
    "stream that breaks": lambda server, told: follow_stream(server, told, breaks=True),
    "socket": follow_socket,
    "socket that breaks": lambda server, told: follow_socket(server, told, breaks=True),
    "long poll": lambda server, told: follow_pages(server, told, query="&wait=20&limit=3"),
    "pages": lambda server, told: follow_pages(server, told, query="&limit=5"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with running() as server:
        yield server


async def write(server: LiveServer, turns: int) -> None:
    """Requests and their decisions, as fast as they go."""
    for _ in range(turns):
        path = await server.create()
        if random.random() < 0.7:
            await server.decide(path, random.choice(["approved", "rejected"]))
        else:
            await server.ask("POST", f"{path}/cancel")


async def hold(url: str, turns: int) -> None:
    """Transactions that begin early and end late; every second one is rolled back."""
    for turn in range(turns):
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("SELECT pg_current_xact_id()")
            await asyncio.sleep(random.uniform(0.05, 0.4))
            if turn % 2:
                await connection.rollback()


async def disturb(url: str, turns: int) -> None:
    """Redis forgets everything, and cuts everybody off."""
    client = redis.asyncio.from_url(url)
    for _ in range(turns):
        await asyncio.sleep(0.5)
        await client.flushall()
        for kind in ("pubsub", "normal"):
            await client.client_kill_filter(_type=kind, skipme=True)
    await client.aclose()


def log(url: str) -> list[dict[str, Any]]:
    """The log itself, by workflow and number; read without any of our code."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT workflow_id, seq, hash FROM events_event ORDER BY workflow_id, seq"
        ).fetchall()
    return [
        {"workflowId": str(workflow_id), "seq": seq, "hash": hash_}
        for workflow_id, seq, hash_ in rows
    ]


async def told_all(told: list[Told], truth: list[Any], seconds: float) -> None:
    """Come back when everybody has heard as much as there is, or when the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while any(len(one.events) < len(truth) for one in told):
                await asyncio.sleep(0.1)


async def test_each_hears_everything_once_and_in_order(server: LiveServer) -> None:
    told = [Told(way) for way in WAYS]
    async with following(*(WAYS[one.way](server, one) for one in told)):
        await asyncio.gather(
            *(write(server, TURNS) for _ in range(WRITERS)),
            *(hold(server.database_url, 8) for _ in range(3)),
            disturb(server.redis_url, 6),
        )
        await asyncio.sleep(1)  # what workers still write
        truth = await asyncio.to_thread(log, server.database_url)
        await told_all(told, truth, 30)
    assert len(truth) > WRITERS * TURNS
    assert judge(told, truth) == []
