"""On PostgreSQL, refuse any change of an event."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from events import postgres


def protect(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute(postgres.REFUSE_CHANGE, params=None)
    editor.execute(postgres.APPEND_ONLY.format(table="events_event"))
    editor.execute(postgres.NO_TRUNCATE.format(table="events_event"))


def release(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute("DROP TRIGGER events_event_no_truncate ON events_event")
    editor.execute("DROP TRIGGER events_event_append_only ON events_event")
    editor.execute("DROP FUNCTION hitl_refuse_change()")


class Migration(migrations.Migration):
    dependencies = (("events", "0001_initial"),)
    operations = (migrations.RunPython(protect, release),)
