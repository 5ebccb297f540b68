"""Backups of an embedded server, and the command by which people work off a restored one."""

import sqlite3
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from events.models import Confirmation, Event, Restore
from events.restores import gate, noticing
from events.types import EventType
from hitl import backups
from hitl.accounts.models import Agent, User
from hitl.lib.errors import Conflict, NotFound
from tests.workflows.factories import decide, make_workflow
from workflows.models import Status, Workflow

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A small database in WAL mode, with something in the log beside the file."""
    path = tmp_path / "hitl.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE events_event (id integer)")
        connection.execute("CREATE TABLE events_databasehome (id integer PRIMARY KEY, identity)")
        connection.execute("INSERT INTO events_databasehome VALUES (1, 'embedded')")
        connection.execute("INSERT INTO events_event VALUES (7)")
    return path


def rows(path: Path, table: str = "events_event", column: str = "id") -> list[object]:
    with sqlite3.connect(path) as connection:
        return [row[0] for row in connection.execute(f"SELECT {column} FROM {table}")]  # noqa: S608


class TestFiles:
    def test_a_copy_is_whole_and_marked_and_the_original_is_not(
        self, database: Path, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        writer = sqlite3.connect(database)
        writer.execute("INSERT INTO events_event VALUES (8)")
        writer.commit()  # stands in the log of a connection that is still open
        backups.take(database, copy)
        writer.close()
        assert rows(copy) == [7, 8]
        assert rows(copy, "events_databasehome", "identity") != ["embedded"]
        assert rows(database, "events_databasehome", "identity") == ["embedded"]
        assert copy.stat().st_mode & 0o077 == 0
        assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy"]

    def test_nothing_is_overwritten(self, database: Path, tmp_path: Path) -> None:
        (tmp_path / "copy").write_text("mine")
        with pytest.raises(Conflict, match="exists"):
            backups.take(database, tmp_path / "copy")
        with pytest.raises(NotFound):
            backups.take(tmp_path / "none", tmp_path / "other")

    def test_what_was_there_is_kept_with_its_log(self, database: Path, tmp_path: Path) -> None:
        backups.take(database, tmp_path / "copy")
        late = sqlite3.connect(database)
        late.execute("INSERT INTO events_event VALUES (9)")
        late.commit()
        aside = backups.put_back(tmp_path / "copy", database)
        assert aside is not None
        assert Path(f"{aside}-wal").exists()
        late.close()
        assert rows(database) == [7]
        assert rows(aside) == [7, 9]

    def test_into_an_empty_folder(self, database: Path, tmp_path: Path) -> None:
        backups.take(database, tmp_path / "copy")
        target = tmp_path / "fresh.sqlite3"
        assert backups.put_back(tmp_path / "copy", target) is None
        assert rows(target) == [7]

    @pytest.mark.parametrize("content", [b"no database at all", b""])
    def test_something_else_changes_nothing(
        self, database: Path, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "copy").write_bytes(content)
        with pytest.raises(backups.NotABackup):
            backups.put_back(tmp_path / "copy", database)
        assert rows(database) == [7]
        with pytest.raises(NotFound):
            backups.put_back(tmp_path / "none", database)

    def test_a_damaged_backup_changes_nothing(self, database: Path, tmp_path: Path) -> None:
        with sqlite3.connect(database) as connection:
            connection.executemany(
                "INSERT INTO events_event VALUES (?)", [(n,) for n in range(9999)]
            )
        copy = tmp_path / "copy"
        backups.take(database, copy)
        torn = bytearray(copy.read_bytes())
        torn[8192:12288] = b"\xff" * 4096
        copy.write_bytes(bytes(torn))
        with pytest.raises(backups.NotABackup):
            backups.put_back(copy, database)
        assert len(rows(database)) == 10_000


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_with_postgresql_its_own_tools_are_named(
    command: str, settings: Settings, tmp_path: Path
) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="PostgreSQL"):
        call_command(command, str(tmp_path / "copy"))


# --- manage.py reconcile --------------------------------------------------------------------------


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", "correct horse battery")


def status(workflow: Workflow) -> str:
    return Workflow.objects.get(pk=workflow.pk).status


@pytest.mark.django_db
class TestReconcile:
    def test_it_lists_what_waits(self, agent: Agent, capsys: Capture) -> None:
        workflow = make_workflow(agent)
        call_command("reconcile")
        assert "not a restored one" in capsys.readouterr().err
        noticing.begin("The disk died.")
        call_command("reconcile", "--list")
        shown = capsys.readouterr()
        assert shown.out.split("\t")[:2] == [str(workflow.pk), "PENDING"]
        assert "The disk died." in shown.err
        assert "1 requests wait" in shown.err

    def test_the_whole_way(
        self, agent: Agent, approver: User, manager: User, root: User, capsys: Capture
    ) -> None:
        done, other, third = (make_workflow(agent) for _ in range(3))
        decide(done, approver)
        call_command("reconcile", "--begin", "--as", root.email, "--reason", "Restored it")
        assert "Restored it" in Restore.objects.get().why
        said = ("--as", manager.email, "--reason", "I looked")
        call_command("reconcile", "--executed", str(done.pk), *said)
        with pytest.raises(CommandError, match="2 requests wait"):
            call_command("reconcile", "--end", "--as", root.email)
        call_command("reconcile", "--not-executed", "all", *said)
        call_command("reconcile", "--end", "--as", root.email)
        assert [status(each) for each in (done, other, third)] == [
            Status.COMPLETED, Status.PENDING, Status.PENDING,
        ]  # fmt: skip
        assert gate.current() is None
        assert "Everything goes on." in capsys.readouterr().err
        events = Event.objects.filter(type=EventType.WORKFLOW_RECONCILED)
        assert {event.source for event in events} == {"command"}
        assert Confirmation.objects.count() == 3

    def test_as_recorded(self, agent: Agent, root: User) -> None:
        workflow = make_workflow(agent)
        noticing.begin("Moved to another machine.")
        said = ("--as", root.email, "--reason", "It was off")
        call_command("reconcile", "--as-recorded", "all", *said)
        assert not gate.holds(workflow.pk)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--end"], "--as EMAIL"),
            (["--end", "--as", "nobody@example.com"], "Nobody logs in"),
            (["--end", "--as", "root@example.com"], "No restored backup"),
            (["--executed", "x", "--as", "root@example.com", "--reason", "r"], "not the id"),
            (["--executed", "all", "--as", "root@example.com"], "No restored backup"),
            (["--begin", "--as", "root@example.com"], "Say how you know"),
        ],
    )
    def test_mistakes_are_told(self, root: User, arguments: list[str], says: str) -> None:
        with pytest.raises(CommandError, match=says):
            call_command("reconcile", *arguments)
