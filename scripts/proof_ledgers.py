"""The judge of `proof_events`: the followers' ledgers against the log, read with plain SQL."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import psycopg

STREAMS = ("page", "longpoll", "stream", "socket")
Fact = tuple[str, int, str]  # workflow, number, hash


@dataclass(frozen=True)
class Verdict:
    """What one follower heard."""

    name: str
    heard: int
    missing: int
    twice: int
    invented: int
    out_of_order: int
    breaks: int
    last_break: str

    @property
    def is_good(self) -> bool:
        # Webhooks promise no order: receivers sort by `seq`. The others do.
        order = self.out_of_order if self.name in STREAMS else 0
        return not (self.missing or self.twice or self.invented or order)


def log(database: str) -> set[Fact]:
    """Every event there is."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT workflow_id, seq, hash FROM events_event").fetchall()
    return {(str(workflow), seq, digest) for workflow, seq, digest in rows}


def judge(folder: Path, name: str, facts: set[Fact]) -> Verdict:
    """One follower's ledger against what happened."""
    heard = [_fact(line) for line in (folder / f"{name}.ledger").read_text().splitlines()]
    counts = Counter(heard)
    breaks = folder / f"{name}.breaks"
    told = (breaks.read_text() if breaks.exists() else "").partition(" ")
    return Verdict(
        name=name,
        heard=len(heard),
        missing=len(facts - counts.keys()),
        twice=sum(count - 1 for count in counts.values()),
        invented=len(counts.keys() - facts),
        out_of_order=_out_of_order(heard),
        breaks=int(told[0] or 0),
        last_break=told[2],
    )


def _fact(line: str) -> Fact:
    workflow, seq, digest = line.split()
    return workflow, int(seq), digest


def _out_of_order(heard: list[Fact]) -> int:
    """How often a workflow's event came after a later one of the same workflow."""
    last: defaultdict[str, int] = defaultdict(int)
    wrong = 0
    for workflow, seq, _ in heard:
        wrong += seq < last[workflow]
        last[workflow] = max(last[workflow], seq)
    return wrong
