"""A real server process on data of its own: the embedded one, or `serve` on PostgreSQL and Redis.

Which of the two follows TEST_DATABASE_URL, as for every other test.
"""

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen
from uuid import UUID, uuid4

import jwt
import psycopg

from hitl.accounts import keys
from hitl.lib import signing_keys
from scripts import services

ROOT = Path(__file__).resolve().parent.parent
EMAIL = "ann@example.com"
START_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What came back, and when its last byte did (monotonic seconds)."""

    status: int
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class LiveServer:
    """A running server, its agent's key and a token of its only person."""

    port: int
    process: subprocess.Popen[bytes]
    api_key: str
    user_token: str
    log: Path
    database_url: str = ""  # empty where it is embedded
    redis_url: str = ""
    waiting: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def threads(self) -> int:
        """How many threads the process has now (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if "Threads:" in line).split()[1])

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", headers: str = ""
    ) -> Answer:
        """One request on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        raw = b"" if body is None else json.dumps(body).encode()
        writer.write(self.head(method, path, token or self.api_key, len(raw), headers) + raw)
        try:
            return parse(await reader.read())
        finally:
            writer.close()

    def head(self, method: str, path: str, token: str, length: int, headers: str = "") -> bytes:
        """The lines before the body. `headers` are whole lines, each with its CRLF."""
        credentials = f"Authorization: Bearer {token}\r\n" if token != "-" else ""
        content = (
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n" if length else ""
        )
        return (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"{credentials}{content}{headers}\r\n"
        ).encode()

    async def create(self, **changes: Any) -> str:
        """A pending request; returns its path."""
        body = {"actionType": "a.b", "actionData": {"n": 1}} | changes
        answer = await self.ask("POST", "/api/v1/workflows", body)
        assert answer.status == 201, answer.raw
        return f"/api/v1/workflows/{answer.json['workflowId']}"

    async def decide(self, path: str, decision: str = "approved") -> Answer:
        """The person's answer."""
        fingerprint = (await self.ask("GET", path)).json["fingerprint"]
        body = {"decision": decision, "fingerprint": fingerprint}
        return await self.ask("POST", f"{path}/decide", body, token=self.user_token)


def parse(raw: bytes) -> Answer:
    """An HTTP/1.1 answer whose connection was closed after it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines[1:])
    headers = {name.lower(): value for name, value in pairs}
    return Answer(int(lines[0].split()[1]), headers, body, time.monotonic())


@contextlib.contextmanager
def running() -> Iterator[LiveServer]:
    """Start a server and stop it again."""
    with tempfile.TemporaryDirectory(prefix="hitl-live-") as folder, _database(folder) as env:
        port, key = _free_port(), keys.generate()
        env |= {
            "PORT": str(port),
            "HITL_BOOTSTRAP_EMAIL": EMAIL,
            "HITL_BOOTSTRAP_PASSWORD": "correct horse battery staple",
            "HITL_BOOTSTRAP_API_KEY": key,
            "SECRET_KEY": "s" * 60,
            "JWT_SECRET": "j" * 60,
            "SIGNING_KEYS": signing_keys.generate(),
            "DJANGO_SETTINGS_MODULE": "hitl.settings",
        }
        command = _prepare(env)
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        try:
            _wait_for(port, process, log)
            stores = env.get("DATABASE_URL", ""), env.get("REDIS_URL", "")
            yield LiveServer(port, process, key, _token(env), log, *stores)
        finally:
            process.terminate()
            process.wait(30)


def _prepare(env: dict[str, str]) -> list[str]:
    """Migrate and fill where the server does not do that itself; its command."""
    manage = [sys.executable, "manage.py"]
    if "DATABASE_URL" not in env:
        return [*manage, "up"]
    fill = "from hitl import bootstrap; bootstrap.ensure()"
    for step in (["migrate", "--verbosity=0"], ["shell", "--verbosity=0", "-c", fill]):
        subprocess.run([*manage, *step], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    return [*manage, "serve"]


@contextlib.contextmanager
def _database(folder: str) -> Iterator[dict[str, str]]:
    """The environment of a server with an empty database, and a Redis nobody else hears."""
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    env["HITL_DATA"] = folder
    server = os.environ.get("TEST_DATABASE_URL")
    if not server:
        yield env
        return
    name = f"live_{uuid4().hex}"
    with (
        services.redis(services.redis_program()) as redis_url,
        psycopg.connect(server, autocommit=True) as connection,
    ):
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        env |= {
            "DATABASE_URL": urlunsplit(urlsplit(server)._replace(path=f"/{name}")),
            "REDIS_URL": redis_url,
            "ALLOWED_HOSTS": "localhost",
        }
        yield env
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _token(env: dict[str, str]) -> str:
    query = "SELECT id FROM accounts_user WHERE email = 'ann@example.com'"
    if "DATABASE_URL" in env:
        with psycopg.connect(env["DATABASE_URL"]) as connection:
            found: Any = connection.execute(query).fetchone()
    else:
        with contextlib.closing(sqlite3.connect(f"{env['HITL_DATA']}/hitl.sqlite3")) as database:
            found = database.execute(query).fetchone()
    claims = {"sub": f"user:{UUID(str(found[0]))}", "exp": int(time.time()) + 3600}
    return jwt.encode(claims, env["JWT_SECRET"], algorithm="HS256")


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with (
            contextlib.suppress(URLError, ConnectionError, TimeoutError),
            urlopen(f"http://localhost:{port}/ping", timeout=1) as answer,
        ):
            if answer.read() == b"pong":
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
