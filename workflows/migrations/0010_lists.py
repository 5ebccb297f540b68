"""Lists of several teams, of one action type, or by who decided stay in the order of an index."""

from django.db import migrations, models
from django.db.models import Q

from hitl.lib.online import AddIndexOnline

INDEXES = (
    models.Index(fields=("-created_at", "-id"), name="workflow_newest"),
    models.Index(
        fields=("expires_at", "id"), condition=Q(status="PENDING"), name="workflow_waiting"
    ),
    models.Index(fields=("team", "action_type", "-created_at", "-id"), name="workflow_of_type"),
    models.Index(
        fields=("responded_by", "-created_at", "-id"),
        condition=Q(responded_by__isnull=False),
        name="workflow_decided_by",
    ),
    models.Index(
        fields=("responded_via", "-created_at", "-id"),
        condition=Q(responded_by__isnull=True) & ~Q(decision=""),
        name="workflow_by_nobody",
    ),
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = (("workflows", "0009_statistics"),)
    operations = tuple(AddIndexOnline(model_name="workflow", index=index) for index in INDEXES)
