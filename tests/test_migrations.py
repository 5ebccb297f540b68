"""Migrations run beside traffic on tables of any size: each of them is read here."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from events.postgres import FeedNow
from hitl.lib.online import AddIndexOnline
from tests.migration_rules import OURS, complaints

# From before the rule, or read and found harmless: functions and triggers that are defined, and
# values for a column that had just been added. Nothing new may join the first group.
BEFORE = {
    "deliveries.0002_waves", "events.0004_feed",
    "workflows.0003_policies", "workflows.0005_whom_it_asks", "workflows.0007_rollback",
    "workflows.0009_statistics", "workflows.0011_fewer_indexes",
}  # fmt: skip
READ = {
    "events.0002_append_only", "events.0006_keep_checkpoints", "events.0008_restores",
    "workflows.0002_guard_status", "workflows.0004_withdrawals_are_kept",
    "workflows.0008_guard_rollback",
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What is wrong, by migration."""
    return {name: wrong for name, wrong in _look() if wrong}


def _look() -> Iterator[tuple[str, list[str]]]:
    loader = MigrationLoader(None)
    for key in sorted(loader.disk_migrations):
        if key[0] in OURS:
            migration = loader.get_migration(*key)
            before = loader.project_state(key, at_end=False)
            yield ".".join(key), list(complaints(migration, before))


def test_no_migration_locks_a_big_table(found: dict[str, list[str]]) -> None:
    new = [wrong for name, each in found.items() if name not in BEFORE | READ for wrong in each]
    assert new == []


def test_no_exception_is_left_behind(found: dict[str, list[str]]) -> None:
    assert sorted((BEFORE | READ) - set(found)) == []


def test_what_was_read_does_nothing_else(found: dict[str, list[str]]) -> None:
    others = [
        wrong for name in READ for wrong in found[name] if "somebody has to read it" not in wrong
    ]
    assert others == []


# --- Whether the rules have teeth -----------------------------------------------------------------

INDEX = models.Index(fields=["name"], name="by_name")
CHECK = models.CheckConstraint(condition=models.Q(number__gt=0), name="positive")


def said(*operations: Operation, atomic: bool = True, model: str = "event") -> list[str]:
    """What is said of a migration of an app with one model."""
    state = ProjectState()
    fields: list[tuple[str, Any]] = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=10)),
        ("number", models.IntegerField()),
    ]
    state.add_model(ModelState("events", model, fields))
    values = {"operations": operations, "atomic": atomic}
    kind = type("Migration", (migrations.Migration,), values)
    return list(complaints(kind("0099_test", "events"), state))


def add(field: Any) -> Operation:
    return migrations.AddField("event", "more", field)


def alter(field: Any) -> Operation:
    return migrations.AlterField("event", "name", field)


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (migrations.AddIndex("event", INDEX), "use AddIndexOnline"),
        (AddIndexOnline("event", INDEX), "atomic = False"),
        (migrations.AddConstraint("event", CHECK), "NOT VALID"),
        (migrations.AlterUniqueTogether("event", {("name", "number")}), "under a lock"),
        (add(models.IntegerField(null=True, db_index=True)), "builds an index"),
        (add(models.IntegerField(null=True, unique=True)), "builds an index"),
        (add(models.ForeignKey("events.Event", models.PROTECT, null=True)), "builds an index"),
        (add(models.BigIntegerField(db_default=FeedNow())), "for every row"),
        (add(models.IntegerField(default=0)), "db_default"),
        (add(models.CharField(max_length=5)), "db_default"),
        (alter(models.TextField()), "new column"),
        (alter(models.CharField(max_length=10, db_index=True)), "new column"),
        (alter(models.CharField(max_length=10, null=True)), "new column"),
        (migrations.RemoveField("event", "name"), "still reads"),
        (migrations.RenameField("event", "name", "title"), "still reads"),
        (migrations.DeleteModel("Event"), "still reads"),
        (migrations.RenameModel("Event", "Fact"), "still reads"),
        (migrations.AlterModelTable("event", "facts"), "still reads"),
        (migrations.RunSQL("UPDATE events_event SET name = ''"), "has to read it"),
        (migrations.RunPython(migrations.RunPython.noop), "has to read it"),
        (
            migrations.SeparateDatabaseAndState([migrations.AddIndex("event", INDEX)], []),
            "use AddIndexOnline",
        ),
    ],
)
def test_what_is_refused(operation: Operation, says: str) -> None:
    [sentence] = said(operation)
    assert says in sentence
    assert sentence.startswith("events.0099_test: ")


@pytest.mark.parametrize(
    "operation",
    [
        add(models.IntegerField(null=True)),
        add(models.IntegerField(db_default=0)),
        add(models.ForeignKey("events.Event", models.PROTECT, null=True, db_index=False)),
        alter(models.CharField(max_length=10, help_text="Another word.", default="x")),
        AddConstraintNotValid("event", CHECK),
        migrations.RemoveIndex("event", "by_name"),
        migrations.AlterModelOptions("event", {"ordering": ("id",)}),
    ],
)
def test_what_is_allowed(operation: Operation) -> None:
    if isinstance(operation, migrations.RemoveIndex):
        assert said(AddIndexOnline("event", INDEX), operation, atomic=False) == []
    else:
        assert said(operation) == []


def test_a_table_that_is_new_or_small_may_be_locked() -> None:
    made = migrations.CreateModel("Delivery", [("id", models.BigAutoField(primary_key=True)),
                                               ("name", models.TextField())])  # fmt: skip
    index = migrations.AddIndex("delivery", INDEX)
    assert said(made, index, migrations.RemoveField("delivery", "name")) == []
    assert said(migrations.AddIndex("small", INDEX), model="small") == []
    assert said(AddIndexOnline("event", INDEX), atomic=False) == []
