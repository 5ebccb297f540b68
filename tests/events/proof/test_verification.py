# ruff: noqa: S608  # the tests name tables and columns themselves
"""Whatever is changed in the log by SQL is found, and the finding says where."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from events import services
from events.models import Checkpoint, CheckpointChain, CheckpointHead, Event, EventStream
from events.proof import checkpoints, tree
from events.proof.findings import Kind
from hitl.accounts.models import Agent, User
from hitl.lib import canonical, signing_keys
from tests.events.proof.tampering import cover, db_id, small_life, tamper, verify
from tests.workflows.factories import make_workflow
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

OTHER_ID = "01932f5e-7a10-7000-8000-00000000dead"
OTHER_HASH = "0" * 64
# One other value for every column, as SQL.
CHANGES = {
    "id": "id + 100000",
    "xid": "xid + 1",
    "workflow_id": "{other}",
    "team_id": "{other}",
    "seq": "seq + 100",
    "round": "round + 1",
    "type": "type || 'x'",
    "status": "'UNKNOWN'",
    "data": "replace(data, '{{', '{{ ')",
    "actor": "replace(actor, 'a', 'A')",
    "source": "source || 'x'",
    "state_snapshot": "replace(state_snapshot, '120', '121')",
    "timestamp": "{later}",
    "previous_hash": f"'{OTHER_HASH}'",
    "hash": f"'{OTHER_HASH}'",
}


def changed(expression: str, column: str) -> str:
    postgres = connection.vendor == "postgresql"
    other = OTHER_ID if postgres else OTHER_ID.replace("-", "")
    later = (
        f"{column} + interval '1 microsecond'"
        if postgres
        else f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {column}, '+1 second') || '.000001'"
    )
    return expression.format(other=f"'{other}'", later=later)


@pytest.fixture
def workflow(agent: Agent, approver: User) -> Iterator[Workflow]:
    yield small_life(agent, approver)
    transaction.set_rollback(True)  # what was torn apart is not to be checked for loose ends


def columns(model: Any) -> set[str]:
    return {field.column for field in model._meta.concrete_fields}


def test_what_nobody_touched_is_sound(workflow: Workflow) -> None:
    found = verify()
    assert found.is_sound, found.kept
    assert (found.workflows, found.checkpoints, found.uncovered) == (2, 3, 0)
    assert found.events == Event.objects.count()


def test_the_table_names_every_column() -> None:
    assert columns(Event) == set(CHANGES)


@pytest.mark.parametrize("column", sorted(CHANGES))
def test_each_column_of_each_event_is_guarded(workflow: Workflow, column: str) -> None:
    for event in Event.objects.filter(workflow=workflow).order_by("seq"):
        row = [event.pk]
        before = value_of("events_event", column, event.pk)
        expression = changed(CHANGES[column], column)
        tamper(f"UPDATE events_event SET {column} = {expression} WHERE id = %s", *row)
        if column == "id":
            row = [event.pk + 100_000]
        if value_of("events_event", column, row[0]) == before:
            continue  # this one has nothing that the change would change
        found = verify()
        assert not found.is_sound, (column, event.seq)
        # A place in the feed is seen to be wrong by the event after it.
        near = {event.seq, event.seq + 1} if column in ("id", "xid") else {event.seq}
        assert near & named(found, workflow), (column, event.seq, found.kept)
        tamper(f"UPDATE events_event SET {column} = %s WHERE id = %s", before, *row)
        assert verify().is_sound


def value_of(table: str, column: str, row_id: int) -> Any:
    """As it is stored."""
    is_text = connection.vendor == "postgresql" and column == "timestamp"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column}{'::text' if is_text else ''} FROM {table} WHERE id = %s", [row_id]
        )
        return cursor.fetchone()[0]


def named(found: Any, workflow: Workflow) -> set[int]:
    """The numbers of this workflow's events that findings are about."""
    return {each.seq for each in found.kept if each.workflow_id == str(workflow.pk)}


# --- Whole events and logs ------------------------------------------------------------------------


def forget(table: str, workflow: Workflow, condition: str = "1 = 1") -> None:
    tamper(f"DELETE FROM {table} WHERE workflow_id = %s AND {condition}", db_id(workflow.pk))


@pytest.mark.parametrize(("seqs", "first"), [("1", 1), ("3", 3), ("4", 4), ("2, 3, 4", 2)])
def test_removed_events_are_found(workflow: Workflow, seqs: str, first: int) -> None:
    forget("events_event", workflow, f"seq IN ({seqs})")
    found = verify()
    bad = found.first()
    assert bad is not None
    assert (bad.kind, bad.workflow_id, bad.seq) == (Kind.EVENT_MISSING, str(workflow.pk), first)


