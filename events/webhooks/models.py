"""Where we post to, what waits to be posted there, and what came of each try. Rows are the outbox.

Only the modules of this package write them. Secrets are sealed (`hitl.lib.sealing`).
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from hitl.lib.models import Identified

ERROR_LIMIT = 500
DESCRIPTION_LIMIT = 200


class WebhookEndpoint(Identified):
    """One address. `team` is empty for the one that the environment names: it hears every team."""

    class Format(models.TextChoices):
        STANDARD = "standard", "Standard Webhooks"
        CLOUDEVENTS = "cloudevents", "CloudEvents 1.0"

    class Disabled(models.TextChoices):
        """Why nothing is sent."""

        BY_HAND = "by_hand", "Switched off by hand"
        GONE = "gone", "It answered 410 Gone"
        FAILING = "failing", "Nothing but failures for too long"

    team = models.ForeignKey(
        "accounts.Team", models.CASCADE, null=True, blank=True, related_name="+"
    )
    url = models.CharField(max_length=2048)
    description = models.CharField(max_length=DESCRIPTION_LIMIT, blank=True)
    events = models.JSONField(default=list, blank=True)
    body_format = models.CharField(max_length=12, choices=Format, default=Format.STANDARD)
    is_active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=10, choices=Disabled, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    # The present run of failures: since when, how many, and until when we leave it alone.
    first_failure_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    rests_until = models.DateTimeField(null=True, blank=True)
    # Set when it was switched off by itself, until its owners have been told.
    notice_due_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(is_active=True, disabled_reason="")
                | (Q(is_active=False) & ~Q(disabled_reason="")),
                name="webhook_endpoint_off_has_a_reason",
            ),
        )
        indexes = (
            models.Index(
                fields=("team",), condition=Q(is_active=True), name="webhook_endpoint_active"
            ),
            models.Index(
                fields=("notice_due_at",),
                condition=Q(notice_due_at__isnull=False),
                name="webhook_notice_due",
            ),
        )

    def __str__(self) -> str:
        return self.description or self.url

    @property
    def is_from_environment(self) -> bool:
        """Whether LLM_BACKEND_HOST made it: only the operator changes it, by the environment."""
        return self.team_id is None


class WebhookSecret(models.Model):
    """A secret (`whsec_…`) or a private key (`whsk_…`) that signs, sealed.

    The one without `expires_at` is the current one; others sign beside it until their time.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="secrets")
    sealed = models.TextField()
    public_key = models.CharField(max_length=60, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("endpoint",),
                condition=Q(expires_at__isnull=True),
                name="one_current_webhook_secret",
            ),
        )

    def __str__(self) -> str:
        return f"secret {self.pk}"


class WebhookMessage(Identified):
    """One event for one endpoint (a test has no event). `body` is sent byte for byte as it is.

    `attempts` counts for ever; the schedule counts from `scheduled_from`, so that a message sent
    again has all of its tries.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="messages")
    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, related_name="+")
    event = models.ForeignKey("events.Event", models.PROTECT, null=True, related_name="+")
    type = models.CharField(max_length=40)
    body = models.TextField()
    body_format = models.CharField(max_length=12, choices=WebhookEndpoint.Format)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    scheduled_from = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=ERROR_LIMIT, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("endpoint", "event"), name="one_webhook_message_per_event"
            ),
            models.CheckConstraint(
                condition=~Q(status="pending") | Q(next_attempt_at__isnull=False),
                name="pending_webhook_has_a_due_time",
            ),
        )
        indexes = (
            models.Index(
                fields=("endpoint", "next_attempt_at"),
                condition=Q(status="pending"),
                name="webhook_due",
            ),
            models.Index(
                fields=("endpoint", "claimed_at"),
                condition=Q(claimed_at__isnull=False),
                name="webhook_in_flight",
            ),
            models.Index(fields=("endpoint", "created_at", "id"), name="webhook_log"),
            models.Index(fields=("created_at",), name="webhook_age"),
        )

    def __str__(self) -> str:
        return f"{self.type} ({self.status})"

    @property
    def webhook_id(self) -> str:
        """The `webhook-id` header: the same at every try, also when it is sent again."""
        return f"msg_{self.pk.hex}"

    @property
    def tries(self) -> int:
        """Attempts since it was put on the schedule."""
        return self.attempts - self.scheduled_from


class WebhookAttempt(models.Model):
    """One try, written before the call: one without an end was cut off with its worker."""

    message = models.ForeignKey(WebhookMessage, models.CASCADE, related_name="tries_made")
    number = models.PositiveIntegerField()
    url = models.CharField(max_length=2048)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    answer = models.TextField(blank=True)
    error = models.CharField(max_length=ERROR_LIMIT, blank=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("message", "number"), name="webhook_attempt_number"),
        )

    def __str__(self) -> str:
        return f"attempt {self.number}"

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300
