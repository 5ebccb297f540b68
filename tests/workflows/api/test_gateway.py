"""Bodies that are too long are turned away before Django takes them to disk."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from tests.live_server import LiveServer, parse, running
from workflows.api.gateway import DRAINED_BYTES, Gateway

LIMIT = settings.MAX_BODY_BYTES
CREATE = "/api/v1/workflows"


# --- Against a fake Django -----------------------------------------------------------------------


class Application:
    """Stands for Django: reads the whole body, then answers its length."""

    def __init__(self) -> None:
        self.read = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.read += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.read).encode()})


class Body:
    """A client that sends chunks and counts how many were taken."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.taken = 0

    async def __call__(self) -> Any:
        self.taken += 1
        if not self.chunks:
            return {"type": "http.disconnect"}
        body = self.chunks.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.chunks)}


async def call(
    body: Body, path: str = CREATE, query: bytes = b"", **headers: str
) -> tuple[int, Any, Application]:
    application, sent = Application(), []
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": query,
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip

    async def send(message: Any) -> None:
        sent.append(message)

    await Gateway(application)(scope, body, send)
    return sent[0]["status"], sent[1]["body"], application


async def test_a_body_up_to_the_limit_passes() -> None:
    status, body, _ = await call(Body(b"a" * (LIMIT - 1), b"b"))
    assert (status, body) == (200, str(LIMIT).encode())


async def test_one_byte_more_is_refused_while_reading() -> None:
    status, body, application = await call(Body(b"a" * LIMIT, b"b"))
    content = json.loads(body)
    assert status == content["status"] == 413
    assert content["code"] == "too-large"
    assert application.read <= LIMIT


async def test_an_understated_length_does_not_help() -> None:
    status, _, _ = await call(Body(b"a" * LIMIT, b"b" * LIMIT), content_length="10")
    assert status == 413


async def test_a_declared_length_is_refused_unread() -> None:
    body = Body(b"x", b"y")
    status, _, application = await call(body, content_length=str(LIMIT + 1))
    assert (status, application.read) == (413, 0)


async def test_who_asks_first_whether_to_send_is_told_at_once() -> None:
    body = Body(b"x")
    status, _, _ = await call(body, content_length=str(LIMIT + 1), expect="100-continue")
    assert (status, body.taken) == (413, 0)


async def test_an_endless_body_is_cut_off() -> None:
    body = Body(*[b"a" * 65536] * 1000)
    status, _, _ = await call(body)
    assert status == 413
    assert body.taken * 65536 < LIMIT + DRAINED_BYTES + 3 * 65536


async def test_lengths_that_are_none_are_left_to_the_server() -> None:
    for length in ("-1", "x", "1e9", ""):
        assert (await call(Body(b"abc"), content_length=length))[0] == 200


@pytest.mark.parametrize("path", ["/login/", "/workflows/1/", "/static/x.js"])
async def test_pages_are_none_of_its_business(path: str) -> None:
    assert (await call(Body(b"a" * LIMIT, b"b"), path=path))[0] == 200


async def test_a_query_that_is_no_text_is_a_problem() -> None:
    status, body, _ = await call(Body(b""), query=b"a=\xff")
    assert (status, json.loads(body)["code"]) == (400, "validation")


# --- Against a real server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with running() as server:
        yield server


async def raw(server: LiveServer, *parts: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    try:
        return parse(await asyncio.wait_for(reader.read(), 10))
    finally:
        writer.close()


def padded(size: int) -> bytes:
    body = json.dumps({"actionType": "a.b", "actionData": {}}).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


def chunked(body: bytes) -> list[bytes]:
    pieces = [body[start : start + 60_000] for start in range(0, len(body), 60_000)]
    return [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]


class TestRealServer:
    def chunked_head(self, server: LiveServer) -> bytes:
        more = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
        return server.head("POST", CREATE, server.api_key, 0, more)

    async def test_takes_chunked_bodies(self, server: LiveServer) -> None:
        answer = await raw(server, self.chunked_head(server), *chunked(padded(LIMIT)))
        assert (answer.status, answer.json["status"]) == (201, "PENDING")

    async def test_refuses_longer_ones_by_either_way(self, server: LiveServer) -> None:
        answer = await raw(server, self.chunked_head(server), *chunked(padded(LIMIT + 1)))
        assert (answer.status, answer.json["code"]) == (413, "too-large")
        head = server.head("POST", CREATE, server.api_key, LIMIT + 1)
        answer = await raw(server, head, padded(LIMIT + 1))
        assert (answer.status, answer.json["code"]) == (413, "too-large")
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_fifty_at_once_with_one_key_create_one(self, server: LiveServer) -> None:
        """R-10, whatever the database: one creation, its answer to everybody, or "not yet"."""
        body = {"actionType": "a.b", "actionData": {"once": True}}
        key = "Idempotency-Key: only-once\r\n"
        asks = [server.ask("POST", CREATE, body, headers=key) for _ in range(50)]
        answers = await asyncio.gather(*asks)
        assert {answer.status for answer in answers} <= {201, 409}
        made = [answer for answer in answers if answer.status == 201]
        assert len({answer.json["workflowId"] for answer in made}) == 1
        first = [answer for answer in made if "idempotency-replayed" not in answer.headers]
        assert len(first) == 1
        found = await server.ask("GET", f"{CREATE}?actionType=a.b&limit=100")
        assert sum("once" in row["actionData"] for row in found.json["items"]) == 1
