"""What we ask of the database beyond the ORM: its clock, several counts at once, and proof that a
transaction is open."""

import datetime as dt
from typing import Any, cast

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone


class TransactionRequired(RuntimeError):
    """A writer that must not stand alone was called outside a transaction."""


def require_transaction() -> None:
    """Raise TransactionRequired unless the caller has opened `transaction.atomic()`."""
    if not transaction.get_connection().in_atomic_block:
        raise TransactionRequired("This write must share a transaction with the change it records.")


def database_now() -> dt.datetime:
    """The database's wall clock at this very moment (aware, UTC).

    Call it *after* taking the row lock. PostgreSQL's `now()` stands still from the start of the
    transaction: one that waited for a lock would judge a deadline by an old clock, hence
    `clock_timestamp()`. SQLite runs in our process, so our clock is its clock.
    """
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cast(dt.datetime, cursor.fetchone()[0]).astimezone(dt.UTC)


def counts(limit: int, *rows: QuerySet[Any]) -> list[int]:
    """How many rows there are of each, counted no further than `limit`, all in one query."""
    asked: list[tuple[str, tuple[Any, ...]]] = []
    for each in rows:
        try:
            asked.append(each.order_by().values("pk")[:limit].query.sql_with_params())
        except EmptyResultSet:
            asked.append(("SELECT 1 WHERE 1 = 0", ()))
    # Only what querysets compile to; their values stay apart.
    parts = ", ".join(f"(SELECT COUNT(*) FROM ({sql}) AS part)" for sql, _ in asked)  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {parts}", [value for _, values in asked for value in values])
        return list(cursor.fetchone())
