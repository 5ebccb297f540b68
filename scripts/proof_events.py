#!/usr/bin/env python3
"""Prove that followers of the feed hear every event once, while everything around them is killed.

    python scripts/services.py --postgres -- python -m scripts.proof_events \\
        [--events 100000] [--report docs/events-proof.md]

Writers commit out of order; two web servers, a worker and a Redis of our own are killed with
SIGKILL at random and started again. Followers that use nothing of the server's code page, poll,
stream, listen on a socket and receive webhooks. At the end each ledger is held against the log;
exit code 1 where something is missing, doubled, invented or out of order.
TEST_DATABASE_URL names an empty database.
"""

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

from scripts import proof_ledgers
from scripts.proof_ledgers import STREAMS, Verdict
from scripts.proof_writer import TEAM
from scripts.services import redis_program

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "events-proof.md"
WRITERS = 2
WORKFLOWS = 300  # of each writer
LULL, DOWN = (4.0, 12.0), (0.0, 2.0)  # seconds between kills, and until the next start
WEBHOOK_PATIENCE_SECONDS = 1800
TEXT = """\
# Proof: {events:,} events, every follower, everything killed

Written by `make proof-events`; the code is `scripts/proof_events.py`, its followers and its judge
use nothing of the server's.

{writers} writers commit {events:,} events of {workflows:,} requests out of order: transactions
begin long before they write, stay open, hold several requests, are rolled back. Two web servers, a
worker and Redis (which keeps nothing) are killed with SIGKILL at random every {lull[0]:.0f} to
{lull[1]:.0f} seconds and started again up to {down[1]:.0f} seconds later. PostgreSQL stays.
{processors} processors for all of it; {seconds:.0f} s altogether. Killed: {killed}.

| follower | heard | missing | twice | invented | out of order | begun again |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

*page* is `GET /api/v1/events?after=…`, *longpoll* the same with `wait`, *stream* Server-Sent
Events, *socket* the WebSocket; each goes on from its cursor. *webhook* is an endpoint that refuses
one message in twenty and takes as many without answering: {repeated:,} came again and were known by
their `webhook-id`, {forged} had a wrong signature. Webhooks promise no order; receivers have `seq`.
"""


def main() -> int:
    """Play it and write the report; 0 when every follower has every event once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--report", type=Path, default=REPORT, help="where to write")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    redis, hook, *webs = _ports(4)
    _prepare(redis, hook)
    key, secret = _make_team(hook)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hitl-proof-") as name, _roles(redis, webs) as roles:
        folder = Path(name)
        with _followers(folder, webs, key, secret, hook):
            with _chaos(roles) as killed:
                _write(options.events)
            _say("written; waiting for the webhooks")
            _wait_for_webhooks()
            _say("waiting for the followers")
            (folder / "stop").touch()
            (folder / "webhooks-stop").touch()
        facts = proof_ledgers.log(os.environ["DATABASE_URL"])
        verdicts = [proof_ledgers.judge(folder, each, facts) for each in (*STREAMS, "webhook")]
        _report(options.report, verdicts, len(facts), killed, folder, time.monotonic() - started)
    print(options.report.read_text())
    print("\n".join(f"{each.name} last broke on {each.last_break}" for each in verdicts))
    enough = len(facts) >= options.events and sum(killed.values()) > 0
    return int(not enough or not all(each.is_good for each in verdicts))


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _prepare(redis: int, hook: int) -> None:
    """Point this process and its children at the stores; make the tables."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "scripts.proof_settings",
        "DATABASE_URL": os.environ["TEST_DATABASE_URL"],
        "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "PUBLIC_URL": "https://approvals.example.com",
        "ALLOWED_HOSTS": "approvals.example.com,127.0.0.1",
        "RATE_LIMIT_API": "off",  # what is asked here is asked on purpose
        "SECRET_KEY": "secret-key-of-the-proof-0123456789abcdef-0123456789",
        "JWT_SECRET": "jwt-secret-of-the-proof-0123456789abcdef",
        "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXByb29mLTAxMjM0NTY",
        "OUTBOUND_ALLOW": f"127.0.0.1:{hook}",
        "OUTBOUND_ALLOW_HTTP": "on",
        "WEBHOOK_TIMEOUT_SECONDS": "5",
        "LOG_LEVEL": "ERROR",
        "SSL_REDIRECT": "off",  # plain HTTP on loopback
    }
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _make_team(hook: int) -> tuple[str, str]:
    """A team, its agent's key and the secret of its webhook endpoint."""
    from events.webhooks import endpoints
    from hitl.accounts.models import Agent, Membership, Role, Team, User
    from hitl.accounts.services import issue_key

    team = Team.objects.create(name="Proof", slug=TEAM)
    person = User.objects.create_user("ann@example.com")
    Membership.objects.create(team=team, user=person, role=Role.APPROVER)
    agent = Agent.objects.create(team=team, name="refund-bot")
    issued = endpoints.create(team_id=team.pk, url=f"http://127.0.0.1:{hook}/hook")
    return issue_key(agent)[1], issued.secret


