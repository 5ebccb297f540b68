#!/usr/bin/env python3
"""Run a command beside a private PostgreSQL, a private Redis and a known Chromium.

    python scripts/services.py [--postgres [--durable]] [--redis] [--chromium] [--haproxy] -- …

The command sees TEST_DATABASE_URL, TEST_REDIS_URL, CHROMIUM and HAPROXY. Both servers live in a
temporary folder, listen on random loopback ports and end with the command, however it ends; a
server that already runs on this machine is never used. Missing programs are installed by apt-get
where that needs no password, else a sentence says what to do. Standard library only, Linux and
macOS.
"""

import argparse
import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

START_SECONDS = 30
STOP_SECONDS = 20
# A free port can be taken by someone else between our look and the server's bind.
PORT_ATTEMPTS = 5
ROLE = DATABASE = "hitl"
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Fedora, Red Hat
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
POSTGRES_PROGRAMS = ("postgres", "initdb")
NOT_DURABLE = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_APPS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def main() -> int:
    """Start what was asked for, run the command, stop everything; the command's exit code."""
    options, command = parse(sys.argv[1:])
    # Turned into an exception, a polite kill still walks through every `finally`.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_politely)
    try:
        with contextlib.ExitStack() as stack:
            return run(command, environment(options, stack))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options before `--` and the command after it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgres", action="store_true", help="start PostgreSQL")
    parser.add_argument(
        "--durable", action="store_true", help="have PostgreSQL wait for the disk, as in production"
    )
    parser.add_argument("--redis", action="store_true", help="start Redis or Valkey")
    parser.add_argument("--chromium", action="store_true", help="find Chromium or Chrome")
    parser.add_argument("--haproxy", action="store_true", help="find HAProxy")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, after `--`")
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("name a command after `--`")
    return options, command


