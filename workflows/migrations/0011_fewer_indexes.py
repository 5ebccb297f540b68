"""Drop the indexes of single keys with which others begin: each costs every write."""

from django.conf import settings
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.models import PROTECT


def _alter(name: str, to: str, *, null: bool = False, related_name: str = "workflows") -> Operation:
    key: models.ForeignKey[object, object] = models.ForeignKey(
        to, PROTECT, null=null, related_name=related_name, db_index=False
    )
    return migrations.AlterField(model_name="workflow", name=name, field=key)


class Migration(migrations.Migration):
    dependencies = (
        ("accounts", "0003_tries"),
        ("workflows", "0010_lists"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    )
    operations = (
        _alter("team", "accounts.Team"),
        _alter("agent", "accounts.Agent"),
        _alter("responded_by", settings.AUTH_USER_MODEL, null=True, related_name="+"),
    )
