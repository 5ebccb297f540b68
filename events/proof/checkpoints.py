"""Makes checkpoints: the heads of all chains that moved, under one signature, each after the last.

Everything the feed has settled is covered, in its order; the lock on `CheckpointChain` sees to it
that two makers never make the same number.
"""

import datetime as dt
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from events import feed
from events.models import Event, EventStream
from events.proof import anchors, tree
from events.proof.models import Checkpoint, CheckpointChain, CheckpointHead
from hitl.lib import canonical, signing_keys
from hitl.lib.db import database_now
from hitl.lib.errors import HitlError

FORMAT = "hitl.checkpoint/1"  # within the signed bytes: nothing else we sign can pass for one
PAGE = 20_000  # events that one checkpoint takes in at most
AT_A_TIME = 500
KEEP_ALIVE = dt.timedelta(hours=1)
SWEEP_SECONDS = 30.0


class BrokenChain(HitlError):
    """The newest checkpoint is not where it was left; `manage.py verify` says more."""

    code = "unavailable"
    status = 503
    title = "The checkpoints have been tampered with"


@dataclass(frozen=True)
class Totals:
    """The first leaf: how much is covered. `position` is how far the feed was read.

    `beyond` is a place in the feed that only later events can have; "" where more is waiting.
    """

    beyond: str
    events: int
    heads: int
    position: str
    streams: int

    def text(self) -> str:
        """Canonical, as it is stored and hashed."""
        return canonical.dumps(asdict(self)).decode()


NOTHING = Totals(beyond="", events=0, heads=0, position=str(feed.START), streams=0)


@dataclass(frozen=True)
class Head:
    """How far a chain went. `covered` is how far an earlier checkpoint knew it, 0 for a new one."""

    workflow_id: UUID
    seq: int
    hash: str
    places: str
    covered: int


def sweep() -> None:
    """Cover everything that is settled, in as many checkpoints as it takes.

    It stops after half a minute: what a large log lacks at the first start is done piece by piece.
    """
    give_up = time.monotonic() + SWEEP_SECONDS
    while (made := make()) and not read_totals(made).beyond and time.monotonic() < give_up:
        pass


def make(*, including: UUID | None = None) -> Checkpoint | None:
    """The next checkpoint; None where nothing has changed since the last.

    `including` names a workflow whose newest event must be covered, settled or not. Raises
    NoSigningKey and BrokenChain.
    """
    with transaction.atomic():
        chain = CheckpointChain.objects.select_for_update().get_or_create(pk=1)[0]
        last = _newest(chain)
        before = read_totals(last) if last else NOTHING
        reached, moved, beyond = _moved(feed.Position.parse(before.position))
        if including is not None:
            moved |= _uncovered(including)
        now = database_now()
        if not moved and not (last and last.made_at <= now - KEEP_ALIVE):
            return None
        heads = list(_heads(moved))
        totals = Totals(
            beyond=str(beyond or ""),
            events=before.events + sum(head.seq - head.covered for head in heads),
            heads=len(heads),
            position=str(reached),
            streams=before.streams + sum(not head.covered for head in heads),
        )
        made = _store(chain, max(now, last.made_at) if last else now, totals, heads)
        transaction.on_commit(lambda: anchors.publish(made), robust=True)
        return made


def newest() -> Checkpoint | None:
    """The last one made."""
    return Checkpoint.objects.order_by("-number").first()


def read_totals(checkpoint: Checkpoint) -> Totals:
    """What its first leaf says."""
    return Totals(**canonical.loads(checkpoint.totals))


def leaf(workflow_id: object, seq: int, hash_: str, places: str) -> bytes:
    """A head as a leaf of the tree: canonical JSON."""
    return f'["{workflow_id}",{seq},"{hash_}","{places}"]'.encode("utf-8", "surrogateescape")


def body(number: int, made_at: dt.datetime, previous_hash: str, root: str) -> str:
    """What is hashed and signed."""
    content = {
        "format": FORMAT,
        "madeAt": made_at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "number": number,
        "previousHash": previous_hash,
        "root": root,
    }
    return canonical.dumps(content).decode()


