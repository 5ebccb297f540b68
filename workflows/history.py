"""The states a request has been in, one after each event, and what lies between two of them.

Reads only: a state is stored with its event and never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from events import selectors as log
from events.models import Event
from hitl.accounts.models import User
from hitl.lib.errors import NotFound
from workflows import diff
from workflows.diff import DiffRow
from workflows.snapshot import whole

# What the fields of a state are called for people, in the order in which they matter to them.
LABELS = {
    "status": "Status",
    "round": "Round",
    "askedRound": "Round of the answers that count",
    "decision": "Decision",
    "feedback": "Comment",
    "respondedBy": "Decided by",
    "respondedVia": "Decided through",
    "respondedAt": "Decided at",
    "stage": "Stage, from 0",
    "stageOpenedAt": "Stage opened at",
    "proposedData": "Edit on the table",
    "proposedFingerprint": "Fingerprint of that edit",
    "responseData": "Edited data",
    "responseFingerprint": "Fingerprint of the edited data",
    "expiresAt": "Deadline",
    "firstExpiresAt": "Deadline at first",
    "timeoutAction": "What silence means",
    "heldAt": "Held since",
    "wave": "Times asked in this round",
    "claimedBy": "Looked after by",
    "claimedAt": "Looked after since",
    "executionDueAt": "To be carried out at",
    "result": "Result",
    "error": "Error",
    "compensation": "Compensated by (id)",
    "compensates": "Compensates (id)",
}
_PEOPLE = ("respondedBy", "claimedBy")
_SCHEMA = {
    "properties": {name: {"title": title} for name, title in LABELS.items()},
    "x-order": list(LABELS),
}


@dataclass(frozen=True)
class Difference:
    """What turns one state into another: RFC 6902 operations for machines, rows for people."""

    older: Event
    newer: Event
    operations: list[dict[str, Any]]
    rows: list[DiffRow]


def states(workflow_id: UUID, *, after: int = 0) -> QuerySet[Event]:
    """The events behind the states, in order, without the states themselves."""
    return log.timeline(workflow_id, after=after).defer("state_snapshot", "data")


def state(workflow_id: UUID, seq: int) -> Event:
    """The event with this number, its state with it. Raises NotFound."""
    return _found(log.timeline(workflow_id).filter(seq=seq), [seq])[seq]


def difference(workflow_id: UUID, from_seq: int, to_seq: int) -> Difference:
    """What lies between two states, in either direction. Raises NotFound."""
    rows = log.timeline(workflow_id).filter(seq__in=(from_seq, to_seq))
    found = _found(rows, [from_seq, to_seq])
    one, other = found[from_seq], found[to_seq]
    before, after = whole(one.state_snapshot), whole(other.state_snapshot)
    rows_found = diff.rows(*_for_people(before, after), schema=_SCHEMA)
    return Difference(one, other, diff.patch(before, after), rows_found)


def _for_people(*states: dict[str, Any]) -> list[dict[str, Any]]:
    """The states with names instead of people's ids, and without what there is not."""
    ids = {state[name] for state in states for name in _PEOPLE if state[name]}
    names = {str(user.pk): str(user) for user in User.objects.filter(pk__in=ids)}
    return [
        {
            name: names.get(value, value) if name in _PEOPLE else value
            for name, value in state.items()
            if value is not None
        }
        for state in states
    ]


def _found(rows: QuerySet[Event], wanted: Sequence[int]) -> dict[int, Event]:
    found = {row.seq: row for row in rows}
    for seq in wanted:
        if seq not in found:
            raise NotFound(f"There is no state {seq}.")
    return found
