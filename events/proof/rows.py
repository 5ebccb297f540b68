# ruff: noqa: S608  # the names of our own columns; whatever comes from outside is a parameter
"""Reads the log as it is stored, as text and in bounded memory, whatever has been put into it.

Models would turn texts into values and fail where a value is none; a verifier must see both.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from events.proof.chain import StoredEvent

AT_A_TIME = 500


@dataclass(frozen=True)
class Part:
    """The workflows from `first` up to, but not with, `end`; None is open. Or those with news
    since `since`, an instant as ISO 8601."""

    first: str | None = None
    end: str | None = None
    since: str | None = None

    @classmethod
    def of(cls, workflow_id: UUID) -> "Part":
        """One workflow alone."""
        return cls(str(workflow_id), str(UUID(int=workflow_id.int + 1)))

    def sql(self, column: str = "workflow_id") -> tuple[str, list[str]]:
        """As a condition and its parameters."""
        conditions, values = ["1 = 1"], []
        if self.first is not None:
            conditions.append(f"{column} >= %s")
            values.append(_id(self.first))
        if self.end is not None:
            conditions.append(f"{column} < %s")
            values.append(_id(self.end))
        if self.since is not None:
            conditions.append(f"{column} IN ({_NEWS})")
            values += [self.since, self.since]
        return " AND ".join(conditions), values


_NEWS = """
SELECT workflow_id FROM events_event WHERE timestamp >= %s
UNION SELECT h.workflow_id FROM events_checkpointhead h
JOIN events_checkpoint c ON c.number = h.checkpoint_id WHERE c.made_at >= %s
"""


class StoredStream(NamedTuple):
    """What the head of a chain remembers."""

    workflow_id: str
    team_id: str
    last_seq: int
    head_hash: str
    last_timestamp: str
    last_xid: int


class Claim(NamedTuple):
    """What a checkpoint says about a chain."""

    workflow_id: str
    seq: int
    hash: str
    places: str
    checkpoint: int


class StoredCheckpoint(NamedTuple):
    """A checkpoint without its heads."""

    number: int
    made_at: str
    totals: str
    body: str
    hash: str
    kid: str
    signature: str


def events(part: Part) -> Iterator[StoredEvent]:
    """Every event of these workflows, by workflow and number."""
    columns = (
        "id, xid, {w}, {t}, seq, round, {type}, {status}, {data}, {actor}, {source},"
        " {state_snapshot}, {timestamp}, {previous_hash}, {hash}"
    )
    condition, values = part.sql()
    sql = f"SELECT {_texts(columns)} FROM events_event WHERE {condition} ORDER BY workflow_id, seq"
    as_id, as_moment = _readers()
    for row in _rows(sql, values):
        row[2], row[3], row[12] = as_id(row[2]), as_id(row[3]), as_moment(row[12])
        yield StoredEvent._make(row)


def streams(part: Part) -> dict[str, StoredStream]:
    """What the heads remember, by workflow."""
    condition, values = part.sql()
    columns = _texts("{w}, {t}, last_seq, {head_hash}, {last_timestamp}, last_xid")
    found = {}
    as_id, as_moment = _readers()
    for row in _rows(f"SELECT {columns} FROM events_eventstream WHERE {condition}", values):
        row[0], row[1], row[4] = as_id(row[0]), as_id(row[1]), as_moment(row[4])
        found[row[0]] = StoredStream._make(row)
    return found


def claims(part: Part) -> dict[str, list[Claim]]:
    """What checkpoints say about these workflows, each list by number of the event."""
    condition, values = part.sql()
    columns = _texts("{w}, seq, {hash}, {places}, checkpoint_id")
    sql = f"SELECT {columns} FROM events_checkpointhead WHERE {condition}"
    found: dict[str, list[Claim]] = {}
    as_id, _ = _readers()
    for row in _rows(sql, values):
        row[0] = as_id(row[0])
        found.setdefault(row[0], []).append(Claim._make(row))
    for each in found.values():
        each.sort(key=lambda claim: (claim.seq, claim.checkpoint))
    return found


def checkpoints() -> Iterator[StoredCheckpoint]:
    """All of them, by number."""
    columns = _texts("number, {made_at}, {totals}, {body}, {hash}, {kid}, {signature}")
    _, as_moment = _readers()
    for row in _rows(f"SELECT {columns} FROM events_checkpoint ORDER BY number", []):
        row[1] = as_moment(row[1])
        yield StoredCheckpoint._make(row)


def heads(part: Part) -> Iterator[tuple[int, int, Claim]]:
    """Checkpoint, place and what is said, in the order of the trees: of every checkpoint that
    says something about these workflows, whole."""
    columns = _texts("checkpoint_id, leaf, {w}, seq, {hash}, {places}, checkpoint_id")
    condition, values = part.sql()
    if part != Part():
        condition = (
            f"checkpoint_id IN (SELECT checkpoint_id FROM events_checkpointhead WHERE {condition})"
        )
    sql = (
        f"SELECT {columns} FROM events_checkpointhead WHERE {condition}"
        " ORDER BY checkpoint_id, leaf"
    )
    as_id, _ = _readers()
    for row in _rows(sql, values):
        row[2] = as_id(row[2])
        yield row[0], row[1], Claim._make(row[2:])


def chain_head() -> tuple[int, str] | None:
    """Number and hash of the newest checkpoint, as the chain's row has them."""
    sql = f"SELECT number, {_texts('{hash}')} FROM events_checkpointchain ORDER BY id"
    found = [(row[0], row[1]) for row in _rows(sql, [])]
    return found[0] if len(found) == 1 else None


