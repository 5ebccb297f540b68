"""On PostgreSQL, refuse a status written past the State Manager, and any change of a decision."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from events import postgres as log
from workflows import postgres


def protect(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute(postgres.guard(postgres.MOVES_1), params=None)
    editor.execute(postgres.GUARD_TRIGGER)
    editor.execute(log.APPEND_ONLY.format(table="workflows_decision"))
    editor.execute(log.NO_TRUNCATE.format(table="workflows_decision"))


def release(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute("DROP TRIGGER workflows_decision_no_truncate ON workflows_decision")
    editor.execute("DROP TRIGGER workflows_decision_append_only ON workflows_decision")
    editor.execute("DROP TRIGGER workflow_guard_status ON workflows_workflow")
    editor.execute("DROP FUNCTION hitl_guard_status()")


class Migration(migrations.Migration):
    dependencies = (("workflows", "0001_initial"), ("events", "0002_append_only"))
    operations = (migrations.RunPython(protect, release),)
