"""A real HTTP server on loopback that keeps a ledger and can be told to fail, hang or hang up."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`status` and `answer` are what it says next; `behaviour`: answer, late, hang or drop.

    `plan` is taken up first, one status a request. `late` answers once `release` is set.
    """

    url: str = ""
    status: int = 200
    answer: bytes = b'{"ok":true}'
    headers: dict[str, str] = field(default_factory=dict)
    behaviour: str = "answer"
    plan: list[int] = field(default_factory=list)
    ledger: list[Received] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def allow(self) -> str:
        """What OUTBOUND_ALLOW must name to reach it."""
        return self.url.removeprefix("http://").split("/")[0]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run one for the length of a test."""
    state = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/act"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(state: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.ledger.append(Received(self.path, headers, body))
            behaviour, status = state.behaviour, state.plan.pop(0) if state.plan else state.status
            if behaviour in ("hang", "late"):
                state.release.wait(30)
            if behaviour in ("hang", "drop"):
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            self.wfile.write(state.answer)

        def log_message(self, *_: Any) -> None:
            """Keep the test output quiet."""

    return Handler


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
