"""Finds the days whose requests have changed, and counts them anew.

Every change leaves an event, so the feed says where to look: each event is read once, whoever
sweeps and however often. Days are counted one by one, each as a whole, under a lock of its own.
"""

import datetime as dt
import time
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import TruncDate

from events import feed
from events.feed import Position
from hitl.lib.db import database_now
from workflows.models import ApproverCount, CountedDay, CountMark, RequestCount, Workflow
from workflows.statistics import counting

READ_AT_ONCE = 5_000
ROUNDS_A_SWEEP = 100
LOOK_AGAIN = dt.timedelta(days=7)
AGAIN_AT_ONCE = 5
SWEEP_SECONDS = 20.0
# A day that takes long is counted less often, so that this costs a twentieth of a core at most.
LONG_SECONDS, REST = 1.0, 20


def sweep() -> int:
    """Count every day that has changed, and some that have not for long; how many days."""
    note_changes()
    return count_due()


# --- Which days -----------------------------------------------------------------------------------


def note_changes() -> None:
    """Mark the days of all requests that have had an event since the last time."""
    for _ in range(ROUNDS_A_SWEEP):
        if not _read_on():
            return


@transaction.atomic
def _read_on() -> bool:
    """Read some of the feed; whether there is more. Only one sweep does so at a time."""
    now = database_now()
    if not CountMark.objects.exists():
        _begin(now)
    mark = CountMark.objects.select_for_update(skip_locked=True).first()
    if mark is None:
        return False
    events = feed.behind(Position(mark.xid, mark.event_id)).order_by("xid", "id")
    found = list(events.values_list("xid", "id", "workflow_id")[:READ_AT_ONCE])
    rows = Workflow.objects.filter(pk__in={workflow_id for *_, workflow_id in found}).order_by()
    _mark({(team_id, _day(at)) for team_id, at in rows.values_list("team_id", "created_at")}, now)
    if found:
        mark.xid, mark.event_id, _ = found[-1]
    mark.swept_at = now
    mark.save()
    return len(found) == READ_AT_ONCE


def _begin(now: dt.datetime) -> None:
    """The very first time: what is there is counted as a whole, what comes later is read."""
    here = feed.newest()
    CountMark.objects.get_or_create(
        pk=1, defaults={"xid": here.xid, "event_id": here.id, "swept_at": now}
    )
    mark_all(now=now)


def _day(moment: dt.datetime) -> dt.date:
    return moment.astimezone(dt.UTC).date()


def _mark(days: set[tuple[UUID, dt.date]], now: dt.datetime) -> None:
    """In one order for all, so that two who mark never wait for each other in a circle."""
    CountedDay.objects.bulk_create(
        [CountedDay(team_id=team_id, day=day, due_at=now) for team_id, day in sorted(days)],
        update_conflicts=True,
        unique_fields=["team", "day"],
        update_fields=["due_at"],
        batch_size=500,
    )


@transaction.atomic
def mark_all(*, now: dt.datetime | None = None) -> int:
    """Let every day be counted anew; how many days there are."""
    rows = Workflow.objects.order_by().values_list(
        "team_id", TruncDate("created_at", tzinfo=dt.UTC)
    )
    days: set[tuple[UUID, dt.date]] = set(rows.distinct())
    days |= set(CountedDay.objects.values_list("team_id", "day"))
    _mark(days, now or database_now())
    return len(days)


# --- Counting -------------------------------------------------------------------------------------


def count_due(*, seconds: float = SWEEP_SECONDS) -> int:
    """Count what is due, the newest days first, then some that are old; how many days.

    Stops after `seconds`; the next sweep goes on.
    """
    end, done = time.monotonic() + seconds, 0
    for row_id in _due(database_now()):
        if time.monotonic() >= end:
            break
        done += count(row_id)
    return done


def _due(now: dt.datetime) -> list[int]:
    rested = Q(rests_until=None) | Q(rests_until__lte=now)
    due = CountedDay.objects.filter(rested, due_at__isnull=False).order_by("-day", "pk")
    # Whatever has gone wrong with a day is put right within the week, without anybody asking.
    old = CountedDay.objects.filter(due_at=None, counted_at__lt=now - LOOK_AGAIN)
    again = old.order_by("counted_at").values_list("pk", flat=True)[:AGAIN_AT_ONCE]
    return [*due.values_list("pk", flat=True), *again]


@transaction.atomic
def count(row_id: int) -> bool:
    """Count one day anew; False where somebody else is at it.

    The lock comes first: whatever changes from then on marks the day again once this is done.
    """
    began = time.monotonic()
    row = CountedDay.objects.select_for_update(skip_locked=True).filter(pk=row_id).first()
    if row is None:
        return False
    day = counting.Day.read(row.team_id, row.day)
    _replace(RequestCount, row, counting.requests(day))
    _replace(ApproverCount, row, counting.approvers(day))
    now, took = database_now(), time.monotonic() - began
    row.due_at, row.counted_at = None, now
    row.rests_until = now + dt.timedelta(seconds=REST * took) if took > LONG_SECONDS else None
    row.save(update_fields=["due_at", "counted_at", "rests_until"])
    return True


def _replace(model: Any, row: CountedDay, counted: list[Any]) -> None:
    model.objects.filter(team_id=row.team_id, day=row.day).delete()
    model.objects.bulk_create(counted, batch_size=500)