def test_a_tail_that_was_cut_off_with_its_head_is_found(workflow: Workflow) -> None:
    """The chain that is left is sound in itself: only the checkpoint knows better."""
    forget("events_event", workflow, "seq > 1")
    rewind(workflow, 1)
    found = verify()
    assert named(found, workflow) == {2}
    assert found.kinds == {Kind.EVENT_MISSING: 1}


def rewind(workflow: Workflow, seq: int) -> None:
    """Let the head, and the row, say that event `seq` is the last."""
    event = Event.objects.get(workflow=workflow, seq=seq)
    stream = EventStream(
        workflow_id=workflow.pk,
        team_id=event.team_id,
        last_seq=seq,
        head_hash=event.hash,
        last_timestamp=event.timestamp,
        last_xid=event.xid,
    )
    stream.save()
    tamper(
        "UPDATE workflows_workflow SET status = %s, event_seq = %s, decision = '',"
        " responded_at = NULL WHERE id = %s",
        *(event.status, seq, db_id(workflow.pk)),
    )


def test_two_events_that_swapped_their_numbers_are_found(workflow: Workflow) -> None:
    pk = db_id(workflow.pk)
    for to, was in ((99, 2), (2, 3), (3, 99)):
        tamper("UPDATE events_event SET seq = %s WHERE workflow_id = %s AND seq = %s", to, pk, was)
    assert {2, 3} <= named(verify(), workflow)


def test_an_event_put_in_between_is_found(workflow: Workflow) -> None:
    pk = db_id(workflow.pk)
    tamper("UPDATE events_event SET seq = seq + 10 WHERE workflow_id = %s AND seq > 2", pk)
    tamper("UPDATE events_event SET seq = seq - 9 WHERE workflow_id = %s AND seq > 2", pk)
    invented = Event.objects.get(workflow=workflow, seq=2)
    invented.pk, invented.seq = None, 3
    invented.save(force_insert=True)
    assert min(named(verify(), workflow)) == 3


def test_a_log_rewritten_with_good_hashes_is_found(workflow: Workflow) -> None:
    """Whoever knows the code can chain anew; the checkpoint remembers what was."""
    rewrite(workflow)
    found = verify()
    assert set(found.kinds) == {Kind.EVENT_REPLACED}
    assert named(found, workflow) >= {3}


def rewrite(workflow: Workflow) -> None:
    previous = ""
    for event in Event.objects.filter(workflow=workflow).order_by("seq"):
        event.previous_hash = previous
        if event.seq == 2:
            event.data = {"changed": True}
        event.hash = previous = services.digest(event)
        values = (canonical.dumps(event.data).decode(), event.previous_hash, event.hash, event.pk)
        tamper(
            "UPDATE events_event SET data = %s, previous_hash = %s, hash = %s WHERE id = %s",
            *values,
        )
    rewind_head = EventStream.objects.get(pk=workflow.pk)
    rewind_head.head_hash = previous
    rewind_head.save()


@pytest.mark.parametrize(
    ("tables", "kind"),
    [
        (["events_event"], Kind.EVENT_MISSING),
        (["events_event", "events_eventstream"], Kind.EVENT_MISSING),
        (["events_eventstream"], Kind.HEAD_MISSING),
    ],
)
def test_a_log_that_is_gone_is_found(workflow: Workflow, tables: list[str], kind: Kind) -> None:
    for table in tables:
        forget(table, workflow)
    found = verify()
    assert kind in found.kinds
    assert {each.workflow_id for each in found.kept} == {str(workflow.pk)}


STREAM_CHANGES = {
    "team_id": "{other}",
    "last_seq": "last_seq - 1",
    "head_hash": f"'{OTHER_HASH}'",
    "last_timestamp": "{later}",
    "last_xid": "last_xid + 1",
    "workflow_id": "{other}",
}


@pytest.mark.parametrize("column", sorted(columns(EventStream)))
def test_each_column_of_a_head_is_guarded(workflow: Workflow, column: str) -> None:
    expression = changed(STREAM_CHANGES[column], column)
    tamper(
        f"UPDATE events_eventstream SET {column} = {expression} WHERE workflow_id = %s",
        db_id(workflow.pk),
    )
    assert {Kind.HEAD_CHANGED, Kind.HEAD_MISSING, Kind.EVENT_MISSING} & set(verify().kinds)


@pytest.mark.parametrize("column", ["status", "round", "event_seq", "team_id"])
def test_a_row_that_stands_otherwise_than_its_log_is_found(
    workflow: Workflow, stranger: User, column: str
) -> None:
    other = db_id(stranger.memberships.get().team_id)
    value = {"status": "FAILED", "round": 2, "event_seq": 1, "team_id": other}[column]
    tamper(f"UPDATE workflows_workflow SET {column} = %s WHERE id = %s", value, db_id(workflow.pk))
    found = verify()
    assert set(found.kinds) == {Kind.WORKFLOW_CHANGED}
    assert {each.workflow_id for each in found.kept} == {str(workflow.pk)}


