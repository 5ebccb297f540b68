"""Real stores of a test's own, that can be stopped, paused and cut off."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.db import connections

from scripts import services


@contextlib.contextmanager
def private_postgres() -> Iterator[str]:
    """An empty PostgreSQL; its URL."""
    with services.postgres(Path(services.postgres_folder())) as url:
        yield url


@contextlib.contextmanager
def private_redis() -> Iterator[str]:
    """An empty Redis; its URL."""
    with services.redis(services.redis_program()) as url:
        yield url


def postmaster(url: str) -> int:
    """The number of the process that takes connections."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        asked = ["ps", "-o", "ppid=", "-p", str(row[0])]
        return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def redis_process(url: str) -> int:
    """The number of Redis' process."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """It takes connections, for the kernel does that, and says nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def new_connections_go_to(monkeypatch: pytest.MonkeyPatch, **place: str | int) -> Iterator[None]:
    """Threads that connect from now on connect there; those that are connected stay."""
    with monkeypatch.context() as patch:
        for name, value in place.items():
            patch.setitem(connections.settings["default"], name, value)
        yield


def place_of(url: str) -> dict[str, str | int]:
    """What Django calls the parts of a database's URL."""
    parts = urlsplit(url)
    return {
        "HOST": parts.hostname or "",
        "PORT": parts.port or 0,
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "",
        "PASSWORD": "",
    }
