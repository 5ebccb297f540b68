"""Signed proofs of an approval, as far as they have to be remembered."""

from django.db import models
from django.db.models import F, Q

from hitl.lib.models import Identified
from workflows.models.workflow import Workflow


class Receipt(Identified):
    """One receipt that was handed out; its id is the `jti`. Rows are kept.

    One round of a request is used once, whatever number of receipts it had: a newer receipt
    replaces the one before, and after one was used there are no more. Written under the lock of
    the workflow alone.
    """

    workflow = models.ForeignKey(Workflow, models.PROTECT, related_name="receipts")
    round = models.PositiveSmallIntegerField()
    fingerprint = models.CharField(max_length=71)
    audience = models.CharField(max_length=255, blank=True)
    kid = models.CharField(max_length=64)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    replaced_at = models.DateTimeField(null=True)
    consumed_at = models.DateTimeField(null=True)
    consumed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-issued_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "round"),
                condition=Q(replaced_at__isnull=True),
                name="one_receipt_that_counts_per_round",
            ),
            models.CheckConstraint(
                condition=Q(replaced_at__isnull=True) | Q(consumed_at__isnull=True),
                name="receipt_replaced_or_consumed",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("issued_at")), name="receipt_expires_later"
            ),
        )

    def __str__(self) -> str:
        return f"receipt for {self.workflow_id}"
