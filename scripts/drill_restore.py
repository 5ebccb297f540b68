#!/usr/bin/env python3
"""Drill: a backup is restored after more has been carried out, and nothing happens twice.

    python scripts/services.py --postgres --redis -- python -m scripts.drill_restore \\
        [--requests 4] [--rounds stopped,beneath]

Web, worker and beat run for real, with traffic, while pg_dump reads. Then more is decided and
carried out, and the dump is put back: into a new database of stopped roles (`stopped`), or over the
tables of roles that go on working (`beneath`). What was carried out is known from the ledgers of
stand-ins that use nothing of the server's. Exit code 1 where anything ran twice, was sent before
somebody had said what happened, or was lost after it was acknowledged.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from scripts.drill_server import AGENT, KINDS, ROOT_USER, Ledgers, Server

SWEEPS_SECONDS = 12.0  # longer than every sweep that could fire something
ROUNDS = ("stopped", "beneath")
SETTLED = ("COMPLETED", "FAILED", "REJECTED", "TIMEOUT", "CANCELLED")
REASON = "The ledger of the executor says so."


@dataclass
class Outcome:
    """What one round has shown."""

    name: str
    waited: int = 0
    executed: int = 0
    lost: int = 0
    refused: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, sentence: str) -> None:
        """Note what should have been otherwise."""
        if not is_so:
            self.problems.append(sentence)

    def __str__(self) -> str:
        return (
            f"{self.name:<8} {self.waited:>4} waited for people, {self.executed} of them had been "
            f"carried out; {self.lost} were younger than the backup; agents refused {self.refused} "
            f"times; {self.seconds:.0f} s; problems: {len(self.problems)}"
        )


def main() -> int:
    """Play the rounds; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4, help="of each kind and state")
    parser.add_argument("--rounds", default=",".join(ROUNDS), help="which, with commas")
    options = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="hitl-drill-") as folder, Ledgers.open() as ledgers:
        server = Server(os.environ["TEST_DATABASE_URL"], os.environ["TEST_REDIS_URL"], ledgers)
        try:
            server.prepare()
            for name in options.rounds.split(","):
                outcome = play(name, server, ledgers, Path(folder) / name, options.requests)
                outcomes.append(outcome)
                print(outcome, flush=True)
        finally:
            server.kill()
    problems = [f"{each.name}: {problem}" for each in outcomes for problem in each.problems]
    print("\n".join(problems) or "Nothing ran twice, nothing that was acknowledged is lost.")
    return int(bool(problems))


def play(name: str, server: Server, ledgers: Ledgers, dump: Path, number: int) -> Outcome:
    """One backup, one restore, and everything afterwards."""
    outcome, began = Outcome(name), time.monotonic()
    states = _before(server, ledgers, number)
    with _traffic(server, ledgers) as passing:
        server.dump(dump)
        server.start("worker")
        _after(server, ledgers, states)
        time.sleep(1)
    known = [*passing, *(each for group in states.values() for each in group)]
    _until(lambda: all(server.status(each) in SETTLED for each in states["approved by server"]))
    executed = set(ledgers.runs())
    _restore(name, server, dump)
    _keep_still(outcome, server, ledgers, known)
    _reconcile(outcome, server, executed)
    _go_on(outcome, server, ledgers, known, number)
    outcome.seconds = time.monotonic() - began
    return outcome


def _before(server: Server, ledgers: Ledgers, number: int) -> dict[str, list[str]]:
    """Requests in every state in which a backup can meet them."""
    agents = {
        state: [server.create(AGENT) for _ in range(number)]
        for state in ("approved", "approved, left", "started", "started, left", "asked, left")
    }
    for state, rows in agents.items():
        for row in rows:
            if not state.startswith("asked"):
                server.decide(row)
            if state.startswith("started"):
                server.begin(row)
    done = [server.create(kind) for kind in KINDS]
    for row in done:
        server.decide(row)
    server.carry_out(done[0], ledgers)
    _until(lambda: all(server.status(row) in SETTLED for row in done))
    server.stop("worker")  # so that the server's own actions stand as APPROVED in the backup
    own = [server.create(kind) for kind in KINDS[1:] for _ in range(number)]
    for row in own:
        server.decide(row)
    asked = [server.create(kind) for kind in KINDS for _ in range(number)]
    left = [server.create(kind) for kind in KINDS for _ in range(number)]
    return agents | {
        "done": done, "approved by server": own, "asked": asked, "asked, left by all": left,
    }  # fmt: skip