# --- Checkpoints ----------------------------------------------------------------------------------

CHECKPOINT_CHANGES = {
    "number": "number + 10",
    "made_at": "{later}",
    "totals": "replace(totals, '1', '2')",
    "body": "replace(body, 'root', 'rood')",
    "hash": f"'{OTHER_HASH}'",
    "kid": "kid || 'x'",
    "signature": "upper(signature)",
}
CHECKPOINT_HEAD_CHANGES = {
    "checkpoint_id": "checkpoint_id + 1",
    "leaf": "leaf + 1",
    "workflow_id": "{other}",
    "seq": "seq + 1",
    "hash": f"'{OTHER_HASH}'",
    "places": f"'{OTHER_HASH}'",
}


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("column", sorted(columns(Checkpoint)))
def test_each_column_of_a_checkpoint_is_guarded(
    workflow: Workflow, column: str, number: int
) -> None:
    expression = changed(CHECKPOINT_CHANGES[column], column)
    tamper(f"UPDATE events_checkpoint SET {column} = {expression} WHERE number = %s", number)
    found = verify()
    assert number in {each.checkpoint for each in found.kept}, found.kept
    assert not named(found, workflow) or column == "totals"


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("column", sorted(columns(CheckpointHead)))
def test_each_column_of_a_checkpoints_head_is_guarded(
    workflow: Workflow, column: str, number: int
) -> None:
    if column == "checkpoint_id":
        tamper("UPDATE events_checkpointhead SET leaf = leaf + 1 WHERE checkpoint_id <> %s", number)
    expression = changed(CHECKPOINT_HEAD_CHANGES[column], column)
    tamper(
        f"UPDATE events_checkpointhead SET {column} = {expression} WHERE checkpoint_id = %s", number
    )
    found = verify()
    assert Kind.HEADS_CHANGED in found.kinds
    assert number in {each.checkpoint for each in found.kept}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_removed_checkpoint_is_found(workflow: Workflow, number: int) -> None:
    tamper("DELETE FROM events_checkpoint WHERE number = %s", number)
    found = verify()
    assert Kind.CHECKPOINT_MISSING in found.kinds
    assert number in {each.checkpoint for each in found.kept}


def test_checkpoints_that_swapped_their_numbers_are_found(workflow: Workflow) -> None:
    for to, was in ((9, 1), (1, 2), (2, 9)):
        tamper("UPDATE events_checkpoint SET number = %s WHERE number = %s", to, was)
    assert Kind.CHECKPOINT_CHANGED in verify().kinds


def test_an_invented_checkpoint_is_found(workflow: Workflow) -> None:
    """Without the key nobody can sign; a signature of another checkpoint does not fit."""
    last = Checkpoint.objects.get(number=3)
    text = checkpoints.body(4, last.made_at, last.hash, tree.root([last.totals.encode()]))
    digest = hashlib.sha256(text.encode()).hexdigest()
    Checkpoint.objects.create(
        number=4, made_at=last.made_at, totals=last.totals, body=text, hash=digest,
        kid=last.kid, signature=last.signature,
    )  # fmt: skip
    CheckpointChain.objects.update(number=4, hash=digest)
    found = verify()
    assert found.kinds == {Kind.SIGNATURE_BAD: 1}
    assert found.kept[0].checkpoint == 4


@pytest.mark.parametrize("change", ["number = 2", f"hash = '{OTHER_HASH}'", "number = 4"])
def test_a_changed_row_of_the_chain_is_found(workflow: Workflow, change: str) -> None:
    tamper(f"UPDATE events_checkpointchain SET {change}")
    assert not verify().is_sound


def test_a_removed_row_of_the_chain_is_found(workflow: Workflow) -> None:
    tamper("DELETE FROM events_checkpointchain")
    assert verify().kinds == {Kind.CHAIN_HEAD_CHANGED: 1}


def test_a_key_that_was_taken_away_is_named(workflow: Workflow, settings: Settings) -> None:
    settings.SIGNING_KEYS = [signing_keys.generate()]
    found = verify()
    assert found.kinds == {Kind.KEY_UNKNOWN: 3}
    assert "a key" in found.kept[0].says


def test_keys_that_replace_each_other_leave_all_signatures_good(
    workflow: Workflow, settings: Settings, agent: Agent
) -> None:
    old = settings.SIGNING_KEYS[0]
    settings.SIGNING_KEYS = [signing_keys.generate(), signing_keys.public_half(old)]
    cover(make_workflow(agent))
    assert len(set(Checkpoint.objects.values_list("kid", flat=True))) == 2
    assert verify().is_sound
