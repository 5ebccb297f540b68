#!/usr/bin/env python3
"""Measure what it costs to let thousands wait, and how fast they are woken.

    python scripts/services.py --postgres --redis -- python -m bench.waiting \\
        [--polls 5000] [--sockets 1000] [--report docs/waiting.md]

As in production, one process of the role `live` holds everybody who waits, and the role `web`
takes the decisions; the crowd is a process of its own. Requests are decided over the API, one at a
time and 32 at a time. The time is taken from the moment that the decision carries (before its
commit) to the last byte at whoever waits. Exit code 1 where somebody was not told.
TEST_DATABASE_URL names an empty database.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import django
import psycopg

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "waiting.md"
TEAMS = 10
ALONE, ROUNDS, TOGETHER = 100, 10, 32
IDLE_SECONDS = 30
# A session of PostgreSQL that has fallen idle reports what it did before after ten.
SETTLE_SECONDS = 12
PATIENCE_SECONDS = 60
TEXT = """\
# Waiting: {polls:,} long polls and {sockets:,} sockets at once

Written by `make bench-waiting`; the code is in `bench/`. One process of the role `live` holds
them all, the role `web` takes the decisions; {processors} processors for these, PostgreSQL, Redis,
the crowd and all else on the machine (load average {load:.1f} at the beginning). {teams} teams,
each with an agent; every long poll waits for a request of its own
(`GET /api/v1/workflows/{{id}}?wait=60`), every socket (`/ws/v1/events/`) hears its team's
decisions.

| what | figure |
| --- | --- |
| memory of `live` before, with the long polls, with the sockets too | \
{before:.0f} MB, {with_polls:.0f} MB, {with_sockets:.0f} MB |
| memory for a long poll, for a socket | {poll_kb:.0f} kB, {socket_kb:.0f} kB |
| threads of `live` before, with everybody waiting | {threads_before}, {threads} |
| transactions in the database a second while nothing happens | {queries:.1f}, {asked:.1f} of them \
for polls that asked again |
| share of one processor that `live` takes while nothing happens | {processor:.0f} % |

A long poll ends after 60 seconds and is asked again: that, and not the waiting, is what costs
queries.

| woken by | who | told | p50 | p99 | slowest |
| --- | --- | --- | --- | --- | --- |
{rows}

From the moment that the decision carries to the last byte at the client. A decision wakes its long
poll and {fan_out} sockets.
"""


@dataclass(frozen=True)
class Ports:
    """Where the two roles listen."""

    web: int
    live: int


@dataclass
class Place:
    """What stands in the database before the crowd comes."""

    keys: list[str]
    requests: list[tuple[str, str]]  # path, fingerprint
    token: str


def main() -> int:
    """Play it and write the report; 0 when everybody was told."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    ports = Ports(web=_free_port(), live=_free_port())
    _prepare(ports)
    place = _fill(options.polls)
    with _role("web", ports.web), _role("live", ports.live) as live:
        figures = asyncio.run(_measure(options, ports, live, place))
    options.report.write_text(TEXT.format(**figures))
    print(options.report.read_text())
    return int(figures["missed"] > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="waiting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--polls", type=int, default=5000)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--report", type=Path, default=REPORT, help="where to write")
    return parser


# --- What is there before ----------------------------------------------------------------------


def _prepare(ports: Ports) -> None:
    """Point this process and its children at the stores; make the tables."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "hitl.settings",
        "DATABASE_URL": os.environ["TEST_DATABASE_URL"],
        "REDIS_URL": os.environ["TEST_REDIS_URL"],
        "PUBLIC_URL": f"http://localhost:{ports.web}",
        "ALLOWED_HOSTS": "localhost",
        "RATE_LIMIT_API": "off",  # what is asked here is asked on purpose
        "SECRET_KEY": "secret-key-of-the-bench-0123456789abcdef-0123456789",
        "JWT_SECRET": "jwt-secret-of-the-bench-0123456789abcdef",
        "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLWJlbmNoLTAxMjM0NTY",
    }
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _fill(number: int) -> Place:
    """Teams with an agent each, and a request for every long poll."""
    from hitl.accounts.models import Agent, Membership, Role, Team, User
    from hitl.accounts.services import issue_key, issue_user_token
    from workflows import services
    from workflows.inputs import NewWorkflow

    ann = User.objects.create_user("ann@example.com", name="Ann")
    agents = []
    for index in range(TEAMS):
        team = Team.objects.create(name=f"Team {index}", slug=f"team-{index}")
        Membership.objects.create(team=team, user=ann, role=Role.APPROVER)
        agents.append(Agent.objects.create(team=team, name="refund-bot"))
    requests = []
    for turn in range(number):
        made = services.create(
            agents[turn % TEAMS], NewWorkflow("payments.refund", {"amount": turn})
        )
        requests.append((f"/api/v1/workflows/{made.pk}", made.fingerprint))
    return Place([issue_key(agent)[1] for agent in agents], requests, issue_user_token(ann))


@contextlib.contextmanager
def _role(name: str, port: int) -> Iterator[int]:
    """A server of that role; its process id. Raises RuntimeError where it does not come up."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", name],
        cwd=ROOT,
        env=os.environ | {"PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(name, port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(name: str, port: int) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        with (
            contextlib.suppress(OSError),
            urlopen(f"http://localhost:{port}/ping", timeout=1) as answer,
        ):
            if answer.read() == b"pong":
                return
        time.sleep(0.2)
    raise RuntimeError(f"the role {name} did not come up")


# --- The measurement ---------------------------------------------------------------------------


