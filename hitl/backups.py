"""Backups of an embedded server: one file, taken while it runs; and the way back.

Every copy is marked as one, so that a server that is started on it knows that things may have
happened since (`events.restores`).
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from django.utils import timezone

from events.postgres import EMBEDDED
from events.restores import noticing
from hitl.lib.errors import Conflict, NotFound

PAGES_AT_A_TIME = 1000
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside the file and belongs to it


class NotABackup(Conflict):
    """The file cannot be restored; `detail` says why."""

    code = "not-a-backup"


def take(database: Path, target: Path) -> None:
    """Copy the database into a new file while others write. Raises Conflict where it exists."""
    if target.exists():
        raise Conflict(f"{target} exists: choose another name.")
    if not database.exists():
        raise NotFound(f"There is no database at {database}.")
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with _open(database) as source, _open(unfinished) as copy:
        source.backup(copy, pages=PAGES_AT_A_TIME)
        _mark(copy)
    _settle(unfinished, target)


def put_back(backup: Path, database: Path) -> Path | None:
    """Exchange the database of a stopped server for the backup; where the old one lies now.

    The caller holds the data folder. Raises NotABackup, and then nothing has been changed.
    """
    unfinished = database.with_name(f"{database.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    if not backup.exists():
        raise NotFound(f"There is no file {backup}.")
    unfinished.touch(mode=0o600)
    try:
        with _open(backup) as source, _open(unfinished) as copy:
            source.backup(copy, pages=PAGES_AT_A_TIME)
            _check(copy, backup)
            _mark(copy)
    except sqlite3.DatabaseError as error:
        unfinished.unlink()
        raise NotABackup(f"{backup} is not a database of hitl ({error}).") from None
    aside = _set_aside(database)
    _settle(unfinished, database)
    return aside


def _open(path: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(path, timeout=60))


def _check(copy: sqlite3.Connection, name: Path) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged or something else."""
    (said,) = copy.execute("PRAGMA quick_check").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(f"{name} is damaged: {said}")
    copy.execute("SELECT count(*) FROM events_event").fetchone()


def _mark(copy: sqlite3.Connection) -> None:
    """Copies made by a release that had no such table are noticed by their checkpoints."""
    table = "SELECT 1 FROM sqlite_master WHERE name = 'events_databasehome'"
    if copy.execute(table).fetchone():
        copy.execute(
            "INSERT OR REPLACE INTO events_databasehome (id, identity) VALUES (1, ?)",
            [noticing.mark(EMBEDDED)],
        )
    copy.commit()
    copy.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it


def _set_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    aside = database.with_name(f"{database.name}.before-{timezone.now():%Y%m%d-%H%M%S-%f}")
    for end in ("", *BESIDE):
        part = Path(f"{database}{end}")
        if part.exists():
            part.rename(f"{aside}{end}")
    return aside


def _settle(unfinished: Path, target: Path) -> None:
    """Give the file its name once it is on disk whole."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
