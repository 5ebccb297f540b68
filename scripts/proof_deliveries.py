#!/usr/bin/env python3
"""Prove that no delivery gets lost while a provider fails half of the time.

    python scripts/services.py --postgres --redis -- python -m scripts.proof_deliveries \\
        [--requests 1000] [--report docs/deliveries-proof.md]

One round for each provider: it fails every second call, the others are well. The stand-ins of the
providers are real servers, one beat and one worker are real processes, the requests come from the
real use case. Afterwards everything the service believes is held against the stand-ins' ledgers;
exit code 1 where something does not add up. TEST_DATABASE_URL names an empty database.
"""

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import django

from scripts import proof_judge, proof_report
from scripts.proof_judge import Round
from scripts.proof_providers import CHANNELS, Providers

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 8
SHARE = 0.5
SEED = 2026
STOP_SECONDS = 30
ROLES = {
    "worker": ("worker", "--pool=prefork", f"--concurrency={WORKERS}", "--loglevel=WARNING"),
    "beat": ("beat", "--pidfile=", "--loglevel=WARNING"),
}


def main() -> int:
    """Play every round and write the report; 0 when every count adds up."""
    options = _parser().parse_args()
    # Turned into an exception, a polite kill still ends the worker and the beat.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    rounds = []
    with Providers().running() as providers:
        _prepare(providers)
        for number, failing in enumerate(CHANNELS):
            providers.begin(failing, share=SHARE, seed=SEED + number)
            rounds.append(_play(providers, options.requests))
            told = [f"{failing}: {rounds[-1].seconds:.0f} s", *rounds[-1].problems[:20]]
            print("\n".join(told), flush=True)
    proof_report.write(rounds, options.report, requests=options.requests, workers=WORKERS)
    print(f"written to {options.report}")
    return int(any(each.problems for each in rounds))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proof_deliveries",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=1000, help="in each round")
    parser.add_argument("--report", type=Path, default=proof_report.REPORT, help="where to write")
    return parser


def _prepare(providers: Providers) -> None:
    """Point this process and its children at the stores and the stand-ins; make the tables."""
    os.environ |= providers.settings | {
        "DJANGO_SETTINGS_MODULE": "scripts.proof_settings",
        "DATABASE_URL": os.environ["TEST_DATABASE_URL"],
        "REDIS_URL": os.environ["TEST_REDIS_URL"],
        "PUBLIC_URL": "https://approvals.example.com",
        "ALLOWED_HOSTS": "approvals.example.com",
        "SECRET_KEY": "secret-key-of-the-proof-0123456789abcdef-0123456789",
        "JWT_SECRET": "jwt-secret-of-the-proof-0123456789abcdef",
        "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXByb29mLTAxMjM0NTY",
        "DELIVERY_FIRST_RETRY_SECONDS": "1",
    }
    django.setup()
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # the mail server tells all it hears
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _play(providers: Providers, requests: int) -> Round:
    """One round: ask, wait until all is settled, judge."""
    from scripts import proof_rows as rows  # needs the app registry

    team = rows.make_team(providers)
    started = time.monotonic()
    with _roles():
        rows.ask(team, requests)
        rows.wait_until_settled(team)
        seconds = time.monotonic() - started
    counts: list[proof_judge.Count] = []
    problems: list[str] = []
    for channel in CHANNELS:
        believed = rows.read(team, channel)
        known = providers.ledger(channel)
        counts.append(proof_judge.count(channel, believed, known))
        problems += proof_judge.problems(
            channel, believed, known, wanted=requests, fails=channel == providers.failing
        )
    return Round(providers.failing, seconds, counts, problems)


@contextlib.contextmanager
def _roles() -> Iterator[None]:
    """One worker and one beat for as long as the context lasts."""
    celery = [sys.executable, "-m", "celery", "-A", "scripts.proof_worker"]
    with contextlib.ExitStack() as stack:
        for arguments in ROLES.values():
            process = subprocess.Popen([*celery, *arguments], cwd=ROOT, start_new_session=True)
            stack.callback(_end, process)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it finish what it does; by force, children included, if it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
