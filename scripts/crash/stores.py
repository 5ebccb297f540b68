"""A PostgreSQL and a Redis of our own that are stopped at the worst moment and started again."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg

from scripts import services
from scripts.crash import boundaries

START_SECONDS = 60.0


class Server:
    """A process on a port; `stop` is what the boundary calls, in another process."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        port: int,
        *,
        user: str | None,
        blow: signal.Signals,
        is_ready: Callable[[], bool],
    ) -> None:
        self.port, self._command, self._log, self._user = port, command, log, user
        self._blow, self._is_ready = blow, is_ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def blow(self) -> Callable[[], None]:
        """What stops it at once, without a chance to tidy up."""
        assert self._process is not None  # noqa: S101  # started by whoever asks
        return partial(boundaries.stop, self._process.pid, self._blow, self.port)

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = services.process_options(self._user)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, start_new_session=True, **options
            )
        give_up = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"it did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.01)

    def mend(self) -> None:
        """Start it again if it was stopped."""
        if self._process is not None and not self._is_ready():
            self._process.wait(START_SECONDS)
            self.start()

    def end(self) -> None:
        """Stop it for good."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_SECONDS)


@contextlib.contextmanager
def postgres() -> Iterator[tuple[Server, str]]:
    """A fresh cluster and the URL of its empty database."""
    programs = Path(services.find(services.postgres_folder, "PostgreSQL", "postgresql"))
    user = services.unprivileged_user()
    with services.folder_for("hitl-crash-", user) as folder:
        data, port = folder / "data", free_port()
        services.initdb(programs, data, user)
        url = f"postgres://{services.ROLE}@127.0.0.1:{port}/{services.DATABASE}"
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder)]
        command += [
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-c",
            "max_connections=50",
            "-c",
            "fsync=off",
        ]
        log = folder / "log"
        server = Server(
            command, log, port, user=user, blow=signal.SIGQUIT, is_ready=partial(_connects, url)
        )
        server.start()
        try:
            yield server, url
        finally:
            server.end()


def _connects(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5).close()
        return True
    return False


@contextlib.contextmanager
def redis() -> Iterator[tuple[Server, str]]:
    """An empty Redis that keeps nothing, and its URL."""
    program = services.find(services.redis_program, "Redis", "redis-server")
    with services.folder_for("hitl-crash-redis-", None) as folder:
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        server = Server(
            command, folder / "log", port, user=None, blow=signal.SIGKILL,
            is_ready=partial(_answers, port),
        )  # fmt: skip
        server.start()
        try:
            yield server, f"redis://127.0.0.1:{port}/0"
        finally:
            server.end()


def _answers(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
    ):
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False


def free_port() -> int:
    """A loopback port that nobody used a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def standins(folder: Path) -> Iterator[tuple[int, int]]:
    """The world outside; the ports of its HTTP and its mail server."""
    command = [sys.executable, str(Path(__file__).with_name("standins.py")), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # noqa: S101  # for the type checker
            web, mail = process.stdout.readline().split()
            yield int(web), int(mail)
        finally:
            process.kill()
