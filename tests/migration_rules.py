"""Which operations of migrations would lock a big table, or break the release that still runs."""

from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import models
from django.db.migrations import Migration, operations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from hitl.lib.online import AddIndexOnline

OURS = ("accounts", "deliveries", "events", "workflows")
# Tables that grow with every request.
BIG = frozenset({
    "deliveries.delivery", "deliveries.deliverytoken", "deliveries.replycode",
    "events.checkpointhead", "events.confirmation", "events.event", "events.eventstream",
    "events.webhookattempt", "events.webhookmessage",
    "workflows.decision", "workflows.executionattempt", "workflows.firedstep",
    "workflows.handover", "workflows.idempotencykey", "workflows.receipt", "workflows.remark",
    "workflows.ruleuse", "workflows.view", "workflows.withdrawal", "workflows.workflow",
})  # fmt: skip
# What the release before still reads must not go while it runs.
REMOVALS = (
    operations.AlterModelTable,
    operations.DeleteModel,
    operations.RemoveField,
    operations.RenameField,
    operations.RenameModel,
)
# Refused on big tables, whatever their arguments are.
ALWAYS = {
    operations.AddConstraint: "checks the whole table under its lock: add it NOT VALID first",
    operations.AlterUniqueTogether: "builds an index under a lock: use AddIndexOnline",
}


def complaints(migration: Migration, before: ProjectState) -> Iterator[str]:
    """What is wrong with a migration. `before` is the state that it starts from."""
    state = before.clone()
    made_here: set[str] = set()
    for operation in migration.operations:
        for wrong in _look(operation, migration, state, made_here):
            yield f"{migration.app_label}.{migration.name}: {wrong}"
        if isinstance(operation, operations.CreateModel):
            made_here.add(_label(migration, operation.name))
        operation.state_forwards(migration.app_label, state)


def _look(
    operation: Operation, migration: Migration, state: ProjectState, made_here: set[str]
) -> Iterator[str]:
    what = operation.describe()
    if isinstance(operation, operations.SeparateDatabaseAndState):
        for inner in operation.database_operations:
            yield from _look(inner, migration, state, made_here)
    elif isinstance(operation, operations.RunPython | operations.RunSQL):
        yield f"{what}: somebody has to read it, and name it as read"
    elif isinstance(operation, REMOVALS) and _target(operation, migration) not in made_here:
        yield f"{what}: the release before still reads it"
    elif _target(operation, migration) in BIG - made_here:
        yield from _on_big(operation, migration, state, what)


def _on_big(
    operation: Operation, migration: Migration, state: ProjectState, what: str
) -> Iterator[str]:
    if isinstance(operation, AddIndexOnline):
        if migration.atomic:
            yield f"{what}: needs atomic = False"
    elif isinstance(operation, AddConstraintNotValid):
        return
    elif isinstance(operation, operations.AddIndex):
        yield f"{what}: locks out writers: use AddIndexOnline"
    elif isinstance(operation, operations.AddField):
        yield from (f"{what}: {wrong}" for wrong in _new_field(operation.field))
    elif isinstance(operation, operations.AlterField):
        model = state.models[migration.app_label, operation.model_name_lower]
        if _column(model.fields[operation.name]) != _column(operation.field):
            yield f"{what}: rewrites or checks the whole table: use a new column"
    else:
        for kind, why in ALWAYS.items():
            if isinstance(operation, kind):
                yield f"{what}: {why}"


def _new_field(field: Any) -> Iterator[str]:
    if field.db_index or field.unique:
        yield "builds an index under a lock: db_index=False, then AddIndexOnline"
    default: Any = field.db_default
    if default is not models.NOT_PROVIDED and isinstance(default, models.Func):
        yield "computes a value for every row: add it with a constant, then change the default"
    if default is models.NOT_PROVIDED and not field.null and not field.many_to_many:
        # Django takes its own default away again, and the release before names no value.
        yield "cannot be left out by the release before: null=True, or a constant db_default"


def _column(field: Any) -> tuple[Any, ...]:
    """What of a field takes time to change."""
    _, path, args, kwargs = field.deconstruct()
    kept = {name: value for name, value in kwargs.items() if name not in _NOT_IN_DATABASE}
    return path, tuple(args), sorted((name, str(value)) for name, value in kept.items())


_NOT_IN_DATABASE = frozenset(models.Field.non_db_attrs) | {
    "default",
    "db_default",  # SET DEFAULT takes no time
}


def _target(operation: Operation, migration: Migration) -> str:
    name = getattr(operation, "model_name", None) or getattr(operation, "name", "")
    if isinstance(operation, operations.RenameModel):
        name = operation.old_name
    return _label(migration, str(name))


def _label(migration: Migration, model: str) -> str:
    return f"{migration.app_label}.{model}".lower()
