"""What we ask of the database beyond the ORM: its clock, and proof that a transaction is open."""

import datetime as dt
from typing import cast

from django.db import connection, transaction
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