def _after(server: Server, ledgers: Ledgers, states: dict[str, list[str]]) -> None:
    """What the backup does not know: decided, carried out, reported."""
    for row in states["approved"]:
        server.carry_out(row, ledgers)
    for row in states["started"]:
        ledgers.note(row)
        server.report(row)
    for row in states["asked"]:
        server.decide(row)
        if server.kinds[row] == AGENT:
            server.carry_out(row, ledgers)
    _until(lambda: all(server.status(row) in SETTLED for row in states["asked"]))


@contextmanager
def _traffic(server: Server, ledgers: Ledgers) -> Iterator[list[str]]:
    """Whole lives, one after the other, while the backup is taken."""
    rows: list[str] = []
    over = Event()

    def live() -> None:
        while not over.is_set():
            row = server.create(AGENT)
            rows.append(row)
            server.decide(row)
            server.carry_out(row, ledgers)

    thread = Thread(target=live)
    thread.start()
    try:
        yield rows
    finally:
        over.set()
        thread.join(120)


def _restore(name: str, server: Server, dump: Path) -> None:
    if name == "stopped":
        server.stop_all()
        server.recreate_database()
        server.load(dump)
        server.start_all()
    else:
        server.load(dump, over=True)


def _keep_still(outcome: Outcome, server: Server, ledgers: Ledgers, known: list[str]) -> None:
    """Until people have spoken, nothing leaves, whatever agents, sweeps and people do."""
    before = ledgers.everything()
    there = [row for row in known if server.exists(row)]
    outcome.lost = len(known) - len(there)
    open_ones = [row for row in there if server.status(row) not in SETTLED]
    outcome.expect(bool(open_ones), "the backup has nothing that was under way")
    for row in open_ones:
        if server.kinds[row] == AGENT:
            code = server.begin(row)
            outcome.refused += code == "reconciling"
            outcome.expect(code == "reconciling", f"an agent was told {code!r} about {row}")
    for row in open_ones[-3:]:  # people may decide; it has no consequences yet
        if server.status(row) == "PENDING":
            server.decide(row)
    time.sleep(SWEEPS_SECONDS)
    for what, count in ledgers.everything().items():
        outcome.expect(count == before[what], f"{what} went from {before[what]} to {count}")


def _reconcile(outcome: Outcome, server: Server, executed: set[str]) -> None:
    """An administrator says what the ledgers say."""
    waiting = server.waiting()
    outcome.waited = len(waiting)
    truly = [row for row in waiting if row in executed]
    outcome.executed = len(truly)
    outcome.expect(bool(truly), "nothing had been carried out after the backup")
    said = ("--as", ROOT_USER, "--reason", REASON)
    early = server.manage("reconcile", "--end", "--as", ROOT_USER, check=False)
    outcome.expect(early.returncode == 1, "it could be ended before anybody had said anything")
    server.manage("reconcile", "--executed", *truly, *said)
    server.manage("reconcile", "--not-executed", "all", *said)
    for row in truly:
        outcome.expect(server.status(row) == "COMPLETED", f"{row} is {server.status(row)}")
        told = [each for each in server.events(row) if each["type"] == "workflow.reconciled"]
        reasons = [each["data"]["reason"] for each in told]
        outcome.expect(reasons == [REASON], f"{row} has {reasons} on record")
    server.manage("reconcile", "--end", "--as", ROOT_USER)


def _go_on(
    outcome: Outcome, server: Server, ledgers: Ledgers, known: list[str], number: int
) -> None:
    """What is left gets done, what is new too, and the books are closed."""
    there = [row for row in known if server.exists(row)]
    fresh = [server.create(kind) for kind in KINDS for _ in range(number)]
    for row in (*there, *fresh):
        if server.status(row) == "PENDING":
            server.decide(row)
        if server.kinds[row] == AGENT and server.status(row) == "APPROVED":
            server.carry_out(row, ledgers)
    every = (*there, *fresh)
    _until(lambda: all(server.status(row) in SETTLED for row in every))
    runs = ledgers.runs()
    for row in every:
        status, count = server.status(row), runs[row]
        wanted = 1 if status == "COMPLETED" else 0
        outcome.expect(count == wanted, f"{row} ({server.kinds[row]}, {status}) ran {count} times")
    for row in fresh:
        outcome.expect(server.status(row) == "COMPLETED", f"{row} was asked after it and is lost")
    twice = [row for row, count in runs.items() if count > 1]
    outcome.expect(not twice, f"ran twice: {', '.join(twice)}")
    for command in ("verify", "check_state"):
        said = server.manage(command, check=False)
        outcome.expect(said.returncode == 0, f"{command}: {said.stdout[-500:]}{said.stderr[-500:]}")


def _until(is_so: Any, seconds: float = 600) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > give_up:
            raise SystemExit("drill: it took too long; the roles do not do their work")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
