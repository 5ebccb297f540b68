"""The content of an event as it was hashed, put together from the texts that are stored.

Nothing is parsed and written anew, so whatever is changed in a stored text changes the hash.
Invariant: for every event, `content(...)` is what `events.services.digest` hashes, byte for byte.
"""

import hashlib
import json
import re
from typing import Any, NamedTuple

from hitl.lib import canonical

_read = json.JSONDecoder().decode
_PLAIN = re.compile(r"[A-Za-z0-9 .:_+-]*", re.ASCII)


class StoredEvent(NamedTuple):
    """One row of the log as text, just as the database keeps it. `timestamp` is ISO 8601, UTC."""

    id: int
    xid: int
    workflow_id: str
    team_id: str
    seq: int
    round: int
    type: str
    status: str
    data: str
    actor: str
    source: str
    state_snapshot: str
    timestamp: str
    previous_hash: str
    hash: str

    @property
    def place(self) -> str:
        """Where it stands in the feed of all workflows."""
        return f"{self.xid}-{self.id}"


class NotCanonical(ValueError):
    """A stored text is no JSON value, so nothing we wrote is in it."""


def content(event: StoredEvent) -> bytes:
    """The canonical content (RFC 8785: keys in order). Raises NotCanonical."""
    _require_value(event.actor)
    _require_value(event.data)
    return (
        f'{{"actor":{event.actor},"data":{event.data}'
        f',"previousHash":{_quoted(event.previous_hash)},"round":{event.round:d}'
        f',"seq":{event.seq:d},"source":{_quoted(event.source)}'
        f',"stateSnapshot":{event.state_snapshot},"status":{_quoted(event.status)}'
        f',"teamId":"{event.team_id}","timestamp":"{event.timestamp}"'
        f',"type":{_quoted(event.type)},"workflowId":"{event.workflow_id}"}}'
    ).encode("utf-8", "surrogateescape")


def digest(event: StoredEvent) -> str:
    """The hash that the event must carry; "" where its texts are not what we ever write."""
    try:
        return hashlib.sha256(content(event)).hexdigest()
    except (TypeError, ValueError):
        return ""


def _require_value(text: str) -> None:
    """Without it text could be moved from one column into the next, and the whole stay the same.

    Actor and data have a definite end then, and with it the snapshot, whose right neighbours are
    quoted here; so it need not be read, which is what takes long.
    """
    try:
        _read(text)
    except (TypeError, ValueError, RecursionError):
        raise NotCanonical from None


def _quoted(text: Any) -> str:
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return canonical.dumps(text).decode()
