# ruff: noqa: S608  # the tests name tables and columns themselves
"""What somebody with all rights on the database can do to it, past every trigger and key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from events.models import Event
from events.proof import checkpoints, verification
from events.proof.findings import Found
from hitl.accounts.models import Agent, User
from tests.workflows.factories import make_executing, make_workflow
from workflows import executions
from workflows.models import Workflow
from workflows.selectors import standings


@contextmanager
def superuser() -> Iterator[Any]:
    """A cursor that no trigger and no foreign key stops."""
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if is_postgres:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET session_replication_role = replica")
        else:
            # Within a test's transaction the other switch does nothing.
            cursor.execute("PRAGMA defer_foreign_keys = ON")
        try:
            yield cursor
        finally:
            if is_postgres:
                cursor.execute("SET session_replication_role = DEFAULT")


def tamper(sql: str, *values: Any) -> None:
    """Run one statement as the superuser; it must have hit something."""
    with superuser() as cursor:
        cursor.execute(sql, values)
        assert cursor.rowcount > 0


def verify(**options: Any) -> Found:
    """As the command does, in this process."""
    return verification.verify(standings=standings, **options)


def small_life(agent: Agent, approver: User) -> Workflow:
    """Asked, approved, carried out; covered by two checkpoints."""
    workflow = make_executing(agent, approver)
    cover(workflow)
    executions.complete(workflow.pk, agent=agent, attempt=1, result={"ok": True})
    cover(workflow)
    cover(make_workflow(agent))
    return workflow


def cover(workflow: Workflow) -> None:
    """A checkpoint over it. The feed sees nothing of a test's transaction until it has ended."""
    assert checkpoints.make(including=workflow.pk)


def db_id(value: Any) -> Any:
    """An id as the database keeps it."""
    return value if connection.vendor == "postgresql" else value.hex


def event(workflow: Workflow, seq: int) -> Event:
    return Event.objects.get(workflow=workflow, seq=seq)


def stored(table: str) -> list[dict[str, Any]]:
    """Every row of a table as it is stored."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
