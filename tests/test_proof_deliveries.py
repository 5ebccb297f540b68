"""The proof of the deliveries: its judge on cooked books, and the whole of it on a few requests."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.proof_judge import Ledger, Row, count, problems
from tests.embedded import ROOT
from tests.roles import empty_database

SENT = Row("7", "sent", 2, "id-7", events=Counter({"approval.sent.sms": 1}))
LOST = Row("8", "failed", 6, "", events=Counter({"delivery.failed": 1}))
BOOKS = Ledger([("id-6", "7"), ("id-7", "7"), ("id-8", "8")], 8, Counter(well=1))


def judged(rows: list[Row], ledger: Ledger = BOOKS, **changes: Any) -> list[str]:
    """What the judge says of text messages."""
    known: dict[str, Any] = {"wanted": len(rows), "fails": True} | changes
    return list(problems("sms", rows, ledger, **known))


def test_books_that_add_up() -> None:
    assert judged([SENT, LOST]) == []
    counted = count("sms", [SENT, LOST], BOOKS)
    assert (counted.attempts, counted.accepted, counted.twice, counted.unheard) == (8, 3, 1, 1)
    assert counted.rows == {"sent": 1, "failed": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "pending"}, "not settled (pending)"),
        ({"status": "cancelled"}, "not settled (cancelled)"),
        ({"is_claimed": True}, "still claimed"),
        ({"provider_id": "id-8"}, "not in the provider's ledger"),
        ({"provider_id": ""}, "not in the provider's ledger"),
        ({"attempts": 3}, "9 attempts on the rows, 8 at the provider"),
        ({"events": Counter()}, "events {}"),
        ({"events": Counter({"approval.sent.sms": 2})}, "{'approval.sent.sms': 2}"),
        ({"key": "9"}, "1 messages that no row wanted"),
    ],
)
def test_row_that_does_not_add_up(changes: dict[str, Any], says: str) -> None:
    assert says in "\n".join(judged([replace(SENT, **changes), LOST]))


def test_rows_missing_or_double() -> None:
    assert "2 deliveries instead of 3" in judged([SENT, LOST], wanted=3)[0]
    assert "2 deliveries instead of 2" in judged([SENT, SENT], wanted=2)[0]


def test_provider_that_was_well_hears_everything_once() -> None:
    once = Ledger([("id-7", "7")], 1, Counter(well=1))
    assert judged([replace(SENT, attempts=1)], once, fails=False) == []
    assert "2 attempts and 1 copies" in judged([SENT], replace(once, attempts=2), fails=False)[0]


def test_provider_that_is_asked_first_has_nothing_twice() -> None:
    found = replace(BOOKS, attempts=7, answered=frozenset())
    assert judged([SENT, LOST], found) == ["sms: messages were posted twice"]
    assert judged([SENT, LOST], replace(found, taken=[("id-7", "7"), ("id-8", "8")])) == []


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_a_few_requests_for_real(tmp_path: Path) -> None:
    report = tmp_path / "proof.md"
    redis = os.environ["TEST_REDIS_URL"].removesuffix("/0") + "/6"
    command = [sys.executable, "-m", "scripts.proof_deliveries", "--requests=4"]
    with empty_database() as url:
        variables = {"PATH": os.environ["PATH"], "TEST_DATABASE_URL": url, "TEST_REDIS_URL": redis}
        done = subprocess.run(
            [*command, f"--report={report}"],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert report.read_text().count("every count adds up") == 3
