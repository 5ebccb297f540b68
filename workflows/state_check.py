"""Whether every request stands where its log says: the row, its last state, and the way there.

Reads only. Values are never told, since they may be anybody's data: faults name the field.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Subquery

from events import services as events
from events.models import Event, EventStream
from events.types import EventType
from hitl.lib import canonical
from workflows.models import Status, Workflow
from workflows.snapshot import snapshot, whole
from workflows.transitions import ALLOWED, ROLLBACKS, lock

BATCH = 200

Step = tuple[UUID, int, str, str, int]  # workflow, seq, type, status, round


@dataclass(frozen=True)
class Fault:
    """One thing that is not as the log has it."""

    workflow_id: UUID
    field: str
    says: str


def check_all() -> Iterator[tuple[int, list[Fault]]]:
    """Batch by batch, how many requests were looked at and what is wrong with them."""
    rows = Workflow.objects.order_by("pk").values_list("pk", flat=True)
    ids = rows.iterator(chunk_size=BATCH)
    while batch := list(islice(ids, BATCH)):
        yield len(batch), check(batch)


def check(ids: Sequence[UUID]) -> list[Fault]:
    """What is wrong with these requests. What seems so is looked at again under its locks: on a
    server that works, row and log are not read in the same instant."""
    return [
        fault
        for workflow_id in dict.fromkeys(found.workflow_id for found in _look(ids))
        for fault in _look_again(workflow_id)
    ]


@transaction.atomic
def _look_again(workflow_id: UUID) -> list[Fault]:
    lock(workflow_id)
    if EventStream.objects.filter(pk=workflow_id).exists():
        events.lock_stream(workflow_id)
    return list(_look([workflow_id]))


def _look(ids: Sequence[UUID]) -> Iterator[Fault]:
    rows = Workflow.objects.in_bulk(list(ids))
    streams = EventStream.objects.in_bulk(list(ids))
    last = {event.workflow_id: event for event in _last_events(ids)}
    steps = Event.objects.filter(workflow_id__in=ids).order_by("workflow_id", "seq")
    told = steps.values_list("workflow_id", "seq", "type", "status", "round")
    ways = {
        workflow_id: _Way(group)
        for workflow_id, group in groupby(told.iterator(chunk_size=2000), itemgetter(0))
    }
    for workflow_id, row in rows.items():
        for field, says in _faults(
            row, streams.get(workflow_id), last.get(workflow_id), ways.get(workflow_id)
        ):
            yield Fault(workflow_id, field, says)


def _last_events(ids: Sequence[UUID]) -> Iterable[Event]:
    heads = EventStream.objects.filter(pk=OuterRef("workflow_id")).values("last_seq")
    rows = Event.objects.filter(workflow_id__in=ids).annotate(head=Subquery(heads))
    return rows.filter(seq=F("head"))


class _Way:
    """One pass over a log: where it ends, and every step that should not be in it."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.faults: list[tuple[str, str]] = []
        self.states: dict[int, tuple[str, int]] = {}
        seq, status, round_ = 0, "", 1
        for _, number, type_, after, in_round in steps:
            if number != seq + 1:
                self.faults.append(("seq", f"event {number} follows event {seq}"))
            if not _is_legal(seq, type_, (status, round_), (after, in_round)):
                said = f"event {number} ({type_}) goes from {status or 'nothing'} to {after}"
                self.faults.append(("status", f"{said}, round {round_} to {in_round}"))
            if (after, in_round) != (status, round_):
                self.states[number] = (after, in_round)
            seq, status, round_ = number, after, in_round
        self.last_seq, self.status, self.round = seq, status, round_
        self.settled_at = max(self.states, default=0)


def _is_legal(seq: int, type_: str, was: tuple[str, int], now: tuple[str, int]) -> bool:
    if seq == 0:
        return (type_, *now) == (EventType.WORKFLOW_CREATED, Status.PENDING, 1)
    if was == now:
        return True
    if was[1] == now[1]:
        return now[0] in ALLOWED.get(was[0], ())
    is_rollback = type_ == EventType.WORKFLOW_ROLLED_BACK and now[1] == was[1] + 1
    return is_rollback and now[0] in ROLLBACKS.get(was[0], ())


def _faults(
    row: Workflow, stream: EventStream | None, last: Event | None, way: _Way | None
) -> Iterator[tuple[str, str]]:
    if way is None or stream is None:
        yield "log", "there is no log of this request"
        return
    yield from way.faults
    if stream.last_seq != way.last_seq:
        yield "lastSeq", f"the head says {stream.last_seq}, the newest event is {way.last_seq}"
    if not way.settled_at <= row.event_seq <= way.last_seq:
        yield "eventSeq", f"the row says {row.event_seq}, its state came with {way.settled_at}"
    if last is None:
        return
    if stream.head_hash != last.hash:
        yield "headHash", "the head does not carry the hash of the newest event"
    stored = whole(last.state_snapshot)
    if (stored["status"], stored["round"]) != (last.status, last.round):
        yield "stateSnapshot", "the newest event and its state disagree about status or round"
    for name in _differing(stored, snapshot(row)):
        yield name, f"the row does not have what event {last.seq} says"


def _differing(stored: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = dict.fromkeys([*now, *stored])
    return [
        name
        for name in names
        if (name in stored) != (name in now)
        or canonical.dumps(stored[name]) != canonical.dumps(now[name])
    ]
