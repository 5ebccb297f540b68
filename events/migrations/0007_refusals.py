"""Refused attempts can be found without reading the whole log of a request."""

from django.db import migrations, models

from hitl.lib.online import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = (("events", "0006_keep_checkpoints"),)
    operations = (
        AddIndexOnline(
            model_name="event",
            index=models.Index(
                fields=("workflow",), condition=models.Q(type="human.refused"), name="event_refused"
            ),
        ),
    )
