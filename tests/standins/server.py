"""A provider on loopback: real HTTP, an append-only ledger, and all the ways of failing."""

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import Request, urlopen


@dataclass(frozen=True)
class Call:
    """One request that reached the provider, whatever became of it."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: bytes
    digest: str
    method: str = "POST"
    query: str = ""


@dataclass(frozen=True)
class Said:
    """An answer: JSON unless `raw` is given."""

    status: int
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""

    @property
    def body(self) -> bytes:
        return self.raw or json.dumps(self.data).encode()


@dataclass(frozen=True)
class Post:
    """A request that the provider makes to us; `to` sends it to a running server."""

    path: str
    body: bytes
    content_type: str
    headers: Mapping[str, str]

    def to(self, base: str) -> int:
        """Deliver it over HTTP; the status of the answer. Raises HTTPError from 400 on."""
        headers = {**self.headers, "Content-Type": self.content_type}
        request = Request(base + self.path, self.body, headers, method="POST")
        with urlopen(request, timeout=10) as answer:
            return int(answer.status)


class StandIn:
    """`does` is what happens to each call, `script` what happens to the next ones before that.

    answer: judge it as the provider would. hang: read it and stall. refuse: hang up unheard.
    drop: carry it out, then hang up. mute: carry it out, then stall. drip: carry it out, then
    answer a byte at a time. rubbish: carry it out, then answer no JSON. A `Said` is the answer
    itself: nothing is carried out.
    """

    def __init__(self) -> None:
        self.does: str | Said = "answer"
        self.script: deque[str | Said] = deque()
        self.ledger: list[Call] = []
        self.lock = threading.Lock()
        self._release = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def handle(self, call: Call) -> Said:
        """Judge one call as the provider would, and carry it out."""
        return Said(404, {"path": call.path})

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve for as long as the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join(5)

    def stop(self) -> None:
        """Listen no more, and let go of whoever hangs. May be called twice."""
        self._release.set()
        self._server.shutdown()
        self._server.server_close()

    def stall(self, seconds: float = 60.0) -> bool:
        """Keep the caller waiting; whether the server stopped meanwhile."""
        return self._release.wait(seconds)

    def next_behaviour(self, call: Call) -> str | Said:
        """What happens to this call."""
        with self.lock:
            return self.script.popleft() if self.script else self.does


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with five, a busy machine turns callers away for a second


def _handler(provider: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            call = self._read()
            provider.ledger.append(call)
            does = provider.next_behaviour(call)
            if does == "hang":
                provider.stall()
            if does in ("hang", "refuse"):
                self._hang_up()
                return
            said = does if isinstance(does, Said) else provider.handle(call)
            if does == "mute":
                provider.stall()
            if does in ("drop", "mute"):
                self._hang_up()
                return
            said = Said(200, raw=b"<html>\xff oops") if does == "rubbish" else said
            self._answer(said, slowly=does == "drip")

        def do_GET(self) -> None:
            self.do_POST()

        def _read(self) -> Call:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            digest = hashlib.sha256(body).hexdigest()
            url = urlsplit(self.path)
            return Call(time.time(), url.path, headers, body, digest, self.command, url.query)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, said: Said, *, slowly: bool) -> None:
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            size = 1 if slowly else max(len(said.body), 1)
            with contextlib.suppress(OSError):  # the caller need not wait for the end
                for start in range(0, len(said.body), size):
                    self.wfile.write(said.body[start : start + size])
                    if slowly and provider.stall(0.1):
                        return

        def log_message(self, *_: Any) -> None:
            """Keep the test output quiet."""

    return Handler
