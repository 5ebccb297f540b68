"""The roles of a larger server for real: web, worker and beat on PostgreSQL and Redis."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from tests.embedded import MANAGE, ROOT, Embedded, until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
ROLES = ("serve", "worker", "beat")
# Filled as an embedded server fills itself: a person, an agent, its key.
FILL = "from hitl import bootstrap; bootstrap.ensure()"


class Roles(Embedded):
    """Three processes on stores of their own."""

    def __init__(self, folder: Path, database: str) -> None:
        super().__init__(
            folder,
            DATABASE_URL=database,
            REDIS_URL=os.environ["TEST_REDIS_URL"].removesuffix("/0") + "/7",
            SECRET_KEY="s" * 60,
            JWT_SECRET="j" * 60,
            ALLOWED_HOSTS="localhost,127.0.0.1",
        )
        self.roles: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self) -> None:
        """Migrate, fill, start all three, and wait until the web answers."""
        self.fill()
        self.run_all()

    def fill(self) -> None:
        """Migrate, and make a person, an agent and its key."""
        for step in (["migrate", "--verbosity=0"], ["shell", "--verbosity=0", "-c", FILL]):
            done = self.manage(*step)
            assert done.returncode == 0, done.stderr

    def run_all(self) -> None:
        """Start all three, and wait until the web answers."""
        for role in ROLES:
            self.run(role)
        self._process = self.roles["serve"]
        until(self._answers, 30)

    def run(self, role: str) -> None:
        """Start one, as the head of a process group."""
        with self.log.open("ab") as log:
            self.roles[role] = subprocess.Popen(
                [*MANAGE, role],
                cwd=ROOT,
                env=self.variables,
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
        for role in self.roles:
            self.kill(role)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Roles]:
    with empty_database() as url:
        roles = Roles(tmp_path / "data", url)
        try:
            roles.begin()
            yield roles
        finally:
            roles.end()


@contextlib.contextmanager
def empty_database() -> Iterator[str]:
    """An empty database beside the tests' own."""
    home, name = os.environ["TEST_DATABASE_URL"], f"roles_{uuid4().hex}"
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlunsplit(urlsplit(home)._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_the_roles_do_together_what_one_process_does(server: Roles) -> None:
    late = server.create(timeoutSeconds=1)
    own = server.create(actionType="data.export", actionData={"report": "orders"})
    server.decide(own, "approved")
    until(lambda: server.get(own)["status"] == "COMPLETED", 30)
    until(lambda: server.get(late)["status"] == "TIMEOUT", 30)


def test_each_stops_cleanly_when_told(server: Roles) -> None:
    late = server.create(timeoutSeconds=1)
    until(lambda: server.get(late)["status"] == "TIMEOUT", 30)  # so both are at work
    for role in ("beat", "worker"):
        began = time.monotonic()
        server.roles[role].send_signal(signal.SIGTERM)
        assert server.roles[role].wait(20) == 0, role
        assert time.monotonic() - began < 15


def test_a_worker_that_died_is_replaced_and_nothing_is_lost(server: Roles) -> None:
    server.kill("worker")
    workflow = server.create(actionType="data.export", actionData={"report": "orders"})
    server.decide(workflow, "approved")
    time.sleep(1)
    assert server.get(workflow)["status"] == "APPROVED"
    server.run("worker")
    until(lambda: server.get(workflow)["status"] == "COMPLETED", 30)