@contextlib.contextmanager
def _roles(redis: int, webs: list[int]) -> Iterator[dict[str, "Role"]]:
    """Everything that will be killed, for as long as the context lasts."""
    manage = [sys.executable, "manage.py"]
    celery = [sys.executable, "-m", "celery", "-A", "hitl", "--quiet"]
    keep_nothing = ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
    roles = {
        "redis": Role([redis_program(), "--port", str(redis), *keep_nothing]),
        "web 1": Role([*manage, "serve", "--port", str(webs[0])]),
        "web 2": Role([*manage, "serve", "--port", str(webs[1])]),
        "worker": Role([*celery, "worker", "--concurrency=2", "--loglevel=ERROR"]),
    }
    beat = Role([*celery, "beat", "--pidfile=", "--loglevel=ERROR"])
    try:
        for each in (*roles.values(), beat):
            each.start()
        yield roles
    finally:
        for each in (*roles.values(), beat):
            each.kill()


class Role:
    """A process with its children that can be killed and started again."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """SIGKILL, children included."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextlib.contextmanager
def _followers(folder: Path, webs: list[int], key: str, secret: str, hook: int) -> Iterator[None]:
    """The followers, until they have ended by themselves."""
    addresses = ",".join(f"http://127.0.0.1:{port}" for port in webs)
    options = {"webs": addresses, "key": key, "secret": secret, "port": hook, "folder": folder}
    command = [sys.executable, "scripts/proof_followers.py"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
        process.wait(600)
    finally:
        process.kill()


@contextlib.contextmanager
def _chaos(roles: dict[str, Role]) -> Iterator[Counter[str]]:
    """Kill one after the other, at random, while the context lasts."""
    dice, over = random.Random(2026), threading.Event()  # noqa: S311  # guards nothing
    killed: Counter[str] = Counter()

    def run() -> None:
        while not over.wait(dice.uniform(*LULL)):
            name = dice.choice(sorted(roles))
            roles[name].kill()
            killed[name] += 1
            time.sleep(dice.uniform(*DOWN))
            roles[name].start()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _write(events: int) -> None:
    writers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "scripts.proof_writer"),
                *("--events", str(-(-events // WRITERS))),
                *("--workflows", str(WORKFLOWS)),
                *("--seed", str(number)),
            ],
            cwd=ROOT,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        if writer.wait():
            raise RuntimeError("a writer failed")


def _wait_for_webhooks() -> None:
    """Until every message has been delivered; the schedule's longer pauses are cut short."""
    from django.utils import timezone

    from events.models import WebhookEndpoint, WebhookMessage

    pending = WebhookMessage.objects.filter(status=WebhookMessage.Status.PENDING)
    deadline = time.monotonic() + WEBHOOK_PATIENCE_SECONDS
    while pending.exists() and time.monotonic() < deadline:
        _say(f"{pending.count():,} messages to go")
        pending.filter(claimed_at=None).update(next_attempt_at=timezone.now())
        WebhookEndpoint.objects.update(rests_until=None)
        time.sleep(5)


def _report(
    file: Path,
    verdicts: list[Verdict],
    events: int,
    killed: Counter[str],
    folder: Path,
    seconds: float,
) -> None:
    import json

    told: dict[str, Any] = json.loads((folder / "webhook.json").read_text())
    rows = "\n".join(
        f"| {each.name} | {each.heard:,} | {each.missing} | {each.twice} | {each.invented} "
        f"| {each.out_of_order} | {each.breaks} |"
        for each in verdicts
    )
    text = TEXT.format(
        events=events,
        writers=WRITERS,
        workflows=WRITERS * WORKFLOWS,
        lull=LULL,
        down=DOWN,
        processors=os.cpu_count(),
        seconds=seconds,
        killed=", ".join(f"{name} {count} times" for name, count in sorted(killed.items())),
        rows=rows,
        **told,
    )
    file.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
