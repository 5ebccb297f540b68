"""The rules of the code under test, asked about rows that are never stored.

Only the tables and the guards are real; what was asked before is remembered: there are few answers.
"""

import datetime as dt
from functools import cache

from workflows import executions
from workflows.actions.base import ActionFailed
from workflows.models import ExecutionAttempt, TimeoutAction, Workflow
from workflows.postgres import MOVES_2, ROLLBACKS_2
from workflows.transitions import ALLOWED, ROLLBACKS

ZERO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
# What the database's own trigger lets pass.
TRIGGER_MOVES = frozenset(MOVES_2)
TRIGGER_ROLLBACKS = frozenset(ROLLBACKS_2)


def _at(second: int) -> dt.datetime:
    return ZERO + dt.timedelta(seconds=second)


def may_move(status: str, to: str) -> bool:
    """Whether `transition` makes this move."""
    return to in ALLOWED.get(status, frozenset())


def ways_back(status: str) -> tuple[str, ...]:
    """Where `roll_back` goes from here."""
    return tuple(sorted(map(str, ROLLBACKS.get(status, frozenset()))))


@cache
def is_late(expires: int, now: int) -> bool:
    """Whether people may decide no more."""
    row = Workflow(expires_at=_at(expires), timeout_action=TimeoutAction.REJECT)
    return row.is_late(_at(now))


@cache
def is_overdue(status: str, expires: int, now: int) -> bool:
    """Whether the deadline is to take effect."""
    row = Workflow(status=status, expires_at=_at(expires))
    return row.is_overdue(_at(now))


@cache
def is_executable(status: str, due: int | None, now: int) -> bool:
    """Whether a worker is to open an attempt."""
    row = Workflow(status=status, execution_due_at=None if due is None else _at(due))
    return row.is_executable(_at(now))


@cache
def has_lapsed(status: str, lease: int, now: int) -> bool:
    """Whether an attempt is to be given up."""
    row = ExecutionAttempt(status=status, lease_until=_at(lease))
    return row.has_lapsed(_at(now))


@cache
def after_failure(semantics: str, lost: bool, tries_left: bool) -> str | None:
    """What a failed attempt comes to; None: another try."""
    error = ActionFailed("no luck", may_have_happened=lost)
    to = executions.after_failure(semantics, error, tries_left)
    return to and str(to)


@cache
def after_silence(semantics: str, tries_left: bool) -> str | None:
    """What an attempt comes to that nobody reported on; None: another try."""
    to = executions.after_silence(semantics, "http", tries_left)
    return to and str(to)


def forget() -> None:
    """Ask the code anew: somebody has changed it."""
    for each in (is_late, is_overdue, is_executable, has_lapsed, after_failure, after_silence):
        each.cache_clear()
