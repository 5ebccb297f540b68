"""The order in which a follower reads the events of many workflows: nothing missed, none twice.

Transactions commit in another order than they begin, so a follower that remembers the highest id it
has seen misses what commits later with a lower one. On PostgreSQL every event carries the number of
its transaction, and a reader stops short of the oldest transaction that is still open: what is
below can never grow any more. (The technique of transactional outboxes; `pg_current_snapshot()` in
PostgreSQL's manual, section 9.27, "Transaction ID and Snapshot Information Functions"; other
databases of the cluster are left out where our role may see that they are others.) An event's
number is never below that of the event before it in its workflow, so that each workflow is read in
its own order, too. SQLite lets one transaction write at a time: ids alone are in order there.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BigIntegerField, Func, Max, Q, QuerySet

from events.models import Event, FeedEpoch

_FORM = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, order=True)
class Position:
    """A place in the feed: behind the event with this transaction number and id."""

    xid: int
    id: int

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The position a cursor names. Raises ValueError for text that is none."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("not a position in the feed")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, event: Event) -> "Position":
        return cls(event.xid, event.pk)


START = Position(0, 0)


class Horizon(Func):
    """The number below which every transaction has ended, as of the statement that asks."""

    function = "hitl_feed_horizon"
    output_field = BigIntegerField()


def read(
    after: Position,
    *,
    limit: int,
    teams: Collection[UUID] | None = None,
    types: Collection[str] | None = None,
    workflow_id: UUID | None = None,
) -> list[Event]:
    """The next events of these teams (None: of all) behind a position, in the feed's order.

    An empty list says that there is nothing more *now*: events of transactions that are still open
    come later, behind the same position.
    """
    rows = _settled(teams).filter(_behind(after))
    if types is not None:
        rows = rows.filter(type__in=types)
    if workflow_id is not None:
        rows = rows.filter(workflow_id=workflow_id)
    return list(rows.order_by("xid", "id")[:limit])


def behind(after: Position) -> QuerySet[Event]:
    """All that is settled behind a position, unordered: for readers that need few columns."""
    return _settled(None).filter(_behind(after))


def newest(teams: Collection[UUID] | None = None) -> Position:
    """The position behind everything that can be read now: where a follower of news begins."""
    last = _settled(teams).order_by("-xid", "-id").values_list("xid", "id").first()
    return Position(*last) if last else START


def _settled(teams: Collection[UUID] | None) -> QuerySet[Event]:
    """Events that nothing can come before any more."""
    rows = Event.objects.all() if teams is None else Event.objects.filter(team_id__in=teams)
    return rows.filter(xid__lt=Horizon()) if connection.vendor == "postgresql" else rows


def _behind(position: Position) -> Q:
    """The first condition alone lets the index find the place."""
    return Q(xid__gte=position.xid) & (Q(xid__gt=position.xid) | Q(id__gt=position.id))


@transaction.atomic
def mend_epoch() -> int:
    """Go on above the highest number on record; returns by how much numbers have been raised.

    A database that was restored into another cluster counts its transactions anew: its events
    would lie beyond the horizon, and new ones before what followers have read. Harmless to repeat.
    """
    if connection.vendor != "postgresql":
        return 0
    epoch, _ = FeedEpoch.objects.select_for_update().get_or_create()
    highest = Event.objects.aggregate(highest=Max("xid"))["highest"] or 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT hitl_feed_next()")
        missing = max(0, highest - cursor.fetchone()[0] + 1)
    if missing:
        epoch.shift += missing
        epoch.save(update_fields=["shift"])
    return int(missing)
