"""Migrations for big tables: indexes that are built while everybody goes on writing."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex
from django.db.migrations.state import ProjectState


class AddIndexOnline(AddIndex):
    """CREATE INDEX CONCURRENTLY on PostgreSQL, which needs `atomic = False`; plain elsewhere.

    What an interrupted attempt has left is no index, only a hindrance: it is dropped first, so that
    the migration can simply be run again.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if schema_editor.connection.vendor != "postgresql":
            schema_editor.add_index(model, self.index)
            return
        editor: Any = schema_editor  # PostgreSQL's takes more than the base class names
        name = editor.quote_name(self.index.name)
        editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        editor.add_index(model, self.index, concurrently=True)
