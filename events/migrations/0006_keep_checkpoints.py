"""On PostgreSQL, refuse any change of a checkpoint and of what it covers."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from events import postgres

TABLES = ("events_checkpoint", "events_checkpointhead")


def protect(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    for table in TABLES:
        editor.execute(postgres.APPEND_ONLY.format(table=table))
        editor.execute(postgres.NO_TRUNCATE.format(table=table))


def release(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    for table in TABLES:
        editor.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
        editor.execute(f"DROP TRIGGER {table}_append_only ON {table}")


class Migration(migrations.Migration):
    dependencies = (("events", "0005_checkpoints"),)
    operations = (migrations.RunPython(protect, release),)