class Places:
    """The hash over the places of a chain's events in the feed, one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, xid: object, row_id: object) -> None:
        """The next event's."""
        self._hash.update(f"{xid}-{row_id}\n".encode("utf-8", "surrogateescape"))

    def hexdigest(self) -> str:
        """Over those so far."""
        return self._hash.copy().hexdigest()


def _newest(chain: CheckpointChain) -> Checkpoint | None:
    found = newest()
    is_at = (found.number, found.hash) if found else (0, "")
    if is_at != (chain.number, chain.hash):
        raise BrokenChain(f"Checkpoint {chain.number} is not the newest one any more.")
    return found


def _moved(
    after: feed.Position,
) -> tuple[feed.Position, dict[UUID, int], feed.Position | None]:
    """How far the feed was read, the chains that moved with their newest numbers, and where the
    feed goes on with events that have not begun (None: where the page ended)."""
    beyond = _beyond()
    rows = list(
        feed.behind(after)
        .order_by("xid", "id")
        .values_list("xid", "id", "workflow_id", "seq")[:PAGE]
    )
    moved: dict[UUID, int] = {}
    for _, _, workflow_id, seq in rows:
        moved[workflow_id] = max(seq, moved.get(workflow_id, 0))
    reached = feed.Position(*rows[-1][:2]) if rows else after
    return reached, moved, beyond if len(rows) < PAGE else None


def _beyond() -> feed.Position:
    """A place behind which only events can stand whose transactions have not begun to write."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT hitl_feed_next()")
            return feed.Position(cursor.fetchone()[0], 0)
    return feed.Position(0, Event.objects.aggregate(last=Max("id"))["last"] or 0)


def _uncovered(workflow_id: UUID) -> dict[UUID, int]:
    """The workflow with its newest number, unless a checkpoint knows it already."""
    last = EventStream.objects.values_list("last_seq", flat=True).get(pk=workflow_id)
    known = CheckpointHead.objects.filter(workflow_id=workflow_id, seq=last)
    return {} if known.exists() else {workflow_id: last}


def _heads(moved: Mapping[UUID, int]) -> Iterator[Head]:
    """The heads in the order of their ids."""
    ordered = sorted(moved)
    for start in range(0, len(ordered), AT_A_TIME):
        yield from _some_heads(moved, ordered[start : start + AT_A_TIME])


def _some_heads(moved: Mapping[UUID, int], ids: Sequence[UUID]) -> Iterator[Head]:
    known = CheckpointHead.objects.filter(workflow_id__in=ids).values("workflow_id")
    covered: dict[Any, int] = dict(
        known.annotate(last=Max("seq")).values_list("workflow_id", "last")
    )
    rows = Event.objects.filter(workflow_id__in=ids).order_by("workflow_id", "seq")
    places: dict[UUID, Places] = {}
    for workflow_id, seq, xid, row_id, hash_ in rows.values_list(
        "workflow_id", "seq", "xid", "id", "hash"
    ):
        so_far = places.setdefault(workflow_id, Places())
        so_far.add(xid, row_id)
        before = covered.get(workflow_id, 0)
        if seq == moved[workflow_id] and seq > before:  # not covered by an export already
            yield Head(workflow_id, seq, hash_, so_far.hexdigest(), before)


def _store(
    chain: CheckpointChain, made_at: dt.datetime, totals: Totals, heads: Sequence[Head]
) -> Checkpoint:
    first = totals.text()
    leaves = [leaf(each.workflow_id, each.seq, each.hash, each.places) for each in heads]
    number = chain.number + 1
    text = body(number, made_at, chain.hash, tree.root([first.encode(), *leaves]))
    kid, signature = signing_keys.sign(text.encode())
    made = Checkpoint.objects.create(
        number=number,
        made_at=made_at,
        totals=first,
        body=text,
        hash=hashlib.sha256(text.encode()).hexdigest(),
        kid=kid,
        signature=signature.hex(),
    )
    CheckpointHead.objects.bulk_create(
        [
            CheckpointHead(
                checkpoint=made,
                leaf=place,
                workflow_id=head.workflow_id,
                seq=head.seq,
                hash=head.hash,
                places=head.places,
            )
            for place, head in enumerate(heads, 1)
        ],
        batch_size=AT_A_TIME,
    )
    chain.number, chain.hash = made.number, made.hash
    chain.save(update_fields=["number", "hash"])
    return made
