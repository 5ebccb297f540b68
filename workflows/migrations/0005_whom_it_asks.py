"""Whom the open stage asks, for the inbox; what is open was made by policies of one stage."""

import django.utils.timezone
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def tell(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    workflows = apps.get_model("workflows", "Workflow").objects
    for row in workflows.filter(status="PENDING").iterator(chunk_size=500):
        who = row.policy["stages"][0]["need"]["who"]
        words = [f"user:{id_}" for id_ in who["users"]] if "users" in who else ["team"]
        asks = "".join(f"|{word}|" for word in words)
        workflows.filter(pk=row.pk).update(asks=asks, stage_opened_at=row.created_at, wave=0)


class Migration(migrations.Migration):
    dependencies = (("workflows", "0004_withdrawals_are_kept"),)
    operations = (
        migrations.AddField(
            model_name="workflow",
            name="asks",
            field=models.TextField(
                blank=True, help_text="Whom the open stage asks, as words the inbox looks for."
            ),
        ),
        migrations.AlterField(
            model_name="workflow",
            name="created_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.RunPython(tell, migrations.RunPython.noop),
    )
