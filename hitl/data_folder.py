"""The data folder of an embedded server: one process at a time, and its database up to date."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from hitl.lib.errors import Conflict

OURS = ("accounts", "events", "deliveries", "workflows")


class FolderInUse(Conflict):
    """Another server runs on this folder; two would send every message twice."""

    code = "folder-in-use"


class NewerDatabase(Conflict):
    """The database was written by a later version of this server."""

    code = "newer-database"


@contextlib.contextmanager
def claimed(folder: Path, url: str) -> Iterator[None]:
    """Hold the folder for this process. The system lets go of it however the process ends.

    `url` is left in the lock file for whoever comes second. Raises FolderInUse.
    """
    descriptor = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {url}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, _, url = os.pread(descriptor, 1000, 0).decode(errors="replace").partition(" ")
        raise FolderInUse(
            f"Another hitl (process {pid}, {url}) already runs on {folder}. "
            "Use that one, stop it first, or choose another folder and port: "
            "make run DATA=/path/to/folder PORT=4001"
        ) from None


def migrate() -> bool:
    """Bring the database up to date; True when there was something to do. Raises NewerDatabase."""
    executor = MigrationExecutor(connection)
    known, applied = executor.loader.disk_migrations, executor.loader.applied_migrations
    if unknown := sorted(key for key in applied if key[0] in OURS and key not in known):
        raise NewerDatabase(
            f"The database was made by a newer version of hitl (it has {'.'.join(unknown[0])}). "
            "Start that version, or choose another folder: make run DATA=/path/to/folder"
        )
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return False
    call_command("migrate", interactive=False, verbosity=0)
    return True
