"""A database that is not where it was is noticed, once, by whoever asks first."""

import datetime as dt
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from events.models import Checkpoint, DatabaseHome, Restore
from events.postgres import current_identity
from events.proof import anchors
from events.restores import gate, noticing
from events.tasks import sweep_checkpoints
from hitl.accounts.models import Agent
from tests.racing import race
from tests.workflows.factories import make_workflow

whole = pytest.mark.django_db(transaction=True)


def move_from(identity: str) -> None:
    """As if the database had stood there when it was looked at last."""
    DatabaseHome.objects.update_or_create(pk=1, defaults={"identity": identity})


@pytest.fixture
def anchored(settings: Settings, tmp_path: Path, agent: Agent) -> Path:
    """A file that has the checkpoint of one request."""
    path = tmp_path / "checkpoints.jsonl"
    settings.CHECKPOINT_FILE = str(path)
    make_workflow(agent)
    sweep_checkpoints()
    assert len(list(anchors.read(path))) == 1
    return path


def forget_checkpoints() -> None:
    """As in a backup from before the first of them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM events_checkpointhead")
        cursor.execute("DELETE FROM events_checkpoint")
        cursor.execute("UPDATE events_checkpointchain SET number = 0, hash = ''")
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")
    assert not Checkpoint.objects.exists()


@pytest.mark.django_db
class TestIdentity:
    def test_at_home_nothing_is_noticed_and_it_costs_one_query(
        self, django_assert_num_queries: object
    ) -> None:
        noticing.look()
        with django_assert_num_queries(1):  # type: ignore[operator]
            assert gate.current() is None

    def test_the_first_look_makes_itself_at_home(self) -> None:
        DatabaseHome.objects.all().delete()
        assert gate.current() is None
        assert DatabaseHome.objects.get().identity == current_identity()

    def test_another_place_begins_a_restore_once(self) -> None:
        move_from("1/2/3/00000001")
        restore = gate.current()
        assert restore is not None
        assert "another place" in restore.why
        assert restore.evidence == f"1/2/3/00000001 > {current_identity()}"
        assert gate.current() == restore
        assert Restore.objects.count() == 1

    def test_a_marked_copy_says_what_it_is(self) -> None:
        move_from(noticing.mark("embedded"))
        restore = gate.current()
        assert restore is not None
        assert restore.why.startswith("The database is a copy: backup of embedded at ")

    def test_after_the_end_the_new_place_is_home(self) -> None:
        move_from("1/2/3/00000001")
        assert gate.current() is not None
        Restore.objects.update(is_open=False, ended_at=timezone.now())
        assert gate.current() is None

    @pytest.mark.parametrize(
        ("trusted", "before", "noticed"),
        [(False, "{place}/0000000A", True), (True, "{place}/0000000A", False),
         (True, "1/2/3/00000001", True), (True, "embedded", False)],
    )  # fmt: skip
    def test_promotion_counts_unless_it_is_trusted(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch,
        trusted: bool, before: str, noticed: bool,
    ) -> None:  # fmt: skip
        settings.TRUST_FAILOVER = trusted
        here = "7/8/9/0000000B" if before != "embedded" else "embedded"
        monkeypatch.setattr(noticing, "current_identity", lambda: here)
        move_from(before.format(place="7/8/9"))
        assert (noticing.notice() is not None) is noticed
        assert DatabaseHome.objects.get().identity == here


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestPostgres:
    def test_the_identity_names_cluster_database_table_and_timeline(self) -> None:
        cluster, database, table, timeline = current_identity().split("/")
        assert cluster.isdigit()
        assert len(timeline) == 8
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()::text, 'events_databasehome'::regclass::oid")
            assert cursor.fetchone()[1] == int(table)
            cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
            assert cursor.fetchone()[0] == int(database)

    def test_of_many_who_notice_at_once_one_begins(self) -> None:
        move_from("1/2/3/00000001")
        found = race(*([gate.current] * 6))
        assert len({restore.pk for restore in found}) == Restore.objects.count() == 1


@whole
class TestAnchors:
    def test_a_file_that_fits_says_nothing(self, anchored: Path) -> None:
        assert noticing.look() is None

    def test_a_file_that_knows_more_begins_a_restore(self, anchored: Path) -> None:
        forget_checkpoints()
        restore = noticing.look()
        assert restore is not None
        assert restore.evidence.startswith("checkpoint 1 ")

    def test_the_sweep_notices_it_too(self, anchored: Path) -> None:
        forget_checkpoints()
        sweep_checkpoints()
        assert Restore.objects.filter(is_open=True).exists()

    def test_what_one_restore_explains_begins_no_other(self, anchored: Path) -> None:
        forget_checkpoints()
        noticing.look()
        Restore.objects.update(is_open=False, ended_at=timezone.now())
        assert noticing.look() is None

    def test_checkpoints_made_after_the_last_restore_count_again(self, anchored: Path) -> None:
        forget_checkpoints()
        noticing.look()
        long_ago = timezone.now() - dt.timedelta(days=1)
        Restore.objects.update(is_open=False, ended_at=long_ago, created_at=long_ago)
        assert noticing.look() is not None
        assert Restore.objects.count() == 2

    def test_no_file_or_an_unreadable_one_says_nothing(
        self, anchored: Path, settings: Settings
    ) -> None:
        forget_checkpoints()
        anchored.write_text("torn\n")
        assert noticing.look() is None
        settings.CHECKPOINT_FILE = str(anchored.parent / "none")
        assert noticing.look() is None


@whole
def test_a_role_starts_also_where_the_database_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down() -> None:
        raise OperationalError("connection refused")

    assert noticing.look_at_start() is None
    monkeypatch.setattr(noticing, "look", down)
    assert noticing.look_at_start() is None
    assert "does not answer yet: connection refused" in caplog.text
