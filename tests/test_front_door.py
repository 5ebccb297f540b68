"""What stands before Django in the roles, and how a process takes its leave."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from hitl import draining
from hitl.front_door import AsgiDoor, WsgiDoor

LIMIT = settings.MAX_BODY_BYTES


@pytest.fixture
def leaving() -> Iterator[None]:
    draining.begin()
    yield
    draining._flag[0] = 0


def _inner(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Stands for Django: gives back the body as far as its length is known."""
    start_response("200 OK", [])
    return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]


def _ask(path: str, body: bytes = b"", **more: str) -> tuple[int, dict[str, str], bytes]:
    told: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "wsgi.input": io.BytesIO(body), **more}
    content = b"".join(WsgiDoor(_inner)(environ, lambda *said: told.append(said)))
    [(status, headers)] = told
    return int(status.split()[0]), dict(headers), content


@pytest.mark.parametrize("path", ["/ws/live/", "/ws/v1/events/", "/api/v1/events/stream"])
def test_wsgi_says_whose_sockets_and_streams_are(path: str) -> None:
    status, headers, body = _ask(path)
    assert status == 421
    assert headers["Content-Type"] == "application/problem+json"
    problem = json.loads(body)
    assert (problem["code"], problem["instance"]) == ("misdirected", path)
    assert "manage.py live" in problem["detail"]


def test_wsgi_reads_bodies_of_unknown_length() -> None:
    told = {"HTTP_TRANSFER_ENCODING": "chunked"}
    assert _ask("/api/v1/workflows", b'{"n":1}', **told)[2] == b'{"n":1}'
    # One more than is taken, for the parser to refuse it; the rest is not read into memory.
    assert len(_ask("/api/v1/workflows", b"x" * (3 * LIMIT), **told)[2]) == LIMIT + 1


def test_wsgi_leaves_bodies_of_known_length_alone() -> None:
    assert _ask("/", b"12345", CONTENT_LENGTH="3")[2] == b"123"
    assert _ask("/", b"12345")[2] == b""


def test_who_takes_its_leave_is_sent_nothing_more(leaving: None) -> None:
    for path in draining.PROBES:
        status, headers, body = _ask(path)
        assert (status, headers["Retry-After"]) == (503, "2")
        assert json.loads(body)["detail"] == draining.SAYS
    assert _ask("/healthz")[0] == _ask("/")[0] == 200


def test_who_stays_is_asked_as_ever() -> None:
    assert [_ask(path)[0] for path in draining.PROBES] == [200, 200]


@pytest.mark.parametrize(("path", "status"), [("/ping", 503), ("/healthz", 200)])
async def test_the_same_under_asgi(leaving: None, path: str, status: int) -> None:
    sent: list[Any] = []

    async def inner(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    await AsgiDoor(inner)({"type": "http", "path": path}, send, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == status
