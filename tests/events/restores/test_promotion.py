"""A standby that is promoted finds itself on another timeline: it may have lost the newest rows."""

import os
import signal
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from events.postgres import current_identity
from scripts import services

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(600)]


@pytest.mark.django_db(transaction=True)
def test_a_promoted_standby_is_elsewhere() -> None:
    primary = urlsplit(os.environ["TEST_DATABASE_URL"])
    name = str(connection.settings_dict["NAME"])
    programs, user = Path(services.postgres_folder()), services.unprivileged_user()
    with services.folder_for("hitl-standby-", user) as folder:
        data = folder / "data"
        where = ["-h", str(primary.hostname), "-p", str(primary.port), "-U", services.ROLE]
        copy = [str(programs / "pg_basebackup"), *where, "-D", str(data), "-R", "-c", "fast"]
        services.as_user(copy, user)
        port = next(services.free_ports())
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder)]
        # A standby has to be as large as its primary.
        listens = ["-h", "127.0.0.1", "-p", str(port), "-c", "max_connections=200"]
        with services.server([*command, *listens], folder / "log", user, signal.SIGINT) as process:
            address = f"host=127.0.0.1 port={port} user={services.ROLE} dbname={name}"
            assert services.until(partial(_answers, address), process), (folder / "log").read_text()
            with psycopg.connect(address, autocommit=True) as standby:
                before = _identity(standby)
                standby.execute("SELECT pg_promote()")
                after = _identity(standby)
    here = current_identity().split("/")
    assert before == [*here[:3], "?"]  # a standby writes no timeline of its own
    assert after[:3] == here[:3]
    assert int(after[3], 16) == int(here[3], 16) + 1


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


def _identity(database: "psycopg.Connection[tuple[str]]") -> list[str]:
    row = database.execute("SELECT hitl_identity()").fetchone()
    assert row is not None
    return str(row[0]).split("/")
