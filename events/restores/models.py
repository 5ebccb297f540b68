"""Which database this is, each time it turned out to be a restored one, and what people confirmed.

Only the modules of this package write them.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from hitl.lib.models import Identified

REASON_LIMIT = 1000


class DatabaseHome(models.Model):
    """One row: where the database was when we last looked. A copy finds itself elsewhere."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    identity = models.CharField(max_length=200)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="one_database_home"),)

    def __str__(self) -> str:
        return self.identity


class Restore(Identified):
    """One time that the database was restored, noticed or told. While it is open, things wait.

    `newest_event` is the last event that the database had then: what had begun by it may have
    gone on without this database knowing. `evidence` is how it was noticed.
    """

    created_at = models.DateTimeField(editable=False)
    why = models.TextField()
    evidence = models.CharField(max_length=500, blank=True)
    newest_event = models.PositiveBigIntegerField()
    is_open = models.BooleanField(default=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    note = models.TextField(blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_open",), condition=Q(is_open=True), name="one_open_restore"
            ),
            models.CheckConstraint(
                condition=Q(is_open=True, ended_at__isnull=True)
                | Q(is_open=False, ended_at__isnull=False),
                name="ended_restore_has_a_time",
            ),
        )

    def __str__(self) -> str:
        return self.why


class Confirmation(models.Model):
    """What a person has found out about one request after a restore. It goes on from there."""

    class Outcome(models.TextChoices):
        """What really happened."""

        EXECUTED = "executed", "Was executed"
        NOT_EXECUTED = "not_executed", "Was not executed"
        AS_RECORDED = "as_recorded", "Is as the database has it"

    restore = models.ForeignKey(Restore, models.PROTECT, related_name="confirmations")
    workflow = models.ForeignKey("workflows.Workflow", models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=12, choices=Outcome)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reason = models.CharField(max_length=REASON_LIMIT)
    confirmed_at = models.DateTimeField()

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("restore", "workflow"), name="one_confirmation_per_restore"
            ),
        )

    def __str__(self) -> str:
        return f"{self.workflow_id}: {self.outcome}"
