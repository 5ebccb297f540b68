"""The roles of a larger server as real processes on PostgreSQL and Redis."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
from redis import Redis

from hitl.lib import signing_keys
from tests.embedded import MANAGE, ROOT, START_SECONDS, Embedded, until

# Filled as an embedded server fills itself: a person, an agent, its key.
FILL = "from hitl import bootstrap; bootstrap.ensure()"

FILL_SECONDS = 240


class Roles(Embedded):
    """Some processes on stores of their own."""

    def __init__(self, folder: Path, database: str, **variables: str) -> None:
        fixed = {
            "DATABASE_URL": database,
            "REDIS_URL": os.environ["TEST_REDIS_URL"].removesuffix("/0") + "/7",
            "SECRET_KEY": "s" * 60,
            "JWT_SECRET": "j" * 60,
            "SIGNING_KEYS": signing_keys.generate(),
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
        }
        super().__init__(folder, **fixed | variables)
        self.roles: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    def twin(self) -> "Roles":
        """The same server behind a port of its own, nothing of it started yet."""
        same = {name: value for name, value in self.variables.items() if name != "PORT"}
        twin = Roles(self.folder, same["DATABASE_URL"], **same)
        twin.api_key = self.api_key
        return twin

    def is_leaving(self) -> bool:
        """Whether it asks to be sent nothing more."""
        try:
            with self.open("/ping"):
                return False
        except HTTPError as error:
            with error:
                return error.code == 503

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[Any]:
        """The answer with its headers, of a question as the agent."""
        request = Request(f"{self.url}{path}")
        request.add_header("Authorization", f"Bearer {self.api_key}")
        with urlopen(request, timeout=60) as response:
            yield response

    @property
    def redis(self) -> "Redis":
        """The Redis that the processes share."""
        return Redis.from_url(self.variables["REDIS_URL"])

    def token(self) -> str:
        """A JWT of the person; made once, since a process for each takes long."""
        if not self._token:
            self._token = super().token()
        return self._token

    def fill(self) -> None:
        """Migrate, and make a person, an agent and its key."""
        for step in (["migrate", "--verbosity=0"], ["shell", "--verbosity=0", "-c", FILL]):
            done = self.manage(*step, timeout=FILL_SECONDS)
            assert done.returncode == 0, done.stderr

    def run_all(self) -> None:
        """Start one of each, and wait until the web answers."""
        for role in ("serve", "worker", "beat"):
            self.run(role)
        self.wait_for_web()

    def wait_for_web(self, name: str = "serve") -> None:
        """Until it answers."""
        self._process = self.roles[name]
        until(self._answers, START_SECONDS)

    def run(self, role: str, *options: str, name: str = "", **variables: str) -> None:
        """Start one, as the head of a process group; `name` tells several of a role apart."""
        with self.log.open("ab") as log:
            self.roles[name or role] = subprocess.Popen(
                [*MANAGE, role, *options],
                cwd=ROOT,
                env=self.variables | variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, role: str) -> None:
        """End it and its children as a power cut would: none of them does anything more."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.roles[role].pid, signal.SIGKILL)
        self.roles[role].wait()

    def end(self) -> None:
        """Kill whatever runs."""
        for role in self.roles:
            self.kill(role)


@dataclass
class Filled:
    """A database that is migrated and filled, to be copied: sooner done than filling another."""

    url: str
    variables: dict[str, str]
    api_key: str

    @contextlib.contextmanager
    def copied(self, folder: Path, **variables: str) -> Iterator[Roles]:
        """A server on a copy, nothing of it started yet."""
        with empty_database(template=urlsplit(self.url).path[1:]) as url:
            with psycopg.connect(url) as database:  # else it would be taken for a restored one
                database.execute("DELETE FROM events_databasehome")
            kept = ("SIGNING_KEYS", "HITL_BOOTSTRAP_API_KEY")
            same = {name: self.variables[name] for name in kept}
            server = Roles(folder, url, **same | variables)
            server.api_key = self.api_key
            server.redis.flushdb()
            try:
                yield server
            finally:
                server.end()


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[Filled]:
    """What `Filled` copies."""
    with empty_database() as url:
        server = Roles(folder, url)
        server.fill()
        yield Filled(url, server.variables, server.api_key)


@contextlib.contextmanager
def empty_database(*, template: str = "template1") -> Iterator[str]:
    """A database beside the tests' own."""
    home, name = os.environ["TEST_DATABASE_URL"], f"roles_{uuid4().hex}"
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield urlunsplit(urlsplit(home)._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
