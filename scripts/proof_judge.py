"""Holds what the service believes of its deliveries against what the providers know.

It shares no code with the service: rows and events come as plain facts, the rest from the ledgers.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

SENT = ("sent", "delivered")


@dataclass(frozen=True)
class Row:
    """One delivery as the database has it; `events` counts the types that name it."""

    key: str  # what the provider's ledger knows the message by
    status: str
    attempts: int
    provider_id: str
    is_claimed: bool = False
    events: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Ledger:
    """What one provider knows.

    `taken` is every message it took, as its id and its key. `attempts` is how many of ours it saw;
    `fates` is what it did to the calls. `answered` is given for a provider that is asked whether
    it has a message before that is sent again: the keys of messages whose sender got an answer.
    What else was sent, was found; and nothing may be there twice.
    """

    taken: list[tuple[str, str]]
    attempts: int
    fates: Counter[str]
    answered: frozenset[str] | None = None

    @cached_property
    def known(self) -> frozenset[tuple[str, str]]:
        """`taken`, to look into."""
        return frozenset(self.taken)

    @cached_property
    def copies(self) -> Counter[str]:
        """How often it took each message."""
        return Counter(key for _, key in self.taken)


@dataclass(frozen=True)
class Count:
    """One channel in one round."""

    channel: str
    rows: Counter[str]  # by status
    attempts: int
    fates: Counter[str]
    accepted: int  # messages that the provider took, second copies included
    twice: int  # of these, second copies
    unheard: int  # of these, messages whose row has failed: no answer ever came back


@dataclass(frozen=True)
class Round:
    """All channels, while one of them failed half of the time."""

    failing: str
    seconds: float
    counts: list[Count]
    problems: list[str]


def count(channel: str, rows: list[Row], ledger: Ledger) -> Count:
    """Add up one channel."""
    copies = ledger.copies
    return Count(
        channel=channel,
        rows=Counter(row.status for row in rows),
        attempts=sum(row.attempts for row in rows),
        fates=ledger.fates,
        accepted=len(ledger.taken),
        twice=len(ledger.taken) - len(copies),
        unheard=sum(1 for row in rows if row.status == "failed" and copies[row.key]),
    )


def problems(
    channel: str, rows: list[Row], ledger: Ledger, *, wanted: int, fails: bool
) -> Iterator[str]:
    """What does not add up, a sentence each."""
    copies = ledger.copies
    if len({row.key for row in rows}) != wanted or len(rows) != wanted:
        yield f"{channel}: {len(rows)} deliveries instead of {wanted}"
    unknown = set(copies) - {row.key for row in rows}
    if unknown:
        yield f"{channel}: {len(unknown)} messages that no row wanted"
    seen, believed = ledger.attempts + _found(rows, ledger), sum(row.attempts for row in rows)
    if seen != believed:
        yield f"{channel}: {believed} attempts on the rows, {seen} at the provider"
    if ledger.answered is not None and max(copies.values(), default=0) > 1:
        yield f"{channel}: messages were posted twice"
    for row in rows:
        told = list(_of_row(channel, row, ledger))
        if not fails and (row.attempts, copies[row.key]) != (1, 1):
            told.append(f"{row.attempts} attempts and {copies[row.key]} copies without a fault")
        yield from (f"{channel} {row.key}: {each}" for each in told)


def _found(rows: list[Row], ledger: Ledger) -> int:
    """Attempts that ended by finding the message at the provider."""
    if ledger.answered is None:
        return 0
    return sum(1 for row in rows if row.status in SENT and row.key not in ledger.answered)


def _of_row(channel: str, row: Row, ledger: Ledger) -> Iterator[str]:
    if row.is_claimed:
        yield "still claimed"
    if row.status not in (*SENT, "failed"):
        yield f"not settled ({row.status})"
    is_sent = row.status in SENT
    if is_sent and (row.provider_id, row.key) not in ledger.known:
        yield "called sent, and not in the provider's ledger under the id noted"
    told = Counter({f"approval.sent.{channel}": 1} if is_sent else {"delivery.failed": 1})
    if row.events != told:
        yield f"events {dict(row.events)} instead of {dict(told)}"
