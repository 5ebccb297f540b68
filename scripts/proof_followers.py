#!/usr/bin/env python3
"""Followers of the event feed as agents would write them: standard library, and `websockets`.

    python scripts/proof_followers.py --webs http://127.0.0.1:4001,… --key hitl_agt_… \\
        --secret whsec_… --port 4010 --folder FOLDER

Each writes what it hears, line by line, to FOLDER/<name>.ledger, keeps its cursor in memory and
begins again with it whenever something breaks. They end a while after FOLDER/stop has come to be.
Nothing of the server's code is used here: this is the other side.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import connect

QUIET_SECONDS = 20.0
PAUSE_SECONDS = 0.3
FEED = "/api/v1/events"
FAILING = 0.05  # of the webhooks are refused, and as many are taken and left without an answer


@dataclass
class Follower:
    """One ledger, one cursor, and the servers it turns to one after the other."""

    name: str
    webs: Iterator[str]
    key: str
    folder: Path
    cursor: str = "0-0"
    breaks: int = 0
    last_break: str = ""
    heard_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._ledger = (self.folder / f"{self.name}.ledger").open("w", buffering=1)

    def hear(self, event: dict[str, Any]) -> None:
        """Note one event; from here on the cursor is behind it."""
        self._ledger.write(f"{event['workflowId']} {event['seq']} {event['hash']}\n")
        self.cursor, self.heard_at = event["cursor"], time.monotonic()

    @property
    def is_over(self) -> bool:
        quiet = time.monotonic() - self.heard_at > QUIET_SECONDS
        return quiet and (self.folder / "stop").exists()

    def run(self, follow: "Callable[[Follower], None]") -> None:
        """Follow; whatever breaks, go on with the next server from the same cursor."""
        while not self.is_over:
            try:
                follow(self)
            except Exception as error:
                self.breaks += 1
                self.last_break = repr(error)
                time.sleep(PAUSE_SECONDS)
        (self.folder / f"{self.name}.breaks").write_text(f"{self.breaks} {self.last_break}")

    def ask(self, path: str, **parameters: Any) -> http.client.HTTPResponse:
        """A GET whose answer is a success."""
        web = urlsplit(next(self.webs))
        connection = http.client.HTTPConnection(web.netloc, timeout=40)
        headers = {"Authorization": f"Bearer {self.key}"}
        connection.request("GET", f"{path}?{urlencode(parameters)}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ConnectionError(answer.status)
        return answer


def page(follower: Follower) -> None:
    """`GET /api/v1/events?after=…`, again and again."""
    found = json.loads(follower.ask(FEED, after=follower.cursor, limit=100).read())
    for event in found["items"]:
        follower.hear(event)
    if not found["items"]:
        time.sleep(PAUSE_SECONDS)


def long_poll(follower: Follower) -> None:
    """The same, held back by the server until there is something."""
    for event in json.loads(follower.ask(FEED, after=follower.cursor, wait=10).read())["items"]:
        follower.hear(event)


def stream(follower: Follower) -> None:
    """Server-Sent Events, gone on with from the last id that was heard."""
    answer = follower.ask(f"{FEED}/stream", after=follower.cursor)
    event: dict[str, str] = {}
    while not follower.is_over:
        line = answer.readline().decode()
        if not line:
            raise ConnectionError("the stream ended")
        name, _, value = line.rstrip("\n").partition(":")
        if name:
            event[name] = value.removeprefix(" ")
        elif line == "\n":
            if "data" in event:
                follower.hear(json.loads(event["data"]))
            elif "id" in event:
                follower.cursor = event["id"]
            event = {}


def sock(follower: Follower) -> None:
    """The WebSocket."""
    address = next(follower.webs).replace("http", "ws", 1) + "/ws/v1/events/"
    headers = {"Authorization": f"Bearer {follower.key}"}
    with connect(address, additional_headers=headers, open_timeout=10) as socket:
        socket.send(json.dumps({"type": "subscribe", "after": follower.cursor}))
        while not follower.is_over:
            try:
                said = json.loads(socket.recv(timeout=5))
            except TimeoutError:
                continue
            if said["type"] == "event":
                follower.hear(said["event"] | {"cursor": said["cursor"]})


@dataclass
class Receiver:
    """A webhook endpoint that now and then fails, and knows again what it has had."""

    secret: str
    ledger: Any
    known: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    repeated: int = 0
    forged: int = 0

    def take(self, headers: Any, body: bytes) -> bool:
        """Whether it is genuine; what is new is noted. As standardwebhooks.com describes it."""
        message, moment = headers["webhook-id"], headers["webhook-timestamp"]
        content = f"{message}.{moment}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        digest = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        if f"v1,{digest}" not in headers["webhook-signature"].split():
            self.forged += 1
            return False
        with self.lock:
            if message in self.known:
                self.repeated += 1
            else:
                self.known.add(message)
                data = json.loads(body)["data"]
                self.ledger.write(f"{data['workflowId']} {data['seq']} {data['event']['hash']}\n")
        return True


def handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    dice = random.Random(2026)  # noqa: S311  # guards nothing

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            luck = dice.random()
            if luck < FAILING:
                self.answer(500)
            elif not receiver.take(self.headers, body):
                self.answer(401)
            elif luck < 2 * FAILING:
                self.close_connection = True  # taken, and never said so
            else:
                self.answer(204)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    """Follow in every way at once until there is nothing more."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("webs", "key", "secret", "folder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    folder = Path(options.folder)
    ways = {"page": page, "longpoll": long_poll, "stream": stream, "socket": sock}
    threads = []
    for turn, (name, follow) in enumerate(ways.items()):
        webs = itertools.cycle(options.webs.split(",")[turn % 2 :] + options.webs.split(","))
        follower = Follower(name, webs, options.key, folder)
        threads.append(threading.Thread(target=follower.run, args=(follow,)))
    with (folder / "webhook.ledger").open("w", buffering=1) as ledger:
        receiver = Receiver(options.secret, ledger)
        server = ThreadingHTTPServer(("127.0.0.1", options.port), handler(receiver))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while not (folder / "webhooks-stop").exists():
            time.sleep(PAUSE_SECONDS)
        server.shutdown()
        told = {"repeated": receiver.repeated, "forged": receiver.forged}
        (folder / "webhook.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
