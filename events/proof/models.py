"""What was signed, when, over which heads. `events.proof.checkpoints` alone writes; on PostgreSQL a
trigger refuses changes and removals of checkpoints and their heads."""

from django.db import models


class Checkpoint(models.Model):
    """A signed statement: at this moment these chains ended so.

    `body` is the canonical text that is hashed and signed; it names the checkpoint before it and
    the root of a tree over `totals` and the heads. The other columns repeat what it says.
    """

    number = models.PositiveBigIntegerField(primary_key=True)
    made_at = models.DateTimeField(db_index=True)
    totals = models.TextField()
    body = models.TextField()
    hash = models.CharField(max_length=64)
    kid = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)

    class Meta:
        ordering = ("number",)

    def __str__(self) -> str:
        return f"checkpoint {self.number}"


class CheckpointHead(models.Model):
    """One leaf of a checkpoint's tree: how far a workflow's log went, and the hash there.

    `places` is the hash over the places in the feed of all its events up to `seq`. No foreign key
    to the workflow: the statement must outlive what it is about.
    """

    pk = models.CompositePrimaryKey("checkpoint_id", "leaf")
    checkpoint = models.ForeignKey(Checkpoint, models.PROTECT, related_name="heads", db_index=False)
    leaf = models.PositiveIntegerField()
    workflow_id = models.UUIDField()
    seq = models.PositiveIntegerField()
    hash = models.CharField(max_length=64)
    places = models.CharField(max_length=64)

    class Meta:
        indexes = (models.Index(fields=("workflow_id", "seq"), name="checkpoint_of_workflow"),)

    def __str__(self) -> str:
        return f"{self.workflow_id} @ {self.seq}"


class CheckpointChain(models.Model):
    """One row: the newest checkpoint. Locking it is what makes their numbers gapless."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    number = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(id=1), name="one_checkpoint_chain"),
        )

    def __str__(self) -> str:
        return f"@ {self.number}"
