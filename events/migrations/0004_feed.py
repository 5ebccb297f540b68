"""Number events by transaction, so that followers of many workflows miss nothing.

The column comes with a constant, which takes no time on a large table, and the function as default
only then: what is there already has been committed, so 0 is true for it. Run the index by hand with
CONCURRENTLY before this migration where the log is large.
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from events import postgres


def number(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("events", "FeedEpoch").objects.create(id=1, shift=0)
    if editor.connection.vendor == "postgresql":
        for name in postgres.FEED_FUNCTIONS:
            editor.execute(postgres.feed_function(name), params=None)


def forget(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        for name in postgres.FEED_FUNCTIONS:
            editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("events", "0003_webhooks")]

    operations = [
        migrations.CreateModel(
            name="FeedEpoch",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("shift", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_feed_epoch")
                ],
            },
        ),
        migrations.RunPython(number, forget),
        migrations.AddField(
            model_name="eventstream",
            name="last_xid",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="event",
            name="xid",
            field=models.BigIntegerField(db_default=0, editable=False),
        ),
        migrations.AlterField(
            model_name="event",
            name="xid",
            field=models.BigIntegerField(db_default=postgres.FeedNow(), editable=False),
        ),
        migrations.RemoveIndex(model_name="event", name="event_team_feed"),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["team", "xid", "id"], name="event_feed_of_team"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["xid", "id"], name="event_feed"),
        ),
    ]
