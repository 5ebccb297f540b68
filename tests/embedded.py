"""A real `manage.py up` in a process of its own: temporary folder, free port, preset key."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hitl_client import Client

from hitl.accounts import keys

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, "manage.py"]
EMAIL, PASSWORD = "ann@example.com", "correct horse battery staple"
START_SECONDS = 60


@dataclass
class Answer:
    """Status and parsed body of an API call."""

    status: int
    json: Any


class Embedded:
    """One data folder, and the server that runs on it now (if it does)."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api_key = keys.generate()
        self.log = folder.with_name(f"{folder.name}.log")
        self.variables = clean_environment() | {
            "HITL_DATA": str(folder),
            "PORT": str(self.port),
            "HITL_BOOTSTRAP_EMAIL": EMAIL,
            "HITL_BOOTSTRAP_PASSWORD": PASSWORD,
            "HITL_BOOTSTRAP_API_KEY": self.api_key,
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the server has not been started"
        return self._process

    @property
    def output(self) -> str:
        """All that it has said so far, over all its starts."""
        return self.log.read_text()

    def start(self) -> float:
        """Start it and wait until it answers; how long that took."""
        started = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*MANAGE, "up"], cwd=ROOT, env=self.variables, stdout=log, stderr=log
            )
        until(self._answers, START_SECONDS, what=lambda: f"no answer:\n{self.output[-3000:]}")
        return time.monotonic() - started

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.output[-3000:]}")
        with contextlib.suppress(URLError, ConnectionError, TimeoutError):
            return bool(urlopen(f"{self.url}/ping", timeout=2).read() == b"pong")
        return False

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> Answer:
        """One API call, by default as the agent."""
        request = Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"Bearer {token or self.api_key}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urlopen(request, timeout=60) as response:
                return Answer(response.status, json.loads(response.read()))
        except HTTPError as error:
            with error:
                return Answer(error.code, json.loads(error.read()))

    @property
    def agent(self) -> Client:
        """The agent, as agents are written."""
        return Client(self.url, self.api_key)

    def settled(self, workflow: dict[str, Any]) -> str:
        """How the request ends."""
        ended = self.agent.wait(workflow["workflowId"], until="settled", timeout=30)
        return ended.status.value

    def create(self, **changes: Any) -> dict[str, Any]:
        """A pending request; the answer of the API."""
        body = {"actionType": "a.b", "actionData": {"n": 1}} | changes
        answer = self.call("POST", "/api/v1/workflows", body)
        assert answer.status == 201, answer.json
        return dict(answer.json)

    def get(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """The request as it stands."""
        return dict(self.call("GET", f"/api/v1/workflows/{workflow['workflowId']}").json)

    def events(self, workflow: dict[str, Any]) -> list[str]:
        """The types of its events, in order."""
        path = f"/api/v1/workflows/{workflow['workflowId']}/events"
        return [event["type"] for event in self.call("GET", path).json["items"]]

    def decide(self, workflow: dict[str, Any], decision: str, **more: Any) -> Answer:
        """The person's answer."""
        body = {"decision": decision, "fingerprint": workflow["fingerprint"], **more}
        path = f"/api/v1/workflows/{workflow['workflowId']}/decide"
        return self.call("POST", path, body, token=self.token())

    def token(self) -> str:
        """A JWT of the person."""
        return self.manage("create_token", "--user", EMAIL).stdout.strip()

    def manage(self, *arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Another command on the same folder."""
        return subprocess.run(
            [*MANAGE, *arguments],
            cwd=ROOT,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def query(self, sql: str) -> list[Any]:
        """What the database says, without going through the server."""
        database = sqlite3.connect(self.folder / "hitl.sqlite3", timeout=20)
        with contextlib.closing(database), database:
            return database.execute(sql).fetchall()


@contextlib.contextmanager
def running(folder: Path, **variables: str) -> Iterator[Embedded]:
    """A server that is up, and gone afterwards."""
    server = Embedded(folder, **variables)
    try:
        server.start()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def clean_environment() -> dict[str, str]:
    """Nothing of what the tests themselves were given."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def until(
    is_so: Callable[[], object], seconds: float, *, what: Callable[[], str] = lambda: "too late"
) -> None:
    """Wait until something is true, or fail."""
    give_up = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > give_up:
            raise AssertionError(what())
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody used a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
