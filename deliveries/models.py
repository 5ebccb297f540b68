"""One message to one person over one channel, with its attempts. The row is the outbox."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from deliveries.channels import channel_choices
from deliveries.channels.base import Message
from hitl.lib.models import CanonicalJSONField, Identified


class Delivery(Identified):
    """`status` tells the message's fate; `claimed_at` is set while somebody is sending it."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        SENT = "sent", "Sent"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Kind(models.TextChoices):
        APPROVAL = "approval", "Asks for a decision"
        OUTCOME = "outcome", "Tells the outcome"
        REMINDER = "reminder", "Reminds"

    workflow = models.ForeignKey("workflows.Workflow", models.PROTECT, related_name="+")
    team = models.ForeignKey("accounts.Team", models.PROTECT, related_name="+")
    round = models.PositiveSmallIntegerField(default=1)
    stage = models.PositiveSmallIntegerField(default=0)
    wave = models.PositiveSmallIntegerField(
        default=0, help_text="Which asking within the round: people are asked again after edits."
    )
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.APPROVAL)
    channel = models.CharField(max_length=20, choices=channel_choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    recipient = models.CharField(max_length=254)
    message = CanonicalJSONField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField()
    next_retry_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    provider_id = models.CharField(max_length=255, blank=True, db_index=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    # After the verdict: what the sent copy has to say instead, and when to make it say so.
    outcome = models.CharField(max_length=500, blank=True)
    update_due_at = models.DateTimeField(null=True, blank=True)
    update_attempts = models.PositiveSmallIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "round", "kind", "wave", "channel", "recipient"),
                name="one_delivery_per_person_and_channel",
            ),
            models.CheckConstraint(
                condition=~Q(status="sent") | Q(sent_at__isnull=False), name="sent_has_a_time"
            ),
            models.CheckConstraint(
                condition=~Q(status="pending") | Q(next_retry_at__isnull=False),
                name="pending_has_a_due_time",
            ),
        )
        indexes = (
            models.Index(fields=("next_retry_at",), condition=Q(status="pending"), name="due"),
            models.Index(
                fields=("update_due_at",),
                condition=Q(update_due_at__isnull=False),
                name="delivery_update_due",
            ),
            models.Index(fields=("workflow", "created_at"), name="delivery_of_workflow"),
        )

    def __str__(self) -> str:
        return f"{self.channel} to {self.recipient} ({self.status})"

    @property
    def is_sending(self) -> bool:
        """Whether a worker has it in hand at this moment (as far as we know)."""
        return self.status == self.Status.PENDING and self.claimed_at is not None

    def to_message(self) -> Message:
        """The stored message, as the channel wants it."""
        return Message.from_dict(self.message)


class DeliveryToken(models.Model):
    """A link that was put into one message: the SHA-256 of 256 random bits, never the token.

    Each attempt makes its own, since a mail that seemed to fail may have arrived after all.
    """

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"link {self.pk}"


class ReplyCode(models.Model):
    """The code that was put into one message to answer with: kept as a keyed digest.

    Those that people type are short, so they live for minutes and are looked up together with the
    address the answer came from. Those in the address of a mail cannot be guessed and live as long
    as the question: `expires_at` is empty.
    """

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="codes")
    digest = models.CharField(max_length=64, db_index=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"code {self.pk}"


class SandboxMessage(models.Model):
    """What a channel without an account would have sent, as it stands now; embedded mode only.

    `recipient` is the contact point it went to. `payload` is the provider's own side of it: blocks,
    keyboard, styles, or a modal with what was typed into it.
    """

    class Kind(models.TextChoices):
        """What it is on the person's screen."""

        MESSAGE = "message", "Message"
        REPLY = "reply", "Written by the person"
        NOTE = "note", "Shown to the person alone"
        MODAL = "modal", "Form that is open"

    channel = models.CharField(max_length=20)
    recipient = models.CharField(max_length=254)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.MESSAGE)
    provider_id = models.CharField(max_length=100, blank=True, db_index=True)
    subject = models.CharField(max_length=998, blank=True)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("channel", "recipient", "id"), name="sandbox_conversation"),
        )

    def __str__(self) -> str:
        return f"{self.channel} to {self.recipient}: {self.subject}"
