"""Writes what the proof of the deliveries counted to docs/deliveries-proof.md."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

from scripts.proof_judge import Count, Round
from tests.standins.faulty import FAULTS

REPORT = Path(__file__).resolve().parent.parent / "docs" / "deliveries-proof.md"
NAMES = {"slack": "Slack", "email": "e-mail", "sms": "SMS"}
HEAD = """\
# Proof: deliveries while a provider fails half of the time

Written by `make proof-deliveries` on {date}; the code is `scripts/proof_deliveries.py`.

{requests:,} requests in each round, each to one person over Slack, mail and SMS at once, make
{deliveries:,} deliveries. Real PostgreSQL and Redis, one beat and one worker with {workers}
processes; {processors} processors for all of it, the stand-ins of the providers included. The
failing provider fails every second call, at random and in one of four ways: it answers 500 (SMTP:
451), it answers 429 with `Retry-After: 1` (SMTP: 450), it never answers, or it takes the message
and cuts the connection. Time is scaled: the first retry comes after 1 s instead of 120 s, a silent
provider is given up after 2 s instead of 5 to 20 s, sweeps run every second instead of every five;
six attempts, as always.

What has to add up, and is checked for every round:

* every delivery is settled: sent, delivered, or failed after its last attempt; none is claimed;
* whatever is called sent is in the provider's own ledger, and is recorded by one event;
* the number of attempts on the rows is the number of attempts that the provider saw;
* the two providers that are well get each message once, at the first attempt.

"""
FOOT = """\

*Taken* counts the messages in the provider's ledger. One is taken *twice* where the provider took
it, cut the connection, and has neither an idempotency key nor a way to look for it: mail, whose
copies have one `Message-ID`, and SMS. Slack is asked first whether the message is there, so it
never has two; that look is part of the attempt, so an attempt can be more than one call. A delivery
that *failed* had no success in six attempts (one in 64 at these odds; more often in Slack, where
every call of an attempt can fail); the person's other two channels had been used. Where one of the
six was taken and cut off, the message is there all the same: *unheard*.
"""


def write(rounds: list[Round], path: Path, *, requests: int, workers: int) -> None:
    """Replace the report."""
    head = HEAD.format(
        date=f"{dt.datetime.now(dt.UTC):%d %B %Y}",
        requests=requests,
        deliveries=3 * requests,
        workers=workers,
        processors=os.cpu_count(),
    )
    path.write_text(head + "\n".join(line for each in rounds for line in _round(each)) + FOOT)


def _round(played: Round) -> Iterator[str]:
    yield f"## {NAMES[played.failing]} fails"
    yield ""
    verdict = "; ".join(played.problems) or "every count adds up"
    yield f"Settled after {played.seconds:.0f} s: {verdict}."
    yield ""
    faults = " | ".join(FAULTS)
    yield f"| channel | sent | failed | attempts | well | {faults} | taken | twice | unheard |"
    yield "| --- " * (8 + len(FAULTS)) + "|"
    for counted in played.counts:
        yield _line(counted)
    yield ""


def _line(counted: Count) -> str:
    sent = counted.rows["sent"] + counted.rows["delivered"]
    numbers = [sent, counted.rows["failed"], counted.attempts, counted.fates["well"]]
    numbers += [counted.fates[fault] for fault in FAULTS]
    numbers += [counted.accepted, counted.twice, counted.unheard]
    return f"| {NAMES[counted.channel]} | " + " | ".join(f"{n:,}" for n in numbers) + " |"
