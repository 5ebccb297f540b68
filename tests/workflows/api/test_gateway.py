"""Bodies that are too long are turned away before Django takes them to disk."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from deliveries.channels.email.provider import BODY_LIMIT
from tests.live_server import LiveServer, parse, running
from workflows.api import gateway
from workflows.api.gateway import DRAINED_BYTES, LONGEST_ADDRESS, Gateway

LIMIT = settings.MAX_BODY_BYTES
FORM_LIMIT = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
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


async def test_who_sends_no_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stalled(Body):
        async def __call__(self) -> Any:
            if not self.chunks:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": self.chunks.pop(), "more_body": True}

    monkeypatch.setattr(gateway, "DRAIN_SECONDS", 0.05)
    status, _, _ = await call(Stalled(b"x"), content_length=str(LIMIT + 1))
    assert status == 413


async def test_an_endless_body_is_cut_off() -> None:
    body = Body(*[b"a" * 65536] * 1000)
    status, _, _ = await call(body)
    assert status == 413
    assert body.taken * 65536 < LIMIT + DRAINED_BYTES + 3 * 65536


async def test_lengths_that_are_none_are_left_to_the_server() -> None:
    for length in ("-1", "x", "1e9", ""):
        assert (await call(Body(b"abc"), content_length=length))[0] == 200


PAGES = ("/login/", "/workflows/1/decide/", "/respond/1/", "/admin/", "/nowhere",
         "/webhooks/slack/callback", "/webhooks/telegram/callback")  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
async def test_forms_and_posts_of_channels_end_too(path: str) -> None:
    assert (await call(Body(b"a" * FORM_LIMIT), path=path))[0] == 200
    status, body, application = await call(Body(b"a" * FORM_LIMIT, b"b", b"c"), path=path)
    assert (status, application.read) == (413, FORM_LIMIT)
    assert f"the limit is {FORM_LIMIT}" in body.decode()
    unread = await call(Body(b"x"), path=path, content_length=str(FORM_LIMIT + 1))
    assert (unread[0], unread[2].read) == (413, 0)


async def test_mails_may_bring_pictures_and_end_as_well() -> None:
    path = "/webhooks/email/inbound"
    assert (await call(Body(b"a" * FORM_LIMIT, b"b"), path=path))[0] == 200
    assert (await call(Body(b"a" * BODY_LIMIT, b"b"), path=path))[0] == 413


@pytest.mark.parametrize("path", [CREATE, "/login/"])
async def test_an_endless_address_is_refused(path: str) -> None:
    longest = LONGEST_ADDRESS
    assert (await call(Body(b""), path, query=b"a" * longest))[0] == 200
    status, body, application = await call(Body(b"x"), path, query=b"a" * (longest + 1))
    assert (status, application.read) == (414, 0)
    assert b"address is too long" in body


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

    async def test_refuses_too_large_posts_at_every_door(self, server: LiveServer) -> None:
        for path in PAGES:
            more = f"Content-Length: {FORM_LIMIT + 1}\r\nContent-Type: text/plain\r\n"
            answer = await raw(
                server, server.head("POST", path, "-", 0, more), b"a" * (FORM_LIMIT + 1)
            )
            assert (answer.status, answer.headers["cache-control"]) == (413, "no-store"), path

    @pytest.mark.parametrize(
        "more",
        [
            "X-Long: " + "a" * 70_000 + "\r\n",
            "".join(f"X-Many-{number}: 1\r\n" for number in range(101)),
        ],
    )
    async def test_refuses_heads_without_end(self, server: LiveServer, more: str) -> None:
        answer = await raw(server, server.head("GET", "/ping", "-", 0, more))
        assert answer.status == 400
        assert (await raw(server, server.head("GET", "/ping", "-", 0))).raw == b"pong"

    async def test_does_not_wait_for_the_end_of_an_endless_line(self, server: LiveServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /ping HTTP/1.1\r\nX-Endless: ")
        for _ in range(80):
            writer.write(b"a" * 1024)
            await writer.drain()
        assert parse(await asyncio.wait_for(reader.read(), 10)).status == 400
        writer.close()

    async def test_refuses_fields_without_end_after_a_body(self, server: LiveServer) -> None:
        trailers = b"".join(b"X-%d: 1\r\n" % number for number in range(101))
        body = b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
        answer = await raw(server, self.chunked_head(server), body)
        assert answer.status == 400

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