async def _measure(
    options: argparse.Namespace, ports: Ports, live: int, place: Place
) -> dict[str, Any]:
    load = os.getloadavg()[0]
    decider = _Decider(ports.web, place.token)
    spare = min(ALONE + ROUNDS * TOGETHER, options.polls)
    await _warm_up(ports.live, place)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as plan:
        polls = [[path, place.keys[turn % TEAMS]] for turn, (path, _) in enumerate(place.requests)]
        sockets = [place.keys[turn % TEAMS] for turn in range(options.sockets)]
        json.dump({"port": ports.live, "polls": polls, "sockets": sockets}, plan)
        plan.flush()
        crowd = await _Crowd.start(plan.name)
        try:
            before = _memory(live), _threads(live)
            await crowd.tell("polls")
            with_polls = _memory(live)
            await crowd.tell("sockets")
            with_sockets, threads = _memory(live), _threads(live)
            idle = await _idle(live, crowd)
            todo = iter(place.requests[:spare])
            rows, missed = [], 0
            for name, rounds, width in (("one", ALONE, 1), ("32", ROUNDS, TOGETHER)):
                polls_heard, sockets_heard = [], []
                for _ in range(rounds):
                    some = [request for _, request in zip(range(width), todo, strict=False)]
                    await asyncio.gather(*(decider.decide(*request) for request in some))
                    wanted = len(some), len(some) * options.sockets // TEAMS
                    heard = await crowd.hear(*wanted)
                    polls_heard += heard["polls"]
                    sockets_heard += heard["sockets"]
                    missed += wanted[0] - len(heard["polls"])
                    missed += wanted[1] - len(heard["sockets"])
                title = "one decision at a time" if name == "one" else "32 decisions at a time"
                rows.append(_row(title, "long polls", polls_heard))
                rows.append(_row(title, "sockets", sockets_heard))
        finally:
            await crowd.stop()
    return idle | {
        "polls": options.polls,
        "sockets": options.sockets,
        "teams": TEAMS,
        "fan_out": options.sockets // TEAMS,
        "processors": os.cpu_count(),
        "load": load,
        "before": before[0] / 1e6,
        "threads_before": before[1],
        "threads": threads,
        "with_polls": with_polls / 1e6,
        "with_sockets": with_sockets / 1e6,
        "poll_kb": (with_polls - before[0]) / max(1, options.polls) / 1e3,
        "socket_kb": (with_sockets - with_polls) / max(1, options.sockets) / 1e3,
        "rows": "\n".join(rows),
        "missed": missed,
    }


class _Crowd:
    """The process of those who wait."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, plan: str) -> "_Crowd":
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "bench.crowd", plan]
        return cls(
            await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdin=pipe, stdout=pipe, limit=2**26
            )
        )

    async def tell(self, word: str) -> dict[str, Any]:
        """Have it do that; what it has heard since the last time."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the crowd has no ears")
        self._process.stdin.write(f"{word}\n".encode())
        found: dict[str, Any] = json.loads(await self._process.stdout.readline())
        if found["broken"]:
            raise RuntimeError(f"{found['broken']} answers are not what they should be")
        return found

    async def hear(self, polls: int, sockets: int) -> dict[str, Any]:
        """What so many have heard, or what there is when patience is over."""
        heard: dict[str, Any] = {"polls": [], "sockets": []}
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            await asyncio.sleep(0.05)
            found = await self.tell("take")
            for name in heard:
                heard[name] += found[name]
            if len(heard["polls"]) >= polls and len(heard["sockets"]) >= sockets:
                break
        return heard

    async def stop(self) -> None:
        """Send everybody home."""
        self._process.kill()
        await self._process.wait()


class _Decider:
    """A person who decides over the API."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token

    async def decide(self, path: str, fingerprint: str) -> None:
        body = json.dumps({"decision": "approved", "fingerprint": fingerprint}).encode()
        answer = await _request(self._port, "POST", f"{path}/decide", self._token, body)
        if b" 200 " not in answer[:15]:
            raise RuntimeError(answer.decode())


async def _request(port: int, method: str, path: str, token: str, body: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )
    try:
        return await reader.read()
    finally:
        writer.close()


async def _warm_up(port: int, place: Place) -> None:
    """Let the server load what it needs, so that its memory is not taken for the crowd's."""
    for path, _ in place.requests[:20]:
        for turn in range(TEAMS):
            await _request(port, "GET", path, place.keys[turn])


async def _idle(live: int, crowd: _Crowd) -> dict[str, float]:
    """What happens while nothing happens."""
    await asyncio.sleep(SETTLE_SECONDS)
    await crowd.tell("take")
    began, transactions, seconds = time.monotonic(), _transactions(), _processor_seconds(live)
    await asyncio.sleep(IDLE_SECONDS)
    taken = time.monotonic() - began
    asked = (await crowd.tell("take"))["asked"]
    return {
        "queries": (_transactions() - transactions) / taken,
        "asked": asked / taken,
        "processor": 100 * (_processor_seconds(live) - seconds) / taken,
    }


def _transactions() -> int:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(1.2)")  # sessions report once a second
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(
            "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database "
            "WHERE datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0


def _memory(process: int) -> int:
    return _status(process, "VmRSS:") * 1024


def _threads(process: int) -> int:
    return _status(process, "Threads:")


def _status(process: int, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _row(title: str, who: str, seconds: list[float]) -> str:
    ordered = sorted(seconds) or [0.0]
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99))
    times = " | ".join(f"{1000 * each:.0f} ms" for each in (p50, p99, ordered[-1]))
    return f"| {title} | {who} | {len(seconds):,} | {times} |"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
