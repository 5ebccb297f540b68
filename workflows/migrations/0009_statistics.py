"""What was counted of each day. The first sweep fills it; see `workflows.statistics.sweeping`."""

from typing import Any

import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models.deletion import CASCADE

import workflows.models.workflow

BUCKETS = 15  # as many as `statistics.spread` had when these tables were made
COUNTER = "pending approved modified rejected timed_out cancelled completed failed unknown"
LOAD = "asked viewed answered approved modified rejected for_others refused"


def _columns(names: str, *prefixes: str) -> list[tuple[str, Any]]:
    seconds = [(f"{each}_seconds", models.BigIntegerField(default=0)) for each in prefixes]
    buckets = [f"{each}_{number}" for each in prefixes for number in range(BUCKETS)]
    counted = [(name, models.PositiveIntegerField(default=0)) for name in names.split()]
    spread = [(name, models.PositiveIntegerField(default=0)) for name in buckets]
    return [*counted, *seconds, *spread]


def _key(to: str) -> tuple[str, Any]:
    name = to.partition(".")[2].lower()
    return name, models.ForeignKey(to, CASCADE, related_name="+", db_index=name != "team")


def _channel() -> tuple[str, Any]:
    doors = workflows.models.workflow.doors
    return "channel", models.CharField(blank=True, choices=doors, max_length=20)


def _id() -> tuple[str, Any]:
    return "id", models.BigAutoField(
        primary_key=True, auto_created=True, serialize=False, verbose_name="ID"
    )


class Migration(migrations.Migration):
    dependencies = (
        ("accounts", "0003_tries"),
        ("workflows", "0008_guard_rollback"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    )
    operations = (
        migrations.AlterField(
            model_name="view",
            name="viewed_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.CreateModel(
            name="CountMark",
            fields=[
                _id(),
                ("xid", models.BigIntegerField()),
                ("event_id", models.BigIntegerField()),
                ("swept_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="CountedDay",
            fields=[
                _id(),
                ("day", models.DateField()),
                ("due_at", models.DateTimeField(null=True)),
                ("rests_until", models.DateTimeField(null=True)),
                ("counted_at", models.DateTimeField(null=True)),
                _key("accounts.Team"),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=("day",), condition=models.Q(due_at__isnull=False), name="day_due"
                    ),
                    models.Index(fields=("counted_at",), name="day_counted"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("team", "day"), name="day_of_team")
                ],
            },
        ),
        migrations.CreateModel(
            name="RequestCount",
            fields=[
                _id(),
                ("day", models.DateField()),
                ("action_type", models.CharField(max_length=100)),
                _channel(),
                *_columns(COUNTER, "view", "verdict"),
                _key("accounts.Team"),
                _key("accounts.Agent"),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("team", "day", "agent", "action_type", "channel"),
                        name="one_request_count",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ApproverCount",
            fields=[
                _id(),
                ("day", models.DateField()),
                _channel(),
                *_columns(LOAD, "answer"),
                _key("accounts.Team"),
                _key(settings.AUTH_USER_MODEL),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("team", "day", "user", "channel"), name="one_approver_count"
                    )
                ],
            },
        ),
    )
