# ruff: noqa: S608  # the tests name tables themselves
"""Checkpoints: gapless, in order, over everything that is settled, whoever makes them and when."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from events.models import Checkpoint, CheckpointChain, CheckpointHead, Event, EventStream
from events.proof import anchors, checkpoints
from events.proof.findings import Kind
from events.tasks import sweep_checkpoints
from hitl.accounts.models import Agent
from hitl.lib import signing_keys
from tests.events.proof.tampering import cover, db_id, tamper, verify
from tests.events.test_services import note
from tests.racing import ROUNDS, race
from tests.workflows.factories import make_workflow

whole = pytest.mark.django_db(transaction=True)


def totals() -> checkpoints.Totals:
    last = checkpoints.newest()
    assert last is not None
    return checkpoints.read_totals(last)


def covered() -> dict[Any, int]:
    """How far the checkpoints reach, by workflow."""
    rows = CheckpointHead.objects.order_by("seq").values_list("workflow_id", "seq")
    return dict(rows)


def heads() -> dict[Any, int]:
    """How far the logs go, by workflow."""
    return dict(EventStream.objects.values_list("workflow_id", "last_seq"))


@whole
def test_a_sweep_covers_everything(agent: Agent) -> None:
    rows = [make_workflow(agent) for _ in range(3)]
    sweep_checkpoints()
    with transaction.atomic():
        note(rows[0])
    sweep_checkpoints()
    assert covered() == heads()
    assert (totals().events, totals().streams) == (Event.objects.count(), 3)
    assert verify().is_sound


@whole
def test_nothing_new_makes_no_checkpoint(agent: Agent) -> None:
    make_workflow(agent)
    sweep_checkpoints()
    sweep_checkpoints()
    assert Checkpoint.objects.count() == 1


@pytest.mark.django_db
def test_an_empty_log_needs_no_checkpoint() -> None:
    sweep_checkpoints()
    assert not Checkpoint.objects.exists()
    assert verify().is_sound


@whole
def test_a_quiet_hour_is_witnessed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    make_workflow(agent)
    sweep_checkpoints()
    monkeypatch.setattr(checkpoints, "KEEP_ALIVE", dt.timedelta())
    checkpoints.make()
    assert (Checkpoint.objects.count(), totals().heads) == (2, 0)
    assert verify().is_sound


@whole
def test_a_long_log_takes_several_checkpoints(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PAGE", 3)
    for _ in range(5):
        workflow = make_workflow(agent)
        with transaction.atomic():
            note(workflow)
    sweep_checkpoints()
    assert covered() == heads()
    assert Checkpoint.objects.count() > 2
    assert verify().is_sound


@pytest.mark.postgres
@whole
def test_what_commits_late_is_covered_later(agent: Agent) -> None:
    """A transaction that is open while others commit: its events come with a later checkpoint."""
    slow, quick = make_workflow(agent), make_workflow(agent)

    def fast() -> None:
        with transaction.atomic():
            note(quick)
        sweep_checkpoints()

    with transaction.atomic():
        note(slow)
        outcomes = race(fast)
        assert outcomes == [None]
    assert covered() != heads()
    sweep_checkpoints()
    assert covered() == heads()
    assert verify().is_sound


@whole
@pytest.mark.timeout(600)
def test_two_makers_and_traffic_leave_a_sound_chain(agent: Agent) -> None:
    workflow = make_workflow(agent)

    def traffic() -> None:
        with transaction.atomic():
            note(workflow)

    for _ in range(ROUNDS):
        race(sweep_checkpoints, traffic, sweep_checkpoints)
        assert verify().is_sound
    sweep_checkpoints()
    numbers = list(Checkpoint.objects.values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert covered() == heads()


@pytest.mark.django_db
def test_a_checkpoint_says_who_signed_what(agent: Agent) -> None:
    cover(make_workflow(agent))
    cover(make_workflow(agent))
    first, second = Checkpoint.objects.order_by("number")
    body = json.loads(second.body)
    assert (body["format"], body["number"]) == ("hitl.checkpoint/1", 2)
    assert body["previousHash"] == first.hash
    raw = bytes.fromhex(second.signature)
    assert signing_keys.verify(second.kid, raw, second.body.encode())


@pytest.mark.django_db
def test_nothing_is_built_on_a_chain_that_was_cut(agent: Agent) -> None:
    cover(make_workflow(agent))
    cover(make_workflow(agent))
    tamper("DELETE FROM events_checkpointhead WHERE checkpoint_id = 2")
    tamper("DELETE FROM events_checkpoint WHERE number = 2")
    with pytest.raises(checkpoints.BrokenChain):
        checkpoints.make(including=make_workflow(agent).pk)


@pytest.mark.django_db
def test_without_a_key_nothing_is_written(agent: Agent, settings: Settings) -> None:
    workflow = make_workflow(agent)
    settings.SIGNING_KEYS = []
    with pytest.raises(signing_keys.NoSigningKey):
        checkpoints.make(including=workflow.pk)
    assert not Checkpoint.objects.exists()
    assert not CheckpointChain.objects.filter(number__gt=0).exists()


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("table", ["events_checkpoint", "events_checkpointhead"])
@pytest.mark.parametrize("sql", ["UPDATE {} SET hash = ''", "DELETE FROM {}"])
def test_the_database_refuses_changes(agent: Agent, table: str, sql: str) -> None:
    cover(make_workflow(agent))
    with pytest.raises(DatabaseError, match="never changed or removed"), transaction.atomic():
        connection.cursor().execute(sql.format(table))


# --- Outside the database -------------------------------------------------------------------------


@pytest.fixture
def file(settings: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "kept" / "checkpoints.jsonl"
    settings.CHECKPOINT_FILE = str(path)
    return path


def kept(path: Path) -> list[int]:
    """The numbers in the file."""
    return [anchor.number for anchor in anchors.read(path) if anchor]


@pytest.mark.django_db
def test_each_checkpoint_is_kept_in_a_file(
    agent: Agent, file: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            cover(make_workflow(agent))
    assert kept(file) == [1, 2]
    found = verify(anchors=file)
    assert (found.is_sound, found.anchors) == (True, 2)


@pytest.mark.django_db
def test_what_the_file_lacks_is_written_with_the_next(agent: Agent, file: Path) -> None:
    for _ in range(3):
        cover(make_workflow(agent))
    anchors.extend(file)
    torn = file.read_bytes()[:-20]
    file.write_bytes(torn)
    anchors.extend(file)
    assert kept(file) == [1, 2, 3]
    found = verify(anchors=file)
    assert (found.is_sound, found.unreadable_anchors) == (True, 1)


@pytest.mark.django_db
def test_a_database_whose_end_was_cut_off_does_not_fit_the_file(agent: Agent, file: Path) -> None:
    """Checkpoint, chain and events alike: nothing within the database tells."""
    cover(make_workflow(agent))
    before = CheckpointChain.objects.get()
    later = make_workflow(agent)
    cover(later)
    anchors.extend(file)
    before.save()
    for table in ("events_checkpointhead", "events_event", "events_eventstream"):
        tamper(f"DELETE FROM {table} WHERE workflow_id = %s", db_id(later.pk))
    tamper("DELETE FROM events_checkpoint WHERE number = 2")
    tamper("DELETE FROM workflows_workflow WHERE id = %s", db_id(later.pk))
    assert verify().is_sound
    found = verify(anchors=file)
    assert found.kinds == {Kind.ANCHOR_MISSING: 1}
    assert found.kept[0].checkpoint == 2
    assert "missing from the database" in anchors.problem(file)
    transaction.set_rollback(True)


@pytest.mark.django_db
def test_a_chain_signed_anew_with_the_stolen_key_does_not_fit_the_file(
    agent: Agent, file: Path
) -> None:
    workflow = make_workflow(agent)
    cover(workflow)
    anchors.extend(file)
    tamper("DELETE FROM events_checkpointhead")
    tamper("DELETE FROM events_checkpoint")
    CheckpointChain.objects.all().delete()
    cover(workflow)
    assert verify().is_sound
    found = verify(anchors=file)
    assert found.kinds == {Kind.ANCHOR_DIFFERS: 1}
    with pytest.raises(anchors.OtherCheckpoints):
        anchors.extend(file)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["number", "body", "hash", "kid", "signature"])
def test_a_changed_line_of_the_file_is_found(agent: Agent, file: Path, name: str) -> None:
    cover(make_workflow(agent))
    anchors.extend(file)
    line = json.loads(file.read_text())
    line[name] = 7 if name == "number" else ("B" if line[name][0] == "A" else "A") + line[name][1:]
    file.write_text(json.dumps(line) + "\n")
    assert not verify(anchors=file).is_sound


@pytest.mark.django_db
def test_a_file_that_cannot_be_written_stops_nothing(
    agent: Agent, settings: Settings, caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    settings.CHECKPOINT_FILE = "/proc/nowhere/checkpoints.jsonl"
    with django_capture_on_commit_callbacks(execute=True):
        cover(make_workflow(agent))
    assert Checkpoint.objects.count() == 1
    assert "cannot be kept outside the database" in caplog.text
