"""Asked before anything leaves: whether the database is a restored one that people must look at.

Nothing is remembered between two questions: the database may be exchanged beneath a process.
"""

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from events import postgres
from events.restores import noticing
from events.restores.models import Confirmation, Restore

Row = TypeVar("Row", bound=Model)


def current() -> Restore | None:
    """The restore that has not been worked off, or None. One query while all is well.

    A database that has moved without anybody having said so is noticed here, by whoever asks.
    """
    return None if postgres.all_is_well() else noticing.notice()


def holds(workflow_id: UUID) -> bool:
    """Whether nothing of this request may leave yet."""
    restore = current()
    return restore is not None and not _confirmed(restore).filter(workflow_id=workflow_id).exists()


def unheld(rows: QuerySet[Row], workflow: str = "workflow_id") -> QuerySet[Row]:
    """Those rows that may leave. `workflow` names the column; rows that have none are let go."""
    restore = current()
    if restore is None:
        return rows
    released = _confirmed(restore).values("workflow_id")
    return rows.filter(Q(**{f"{workflow}__in": released}) | Q(**{f"{workflow}__isnull": True}))


def _confirmed(restore: Restore) -> QuerySet[Confirmation]:
    return Confirmation.objects.filter(restore=restore)