def stop_politely(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through the context managers when told to terminate, once."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def environment(options: argparse.Namespace, stack: contextlib.ExitStack) -> dict[str, str]:
    """Find everything first, so that nothing is started in vain, then start it."""
    folder = find(postgres_folder, "PostgreSQL", "postgresql") if options.postgres else ""
    server = find(redis_program, "Redis", "redis-server") if options.redis else ""
    found = dict(os.environ)
    if options.chromium:
        found["CHROMIUM"] = find(chromium_program, "Chromium", "chromium", "fonts-liberation")
    if options.haproxy:
        found["HAPROXY"] = find(haproxy_program, "HAProxy", "haproxy")
    if folder:
        found["TEST_DATABASE_URL"] = stack.enter_context(
            postgres(Path(folder), durable=options.durable)
        )
    if server:
        found["TEST_REDIS_URL"] = stack.enter_context(redis(server))
    return found


def run(command: list[str], variables: dict[str, str]) -> int:
    """Run the command in our own process group, so that Ctrl-C reaches it too; its exit code."""
    with subprocess.Popen(command, env=variables) as process:
        try:
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
    return code if code >= 0 else 128 - code


# --- finding programs ---------------------------------------------------------------------------


def find(look: Callable[[], str], name: str, *packages: str) -> str:
    """Look for a program, install its Debian packages if need be, or exit with the remedy."""
    found = look()
    if not found:
        install(name, packages)
        found = look()
    return found or fail(f"{name} is still not found after installing {' '.join(packages)}.")


def install(name: str, packages: tuple[str, ...]) -> None:
    """Install Debian packages when that asks nobody for a password; exit otherwise."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    may = not root or (shutil.which("sudo") and quiet([*root, "true"]))
    if not shutil.which("apt-get") or not may:
        fail(
            f"{name} is not installed, and the tests need it. On Debian or Ubuntu: sudo apt-get "
            f"install {' '.join(packages)}. On macOS: brew install {name.lower()}."
        )
    print(f"services: installing {' '.join(packages)} ...", file=sys.stderr, flush=True)
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    subprocess.run([*apt, "update"], stdout=sys.stderr, check=False)
    command = [*apt, "install", "-y", "--no-install-recommends", *packages]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        fail(f"apt-get could not install {name}. Install it by hand, then try again.")


def quiet(command: list[str]) -> bool:
    """Whether a command succeeds, without showing what it says."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def postgres_folder() -> str:
    """The folder of the newest PostgreSQL server; PATH comes last, where wrappers live."""
    roots = [folder for pattern in POSTGRES_FOLDERS for folder in Path("/").glob(pattern[1:])]
    folders = sorted(roots, key=lambda folder: version(str(folder)), reverse=True)
    on_path = shutil.which("postgres")
    folders += [Path(on_path).resolve().parent] if on_path else []
    complete = (
        str(folder)
        for folder in folders
        if all((folder / program).exists() for program in POSTGRES_PROGRAMS)
    )
    return next(complete, "")


def version(text: str) -> tuple[int, ...]:
    """The numbers in a path, for "15" to sort after "9.6"."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def redis_program() -> str:
    """A server that speaks Redis."""
    return shutil.which("redis-server") or shutil.which("valkey-server") or ""


def haproxy_program() -> str:
    """The proxy named by HAPROXY, on PATH, or where Debian puts it."""
    named = os.environ.get("HAPROXY") or "haproxy"
    return shutil.which(named) or shutil.which("haproxy", path="/usr/sbin") or ""


def chromium_program() -> str:
    """The browser named by CHROMIUM, on PATH, or among the applications of a Mac."""
    named = os.environ.get("CHROMIUM", "")
    names = [named] if named else [*CHROMIUM_NAMES, *CHROMIUM_APPS]
    return next(filter(None, map(shutil.which, names)), "")


# --- servers --------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgres(programs: Path, *, durable: bool = False) -> Iterator[str]:
    """A fresh PostgreSQL cluster; yields the URL of an empty database owned by a superuser.

    Unless it is to be `durable`, it leaves the disk to the kernel: whatever is killed, the kernel
    lives on, and tests that empty tables all the time are done in half the time.
    """
    user = unprivileged_user()
    with folder_for("hitl-postgres-", user) as folder:
        data = folder / "data"
        initdb(programs, data, user)
        for port in free_ports():
            command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder)]
            settings = ["-h", "127.0.0.1", "-p", str(port), "-c", "max_connections=200"]
            settings += [] if durable else NOT_DURABLE
            with server([*command, *settings], folder / "log", user, signal.SIGINT) as process:
                if until(partial(postgres_is_ready, data), process):
                    yield f"postgres://{ROLE}@127.0.0.1:{port}/{DATABASE}"
                    return
        fail(f"PostgreSQL did not start:\n{(folder / 'log').read_text()[-2000:]}")


def initdb(programs: Path, data: Path, user: str | None) -> None:
    """Make the cluster and, in single-user mode before any server runs, our database."""
    options = ["-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C"]
    as_user([str(programs / "initdb"), "-D", str(data), *options], user)
    single = [str(programs / "postgres"), "--single", "-D", str(data), "postgres"]
    as_user(single, user, text=f"CREATE DATABASE {DATABASE}\n")


def as_user(command: list[str], user: str | None, *, text: str = "") -> None:
    """Run a step of the preparation, and show what it said only when it failed."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, **process_options(user)
    )
    if done.returncode:
        fail(f"{Path(command[0]).name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def postgres_is_ready(data: Path) -> bool:
    """Whether the server has written "ready" to the last line of its pid file."""
    with contextlib.suppress(OSError, IndexError):
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    return False


@contextlib.contextmanager
def redis(program: str) -> Iterator[str]:
    """An empty Redis that writes nothing to disk; yields its URL."""
    with folder_for("hitl-redis-", None) as folder:
        for port in free_ports():
            command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
            memory_only = ["--save", "", "--appendonly", "no"]
            with server([*command, *memory_only], folder / "log", None, signal.SIGTERM) as process:
                if until(partial(answers, port, process.pid), process):
                    yield f"redis://127.0.0.1:{port}/0"
                    return
        fail(f"Redis did not start:\n{(folder / 'log').read_text()[-2000:]}")


def answers(port: int, pid: int) -> bool:
    """Whether the Redis at this port is the one we started."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
    ):
        connection.sendall(b"INFO server\r\n")
        return b"process_id:%d\r\n" % pid in connection.recv(65536)
    return False


def process_options(user: str | None) -> dict[str, Any]:
    """Another user with his own group only, and nothing of our environment to steer a server."""
    options: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
    if user:
        options |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    return options


@contextlib.contextmanager
def server(
    command: list[str], log: Path, user: str | None, stop: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, so that Ctrl-C leaves its end to us, after the tests'."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, **process_options(user)
        )
    try:
        yield process
    finally:
        end(process, stop)


def end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    """Stop a server, by force if it does not follow."""
    if process.poll() is None:
        process.send_signal(stop)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Wait until a server is ready; False as soon as it has ended or taken too long."""
    give_up = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        if ready():
            return True
        time.sleep(0.05)
    return False


def free_ports() -> Iterator[int]:
    """Some loopback ports that nobody used a moment ago."""
    for _ in range(PORT_ATTEMPTS):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        yield port


@contextlib.contextmanager
def folder_for(prefix: str, user: str | None) -> Iterator[Path]:
    """A private temporary folder, handed to `user` and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if user:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged_user() -> str | None:
    """Whom to run PostgreSQL as, which refuses root; None for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    users = (name for name in ("postgres", "nobody") if name in known)
    return next(users, None) or fail("PostgreSQL refuses to run as root: add a user `postgres`.")


def fail(message: str) -> NoReturn:
    """Say what is wrong and leave."""
    print(f"services: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
