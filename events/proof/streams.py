"""Verifies the log of one workflow against everything that remembers it. Reads no database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from events.proof import chain
from events.proof.chain import StoredEvent
from events.proof.checkpoints import Places
from events.proof.findings import Finding, Kind
from events.proof.rows import Claim, StoredStream


@dataclass(frozen=True)
class Standing:
    """How the row of a workflow says that it stands."""

    team_id: str
    status: str
    round: int
    event_seq: int


@dataclass(frozen=True)
class Bound:
    """Events behind this place (xid, id) were written after this time (ISO 8601)."""

    place: tuple[int, int]
    time: str


@dataclass(frozen=True)
class Timeline:
    """What the checkpoints say about the feed: no event may turn up later in what they had seen.

    Everything up to `position` is covered by the `newest` or one before it. `bounds` has, for a
    checkpoint, what holds for the events that it covers for the first time.
    """

    position: tuple[int, int] = (0, 0)
    newest: int = 0
    bounds: Mapping[int, Bound] = field(default_factory=dict)


@dataclass
class Memory:
    """Everything besides the events that knows something about one workflow."""

    stream: StoredStream | None
    claims: Sequence[Claim]
    standing: Standing | None
    is_standing_known: bool  # else nobody was asked
    timeline: Timeline


class Log:
    """Goes through one workflow's events; iterate it once, then read the counts."""

    def __init__(self, workflow_id: str, rows: Iterable[StoredEvent], memory: Memory) -> None:
        self.workflow_id = workflow_id
        self.events = 0
        self.uncovered = 0
        self._rows = rows
        self._memory = memory
        self._claims = list(memory.claims)
        self._covered = max((claim.seq for claim in memory.claims), default=0)
        self._places = Places()
        self._last: StoredEvent | None = None
        self._last_digest = ""
        self._changed_at = 0  # the last event whose state differs from the one before

    def findings(self) -> Iterator[Finding]:
        """What is wrong, in the order of the events; then what is wrong with the whole."""
        try:
            for row in self._rows:
                yield from self._look_at(row)
            yield from self._look_at_the_end()
        except (TypeError, ValueError, IndexError):  # SQLite keeps a text in a column of numbers
            seq = self._last.seq + 1 if self._last else 1
            yield self._event(Kind.EVENT_CHANGED, seq, "or what belongs to it cannot be read")

    def _look_at(self, row: StoredEvent) -> Iterator[Finding]:
        self.events += 1
        last = self._last
        found = chain.digest(row)
        if found != row.hash:
            says = "was changed: what it says does not give its hash"
            yield self._event(Kind.EVENT_CHANGED, row.seq, says)
        expected = last.seq + 1 if last else 1
        if row.seq > expected:
            yield self._gap(expected, row.seq - 1)
        elif row.seq < expected:
            yield self._event(Kind.EVENT_INVENTED, row.seq, "is there more than once")
        elif found == row.hash and not self._follows(row):
            yield self._not_followed(row, is_first=last is None)
        if last is not None and row.timestamp < last.timestamp:
            yield self._event(Kind.TIME_BACKWARDS, row.seq, "is older than the one before it")
        if last is not None and (row.xid < last.xid or row.id <= last.id):
            says = "was moved in the feed: it stands before the one it follows"
            yield self._event(Kind.EVENT_MOVED, row.seq, says)
        if last is None or row.state_snapshot != last.state_snapshot:
            self._changed_at = row.seq
        self._places.add(row.xid, row.id)
        yield from self._late(row)
        while self._claims and self._claims[0].seq <= row.seq:
            yield from self._compare(self._claims.pop(0), row)
        if row.seq > self._covered:
            self.uncovered += 1
        self._last, self._last_digest = row, found

    def _follows(self, row: StoredEvent) -> bool:
        """A predecessor whose text was changed is still followed by its stored hash."""
        last = self._last
        return row.previous_hash in ((last.hash, self._last_digest) if last else ("",))

    def _not_followed(self, row: StoredEvent, *, is_first: bool) -> Finding:
        if is_first:
            says = "claims to follow another event, and none is there"
            return self._event(Kind.EVENT_MISSING, row.seq, says)
        says = f"was replaced: event {row.seq} follows another one"
        return self._event(Kind.EVENT_REPLACED, row.seq - 1, says)

    def _gap(self, first: int, last: int) -> Finding:
        which = f"Event {first} is" if first == last else f"Events {first} to {last} are"
        says = f"{which} missing from workflow {self.workflow_id}."
        return Finding(Kind.EVENT_MISSING, says, self.workflow_id, first)

    def _compare(self, claim: Claim, row: StoredEvent) -> Iterator[Finding]:
        if claim.seq != row.seq:
            return  # told as missing
        by = f"checkpoint {claim.checkpoint}"
        if claim.hash != row.hash:
            says = f"was replaced: {by} knows another one"
            yield self._event(Kind.EVENT_REPLACED, row.seq, says, claim.checkpoint)
        if claim.places != self._places.hexdigest():
            says = f"or one before it was moved in the feed since {by}"
            yield self._event(Kind.EVENT_MOVED, row.seq, says, claim.checkpoint)

    def _late(self, row: StoredEvent) -> Iterator[Finding]:
        """Not covered although a checkpoint has seen that place of the feed, or that time."""
        timeline, place = self._memory.timeline, (row.xid, row.id)
        if row.seq > self._covered and place <= timeline.position:
            says = f"was put in later: checkpoint {timeline.newest} does not know it"
            yield self._event(Kind.EVENT_INVENTED, row.seq, says, timeline.newest)
        by = self._claims[0].checkpoint if self._claims else timeline.newest + 1
        bound = timeline.bounds.get(by)
        if bound and place > bound.place and row.timestamp < bound.time:
            says = "was put in later under an earlier time (or the clock was set back)"
            yield self._event(Kind.EVENT_INVENTED, row.seq, says)

    def _look_at_the_end(self) -> Iterator[Finding]:
        last, stream, standing = self._last, self._memory.stream, self._memory.standing
        if self._claims:
            yield self._cut_off(self._claims[-1], last.seq if last else 0)
            return
        if last is None:
            if stream or standing:
                says = f"Workflow {self.workflow_id} has no events at all."
                yield Finding(Kind.LOG_MISSING, says, self.workflow_id)
            return
        if stream is not None and stream.last_seq > last.seq:
            yield self._gap(last.seq + 1, stream.last_seq)
            return
        yield from self._compare_head(stream, last)
        if self._memory.is_standing_known:
            yield from self._compare_row(standing, last)

    def _cut_off(self, claim: Claim, last_seq: int) -> Finding:
        first = last_seq + 1
        which = f"Event {first} is" if first == claim.seq else f"Events {first} to {claim.seq} are"
        says = (
            f"{which} missing from workflow {self.workflow_id}: "
            f"checkpoint {claim.checkpoint} knows event {claim.seq}."
        )
        return Finding(Kind.EVENT_MISSING, says, self.workflow_id, first, claim.checkpoint)

    def _compare_head(self, stream: StoredStream | None, last: StoredEvent) -> Iterator[Finding]:
        if stream is None:
            says = f"The head of workflow {self.workflow_id}'s log is missing."
            yield Finding(Kind.HEAD_MISSING, says, self.workflow_id)
        elif stream != self._head(last):
            says = f"The head of workflow {self.workflow_id}'s log is not its event {last.seq}."
            yield Finding(Kind.HEAD_CHANGED, says, self.workflow_id, last.seq)

    def _head(self, last: StoredEvent) -> StoredStream:
        return StoredStream(
            self.workflow_id, last.team_id, last.seq, last.hash, last.timestamp, last.xid
        )

    def _compare_row(self, standing: Standing | None, last: StoredEvent) -> Iterator[Finding]:
        if standing is None:
            says = f"Workflow {self.workflow_id} is missing; its log is there."
            yield Finding(Kind.WORKFLOW_MISSING, says, self.workflow_id)
            return
        told = (last.team_id, last.status, last.round)
        is_told = (standing.team_id, standing.status, standing.round) == told
        if not is_told or not self._changed_at <= standing.event_seq <= last.seq:
            says = f"Workflow {self.workflow_id} stands otherwise than event {last.seq} left it."
            yield Finding(Kind.WORKFLOW_CHANGED, says, self.workflow_id, last.seq)

    def _event(self, kind: Kind, seq: int, says: str, checkpoint: int = 0) -> Finding:
        says = f"Event {seq} of workflow {self.workflow_id} {says}."
        return Finding(kind, says, self.workflow_id, seq, checkpoint)
