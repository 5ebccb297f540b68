"""What happened: an append-only, gapless, hash-chained log per workflow.

Only `events.services.record` writes here; on PostgreSQL a trigger refuses changes and deletions.
The webhooks' rows are beside it in `events.webhooks.models`.
"""

from django.db import models

from events.postgres import FeedNow
from events.proof.models import Checkpoint, CheckpointChain, CheckpointHead
from events.restores.models import Confirmation, DatabaseHome, Restore
from events.types import EventType
from events.webhooks.models import (
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from hitl.lib.models import CanonicalJSONField

__all__ = (
    "Checkpoint",
    "CheckpointChain",
    "CheckpointHead",
    "Confirmation",
    "DatabaseHome",
    "Event",
    "EventStream",
    "FeedEpoch",
    "Restore",
    "WebhookAttempt",
    "WebhookEndpoint",
    "WebhookMessage",
    "WebhookSecret",
)


class EventStream(models.Model):
    """The head of one workflow's log. Locking this row is what makes its numbers gapless."""

    workflow = models.OneToOneField(
        "workflows.Workflow", models.PROTECT, primary_key=True, related_name="+"
    )
    team = models.ForeignKey("accounts.Team", models.PROTECT, related_name="+")
    last_seq = models.PositiveIntegerField(default=0)
    head_hash = models.CharField(max_length=64, blank=True)
    last_timestamp = models.DateTimeField(null=True)
    last_xid = models.BigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"{self.workflow_id} @ {self.last_seq}"


class Event(models.Model):
    """One fact, with the complete state of the workflow after it.

    `xid` and `id` are its place in the feed of all workflows: see `events.feed`.
    """

    workflow = models.ForeignKey("workflows.Workflow", models.PROTECT, related_name="+")
    team = models.ForeignKey("accounts.Team", models.PROTECT, related_name="+")
    seq = models.PositiveIntegerField()
    round = models.PositiveSmallIntegerField(default=1)
    type = models.CharField(max_length=40)
    status = models.CharField(max_length=10)
    data = CanonicalJSONField()
    actor = CanonicalJSONField()
    source = models.CharField(max_length=20)
    state_snapshot = CanonicalJSONField()
    timestamp = models.DateTimeField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
    xid = models.BigIntegerField(db_default=FeedNow(), editable=False)

    class Meta:
        ordering = ("workflow", "seq")
        constraints = (
            models.UniqueConstraint(fields=("workflow", "seq"), name="event_seq_in_workflow"),
            models.CheckConstraint(condition=models.Q(seq__gte=1), name="event_seq_from_one"),
        )
        indexes = (
            models.Index(fields=("team", "xid", "id"), name="event_feed_of_team"),
            models.Index(fields=("xid", "id"), name="event_feed"),
            models.Index(
                fields=("workflow",),
                condition=models.Q(type=EventType.HUMAN_REFUSED),
                name="event_refused",
            ),
        )

    def __str__(self) -> str:
        return f"{self.seq}. {self.type}"


class FeedEpoch(models.Model):
    """One row: what is added to the database's transaction numbers. See `feed.mend_epoch`."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    shift = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="one_feed_epoch"),)

    def __str__(self) -> str:
        return f"+{self.shift}"
