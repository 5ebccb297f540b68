"""The Event Manager: `record()` is the only writer of the log, with `record_all()` for many."""

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events import live
from events.models import Event, EventStream
from events.postgres import FeedNow
from events.webhooks import outbox
from hitl.lib import canonical
from hitl.lib.actor import Actor
from hitl.lib.db import database_now, require_transaction

# A volatile function in the select list is called once a row; in a subquery, once.
_THIS_XID = FeedNow(template="(SELECT %(function)s())")


@dataclass(frozen=True)
class Entry:
    """One event to be appended, as `record` takes it."""

    workflow_id: UUID
    type: str
    actor: Actor
    source: str
    data: Mapping[str, Any]
    snapshot: Mapping[str, Any]


def begin(
    type: str,
    *,
    workflow_id: UUID,
    team_id: UUID,
    actor: Actor,
    source: str,
    data: Mapping[str, Any],
    snapshot: Mapping[str, Any],
    now: dt.datetime,
) -> Event:
    """Open the log of a new workflow with its first event, in the transaction that creates it."""
    require_transaction()
    stream = EventStream(workflow_id=workflow_id, team_id=team_id)
    event = _append(stream, type, actor, source, data, snapshot, now)
    stream.save(force_insert=True)
    return event


def lock_stream(workflow_id: UUID) -> EventStream:
    """Take the log's lock. Order of locks everywhere: workflow, stream, delivery."""
    require_transaction()
    rows = EventStream.objects.select_for_update().annotate(now_xid=FeedNow())
    return _in_this_transaction(rows.get(pk=workflow_id))


def lock_streams_if_free(workflow_ids: Collection[UUID]) -> dict[UUID, EventStream]:
    """The locks of those logs that nobody else has, by the ids of their workflows.

    For sweeps: whoever holds many locks must not wait for more.
    """
    require_transaction()
    rows = EventStream.objects.select_for_update(skip_locked=True).annotate(now_xid=_THIS_XID)
    return {row.pk: _in_this_transaction(row) for row in rows.filter(pk__in=workflow_ids)}


def _in_this_transaction(stream: Any) -> EventStream:
    # A transaction may be older than the one that wrote the last event: see `events.feed`.
    stream.last_xid = max(stream.last_xid, stream.now_xid)
    locked: EventStream = stream
    return locked


def record(
    type: str,
    *,
    workflow_id: UUID,
    actor: Actor,
    source: str,
    data: Mapping[str, Any] | None = None,
    snapshot: Mapping[str, Any] | None = None,
    now: dt.datetime | None = None,
) -> Event:
    """Append one event with the state after it, in the caller's transaction.

    `snapshot` is the workflow's complete state; None means "unchanged since the last event".
    Numbers have no gaps, times never run backwards, and each event carries the hash of the one
    before it. Webhooks get their messages with it; listeners are told after commit. Raises
    TransactionRequired outside a transaction.
    """
    stream = lock_stream(workflow_id)
    state = snapshot if snapshot is not None else _last_snapshot(stream)
    event = _append(stream, type, actor, source, data or {}, state, now or database_now())
    stream.save(update_fields=["last_seq", "head_hash", "last_timestamp", "last_xid"])
    return event


def record_all(
    streams: Mapping[UUID, EventStream], entries: Sequence[Entry], *, now: dt.datetime
) -> list[Event]:
    """Append many events to logs that are locked, in few statements: else the same as `record`."""
    require_transaction()
    made = [
        _next(streams[each.workflow_id], each.type, each.actor, each.source, each.data,
              each.snapshot, now)
        for each in entries
    ]  # fmt: skip
    Event.objects.bulk_create(made)
    # Rows that are there and locked: an upsert is the one statement that sets each to its own.
    EventStream.objects.bulk_create(
        [streams[id_] for id_ in {each.workflow_id: None for each in entries}],
        update_conflicts=True,
        unique_fields=["workflow"],
        update_fields=["last_seq", "head_hash", "last_timestamp", "last_xid"],
    )
    outbox.enqueue(made)
    live.announce_all(made)
    return made


def _append(
    stream: EventStream,
    type_: str,
    actor: Actor,
    source: str,
    data: Mapping[str, Any],
    state: Mapping[str, Any],
    now: dt.datetime,
) -> Event:
    """Insert the next event and move the (locked or new) head on; the caller stores the head."""
    event = _next(stream, type_, actor, source, data, state, now)
    event.save(force_insert=True)
    stream.last_xid = event.xid
    outbox.enqueue([event])
    live.announce(event)
    return event


def _next(
    stream: EventStream,
    type_: str,
    actor: Actor,
    source: str,
    data: Mapping[str, Any],
    state: Mapping[str, Any],
    now: dt.datetime,
) -> Event:
    """The event that comes next, and the head moved on to it; nothing is stored."""
    event = Event(
        workflow_id=stream.workflow_id,
        team_id=stream.team_id,
        seq=stream.last_seq + 1,
        round=state["round"],
        type=type_,
        status=state["status"],
        data=dict(data),
        actor=actor.as_dict(),
        source=source,
        state_snapshot=dict(state),
        timestamp=_not_before(stream.last_timestamp, now),
        previous_hash=stream.head_hash,
    )
    event.hash = digest(event)
    if stream.last_seq:  # else the database numbers it
        event.xid = stream.last_xid
    stream.last_seq, stream.head_hash = event.seq, event.hash
    stream.last_timestamp = event.timestamp
    return event


def digest(event: Event) -> str:
    """Hex SHA-256 over the event's canonical content and its predecessor's hash."""
    content = {
        "workflowId": str(event.workflow_id),
        "teamId": str(event.team_id),
        "seq": event.seq,
        "round": event.round,
        "type": str(event.type),
        "status": event.status,
        "data": event.data,
        "actor": event.actor,
        "source": str(event.source),
        "stateSnapshot": event.state_snapshot,
        "timestamp": event.timestamp.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "previousHash": event.previous_hash,
    }
    return hashlib.sha256(canonical.dumps(content)).hexdigest()


def head(workflow_id: UUID) -> Event:
    """The newest event (status and round loaded): how the workflow stands, as the log tells it."""
    last = EventStream.objects.values_list("last_seq", flat=True).get(pk=workflow_id)
    return Event.objects.only("status", "round").get(workflow_id=workflow_id, seq=last)


def _last_snapshot(stream: EventStream) -> Mapping[str, Any]:
    last = Event.objects.only("state_snapshot").get(
        workflow_id=stream.workflow_id, seq=stream.last_seq
    )
    snapshot: Mapping[str, Any] = last.state_snapshot
    return snapshot


def _not_before(previous: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    return max(previous, now) if previous else now
