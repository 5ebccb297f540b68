"""The content that is put together from stored texts is what was hashed, byte for byte."""

import datetime as dt
import hashlib
import json
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from events import services
from events.models import Event
from events.proof import chain
from events.proof.chain import StoredEvent
from hitl.lib import canonical

texts = st.text(max_size=20)  # whole characters only, as strict_json lets in
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)
moments = st.datetimes(timezones=st.just(dt.UTC))


@st.composite
def events(draw: st.DrawFn) -> Event:
    return Event(
        pk=draw(st.integers(1)),
        xid=0,
        workflow_id=draw(st.uuids()),
        team_id=draw(st.uuids()),
        seq=draw(st.integers(1, 10**9)),
        round=draw(st.integers(1, 30_000)),
        type=draw(texts),
        status=draw(texts),
        data=draw(objects),
        actor=draw(objects),
        source=draw(texts),
        state_snapshot=draw(objects),
        timestamp=draw(moments),
        previous_hash=draw(texts),
    )


def stored(event: Event) -> StoredEvent:
    """As the database keeps it."""
    names = {name: getattr(event, name) for name in StoredEvent._fields if name != "id"}
    for name in ("data", "actor", "state_snapshot"):
        names[name] = canonical.dumps(names[name]).decode()
    names["timestamp"] = event.timestamp.isoformat(timespec="microseconds")
    ids = {name: str(names[name]) for name in ("workflow_id", "team_id")}
    return StoredEvent(id=event.pk, **(names | ids | {"hash": services.digest(event)}))


@given(events())
def test_stored_texts_give_the_hash_of_the_event(event: Event) -> None:
    row = stored(event)
    assert chain.digest(row) == services.digest(event)
    assert canonical.dumps(json.loads(chain.content(row))) == chain.content(row)


@given(events(), st.data())
def test_a_change_of_one_column_gives_another_hash(event: Event, data: st.DataObject) -> None:
    row = stored(event)
    name = data.draw(st.sampled_from(sorted(set(StoredEvent._fields) - {"id", "xid", "hash"})))
    value = getattr(row, name)
    other = data.draw(st.integers() if isinstance(value, int) else texts)
    assert other == value or chain.digest(changed(row, **{name: other})) != row.hash


def test_text_cannot_be_moved_from_one_column_into_the_next() -> None:
    """The bytes side by side would be the same; an agent can prepare them in its own data."""
    trap = {"a": 1, "data": {"b": 2}}
    row = plain(actor=canonical.dumps(trap).decode(), data="{}")
    moved = row._replace(actor='{"a":1', data='{"b":2}},"data":{}')
    joined = [f'{each.actor},"data":{each.data}' for each in (row, moved)]
    assert joined[0] == joined[1]
    assert chain.digest(moved) == ""


def changed(row: StoredEvent, **changes: Any) -> StoredEvent:
    """With anything in place of what should be there."""
    return StoredEvent(**(row._asdict() | changes))


def plain(**changes: str) -> StoredEvent:
    names = ("type", "status", "source", "previous_hash", "hash")
    row = StoredEvent(
        id=1, xid=0, workflow_id=str(UUID(int=1)), team_id=str(UUID(int=2)), seq=1, round=1,
        timestamp="2026-11-23T17:45:00.000000+00:00", data="{}", actor="{}", state_snapshot="{}",
        **dict.fromkeys(names, ""),
    )  # fmt: skip
    return changed(row, **changes)


def test_a_text_that_is_none_at_all_has_no_hash() -> None:
    for value in (None, b"{}", "", "{", "{} {}", "[" * 100_000):
        assert chain.digest(changed(plain(), data=value)) == ""


def test_the_hash_is_that_of_the_plain_content() -> None:
    """Spelled out once, so that neither function can drift with the other."""
    content = (
        '{"actor":{},"data":{},"previousHash":"","round":1,"seq":1,"source":"","stateSnapshot":{},'
        '"status":"","teamId":"00000000-0000-0000-0000-000000000002",'
        '"timestamp":"2026-11-23T17:45:00.000000+00:00","type":"",'
        '"workflowId":"00000000-0000-0000-0000-000000000001"}'
    )
    assert chain.digest(plain()) == hashlib.sha256(content.encode()).hexdigest()
