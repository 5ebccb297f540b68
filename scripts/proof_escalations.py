#!/usr/bin/env python3
"""Prove that requests which all escalate in one second are each handled once; measure how late.

    python scripts/services.py --postgres --redis -- python -m scripts.proof_escalations \\
        [--requests 10000] [--report docs/escalations-proof.md]

The requests come from the real use case; two workers and two beats are real processes. Afterwards
every request must have one step, one event and no gap in its log; exit code 1 otherwise.
TEST_DATABASE_URL names an empty database.
"""

import argparse
import contextlib
import datetime as dt
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "escalations-proof.md"
TEAM = "proof"
MAKERS = 2
HOUR = 3600
LEAD = dt.timedelta(seconds=15)  # the workers and beats are up before the second comes
PATIENCE_SECONDS = 1800
TEXT = """\
# Proof: {requests:,} escalations in one second

Written by `make proof-escalations`; the code is `scripts/proof_escalations.py`.

{requests:,} open requests whose policy escalates after an hour reach that hour in the same second.
Two workers (one process each) and two beats sweep; PostgreSQL and Redis are real; {processors}
processors for all of it. No channel is configured, so that the sweep alone is measured.

| what | count |
| --- | --- |
| requests | {requests:,} |
| steps on record | {steps:,} |
| requests with exactly one step and one `workflow.escalated` | {once:,} |
| requests with a gap in their log, or escalated before their time | {wrong:,} |

Lateness, from the second that the policy says to the transaction that took the step:
first {first:.1f} s, median {median:.1f} s, 99 of 100 within {p99:.1f} s, last {last:.1f} s
({rate:.0f} a second).
"""


def main() -> int:
    """Play it and write the report; 0 when every request was handled once."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    _prepare()
    _make_team()
    share = -(-options.requests // MAKERS)
    spawned = multiprocessing.get_context("spawn")  # a fork would share the connection
    with ProcessPoolExecutor(MAKERS, spawned, initializer=django.setup) as pool:
        list(pool.map(_ask, [share] * MAKERS))
    planned = _let_them_fall_due()
    with _roles():
        _wait()
    found = _judge(planned)
    options.report.write_text(TEXT.format(processors=os.cpu_count(), **found))
    print(options.report.read_text())
    return int(found["once"] != found["requests"] or found["wrong"] > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proof_escalations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--report", type=Path, default=REPORT, help="where to write")
    return parser


def _prepare() -> None:
    """Point this process and its children at the stores; make the tables."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "scripts.proof_settings",
        "DATABASE_URL": os.environ["TEST_DATABASE_URL"],
        "REDIS_URL": os.environ["TEST_REDIS_URL"],
        "PUBLIC_URL": "https://approvals.example.com",
        "ALLOWED_HOSTS": "approvals.example.com",
        "SECRET_KEY": "secret-key-of-the-proof-0123456789abcdef-0123456789",
        "JWT_SECRET": "jwt-secret-of-the-proof-0123456789abcdef",
        "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXByb29mLTAxMjM0NTY",
    }
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _make_team() -> None:
    from hitl.accounts.models import Agent, Membership, Role, Team, User
    from workflows.models import Policy
    from workflows.policies import format as policy_format

    team = Team.objects.create(name="Proof", slug=TEAM)
    people = [User.objects.create_user(f"{name}@example.com") for name in ("ann", "dora")]
    for person in people:
        Membership.objects.create(team=team, user=person, role=Role.APPROVER)
    Agent.objects.create(team=team, name="refund-bot")
    step = {"after": HOUR, "to": {"users": [str(people[1].pk)]}}
    stage = {
        "name": "Ann",
        "need": {"who": {"users": [str(people[0].pk)]}, "count": 1},
        "escalation": [step],
    }
    document = policy_format.normalise({"name": "Refunds", "stages": [stage]})
    Policy.objects.create(team=team, name="Refunds", document=document, is_default=True)


def _ask(number: int) -> int:
    """So many requests, through the use case."""
    from hitl.accounts.models import Agent
    from workflows import services
    from workflows.inputs import NewWorkflow

    agent = Agent.objects.select_related("team").get(team__slug=TEAM)
    for turn in range(number):
        services.create(agent, NewWorkflow("payments.refund", {"amount": turn}))
    return number


def _let_them_fall_due() -> dt.datetime:
    """Let all have been opened at the same moment, an hour before a moment that is near."""
    from hitl.lib.db import database_now
    from workflows.models import Workflow

    planned = database_now() + LEAD
    Workflow.objects.update(
        stage_opened_at=planned - dt.timedelta(seconds=HOUR), next_step_at=planned
    )
    return planned


@contextlib.contextmanager
def _roles() -> Iterator[None]:
    """Two workers and two beats for as long as the context lasts."""
    celery = [sys.executable, "-m", "celery", "-A", "hitl", "--quiet"]
    worker = ("worker", "--pool=prefork", "--concurrency=1", "--loglevel=WARNING")
    with contextlib.ExitStack() as stack:
        for number, arguments in enumerate((worker, worker, ("beat",), ("beat",))):
            own = ("--pidfile=",) if arguments[0] == "beat" else (f"--hostname=w{number}@%h",)
            process = subprocess.Popen([*celery, *arguments, *own], cwd=ROOT)
            stack.callback(_end, process)
        yield


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def _wait() -> None:
    """Until nothing is due any more."""
    from workflows.models import Workflow

    deadline = time.monotonic() + PATIENCE_SECONDS
    while Workflow.objects.filter(next_step_at__isnull=False).exists():
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)


def _judge(planned: dt.datetime) -> dict[str, Any]:
    """What the tables say, read without the code that wrote them."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.id,"
            " (SELECT count(*) FROM workflows_firedstep f WHERE f.workflow_id = w.id),"
            " (SELECT count(*) FROM events_event e WHERE e.workflow_id = w.id"
            "  AND e.type = 'workflow.escalated'),"
            " (SELECT max(e.seq) - count(*) FROM events_event e WHERE e.workflow_id = w.id),"
            " (SELECT min(f.fired_at) FROM workflows_firedstep f WHERE f.workflow_id = w.id)"
            " FROM workflows_workflow w"
        )
        rows = cursor.fetchall()
    late = sorted((fired - planned).total_seconds() for *_, fired in rows if fired)
    return {
        "requests": len(rows),
        "steps": sum(steps for _, steps, *_ in rows),
        "once": sum(steps == 1 and told == 1 for _, steps, told, *_ in rows),
        "wrong": sum(gap != 0 for *_, gap, _ in rows) + sum(each < 0 for each in late),
        "first": late[0],
        "median": late[len(late) // 2],
        "p99": late[int(len(late) * 0.99)],
        "last": late[-1],
        "rate": len(late) / max(late[-1], 0.001),
    }


if __name__ == "__main__":
    sys.exit(main())