def parts(size: int) -> list[Part]:
    """Cuts all workflows there are or were into parts of about so many events."""
    cuts: set[str] = set()
    as_id, _ = _readers()
    for table, order in (("events_event", "seq"), ("events_checkpointhead", "seq, checkpoint_id")):
        sql = (
            f"SELECT DISTINCT {_texts('{w}')} FROM (SELECT workflow_id, row_number() OVER"
            f" (ORDER BY workflow_id, {order}) AS place FROM {table}) AS numbered"
            f" WHERE place %% {size} = 0"
        )
        cuts.update(as_id(row[0]) for row in _rows(sql, []))
    ends = [None, *sorted(cuts), None]
    return [Part(first, end) for first, end in pairwise(ends)]


def _readers() -> tuple[Callable[[Any], str], Callable[[Any], str]]:
    """What turns a stored id and a stored timestamp into the text that was hashed.

    Whatever we would not have written stays recognisably something else.
    """
    if connection.vendor == "postgresql":
        return str, _postgres_moment
    return _sqlite_id, _sqlite_moment


def _postgres_moment(text: Any) -> str:
    """`2026-11-23 17:45:00.5+00` as ISO 8601 with six digits."""
    if not isinstance(text, str) or not text.endswith("+00") or len(text) > 29:
        return f"not a time: {text}"
    return _iso(text[:-3])


def _sqlite_moment(text: Any) -> str:
    """`2026-11-23 17:45:00.500000`, or without the zeros where there is no fraction."""
    if not isinstance(text, str) or len(text) not in (19, 26) or text.endswith(".000000"):
        return f"not a time: {text}"
    return _iso(text)


def _iso(text: str) -> str:
    if text[10] != " ":
        return f"not a time: {text}"
    return f"{text[:10]}T{text[11:19]}.{text[20:].ljust(6, '0')}+00:00"


def _sqlite_id(text: Any) -> str:
    """With its dashes, which SQLite's column does not keep."""
    if not isinstance(text, str) or len(text) != 32:
        return f"not an id: {text}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@contextmanager
def snapshot(of: str = "") -> Iterator[str]:
    """One consistent, read-only view of the database for everything read within.

    Yields the name under which other connections can share it (PostgreSQL), or "". A caller that
    is in a transaction already keeps that one.
    """
    if connection.in_atomic_block:
        yield ""
        return
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        # Deferred on SQLite: Django's own transactions lock writers out from their start.
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if is_postgres else "BEGIN"
        cursor.execute(begin)
        try:
            if of:
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{of}'")
            yield _share(cursor) if is_postgres and not of else of
        finally:
            cursor.execute("ROLLBACK")


def _share(cursor: Any) -> str:
    cursor.execute("SELECT pg_export_snapshot()")
    return str(cursor.fetchone()[0])


def _rows(sql: str, values: Sequence[str]) -> Iterator[list[Any]]:
    is_postgres = connection.vendor == "postgresql"
    with _cursor() as cursor:
        cursor.execute(sql, values)
        while rows := cursor.fetchmany(AT_A_TIME):
            if is_postgres:
                yield from map(list, rows)
            else:
                yield from ([_text(value) for value in row] for row in rows)


def _cursor() -> Any:
    """Rows must not all come at once: on PostgreSQL a cursor of the server's."""
    return connection.chunked_cursor()


def _texts(columns: str) -> str:
    """The SQL of columns that are wanted as text: `{w}` and `{t}` stand for the two ids."""
    is_postgres = connection.vendor == "postgresql"

    class Names(dict[str, str]):
        def __missing__(self, name: str) -> str:
            column = {"w": "workflow_id", "t": "team_id"}.get(name, name)
            if is_postgres:
                return f"{column}::text" if name in _CAST else column
            return f"CAST({column} AS BLOB)"  # bytes: what is stored need not be UTF-8

    return columns.format_map(Names())


_CAST = ("w", "t", "timestamp", "last_timestamp", "made_at")


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    return value.decode("utf-8", "surrogateescape")


def _id(text: str) -> str:
    """An id as a parameter: SQLite keeps it without dashes."""
    return text if connection.vendor == "postgresql" else text.replace("-", "")
