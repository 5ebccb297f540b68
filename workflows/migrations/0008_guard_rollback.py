"""On PostgreSQL, let a rollback restore a state in a new round, and nothing else open a round."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from workflows import postgres


def allow(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(postgres.guard_2(postgres.MOVES_2, postgres.ROLLBACKS_2), params=None)


def forbid(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(postgres.guard(postgres.MOVES_1), params=None)


class Migration(migrations.Migration):
    dependencies = (("workflows", "0007_rollback"),)
    operations = (migrations.RunPython(allow, forbid),)
