"""Socket Mode: the WebSocket that Slack gives to an app, with envelopes that want an answer."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.standins.slack.posts import Post


@dataclass
class SocketServer:
    """`push` sends what would have been posted, `answers` come back by envelope."""

    url: str = ""
    connections: list[ServerConnection] = field(default_factory=list)
    answers: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    connected: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def wait_for_connection(self, seconds: float = 10.0) -> None:
        if not self.connected.acquire(timeout=seconds):
            raise TimeoutError("nobody connected")

    def push(self, post: Post) -> str:
        """Send the payload of a post through the newest connection: the envelope's id."""
        envelope = str(uuid4())
        message = {
            "type": "interactive",
            "envelope_id": envelope,
            "payload": post.payload,
            "accepts_response_payload": True,
        }
        self.connections[-1].send(json.dumps(message))
        return envelope

    def disconnect(self) -> None:
        """Ask the app to come back through a new connection, as Slack does every few hours."""
        self.connections[-1].send(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))

    def answer(self, seconds: float = 3.0) -> dict[str, Any]:
        """The next acknowledgement; queue.Empty after three seconds, as Slack sees it."""
        return self.answers.get(timeout=seconds)


@contextmanager
def socket_server() -> Iterator[SocketServer]:
    """Run one for the length of a test."""
    state = SocketServer()

    def handle(connection: ServerConnection) -> None:
        state.connections.append(connection)
        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        state.connected.release()
        try:
            for message in connection:
                state.answers.put(json.loads(message))
        except ConnectionClosed:
            return

    with serve(handle, "127.0.0.1", 0) as server:
        state.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/link/?ticket=1&app_id=A0HITL"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            for connection in state.connections:
                connection.close()
            server.shutdown()
            thread.join(5)
