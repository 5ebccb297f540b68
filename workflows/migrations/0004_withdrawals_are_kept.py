"""On PostgreSQL, refuse any change of a withdrawal, as of the decisions they take back."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from events import postgres as log


def protect(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(log.APPEND_ONLY.format(table="workflows_withdrawal"))
        editor.execute(log.NO_TRUNCATE.format(table="workflows_withdrawal"))


def release(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP TRIGGER workflows_withdrawal_no_truncate ON workflows_withdrawal")
        editor.execute("DROP TRIGGER workflows_withdrawal_append_only ON workflows_withdrawal")


class Migration(migrations.Migration):
    dependencies = (("workflows", "0003_policies"), ("events", "0002_append_only"))
    operations = (migrations.RunPython(protect, release),)
