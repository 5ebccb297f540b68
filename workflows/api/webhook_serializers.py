"""Webhooks on the wire."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from events.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from events.webhooks.endpoints import MAX_OVERLAP, V1, V1A, signature_of
from events.webhooks.filters import MAX_FILTERS
from events.webhooks.models import DESCRIPTION_LIMIT
from hitl.lib.http.targets import MAX_URL
from workflows.api import queries
from workflows.api.fields import Choice, Moment, Object, Strict, Text, Whole
from workflows.api.queries import MAX_PAGE, Id, Instant, Number, Query

SIGNATURES = ((V1, "HMAC-SHA256"), (V1A, "Ed25519"))
NAMES = {"format": "body_format", "isActive": "is_active"}
HOURS = int(MAX_OVERLAP.total_seconds()) // 3600


# --- What comes in -----------------------------------------------------------------------------


class Flag(serializers.BooleanField):
    """A JSON true or false, and no word for it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WebhookInput(Strict):
    """What may be said about an endpoint at any time."""

    url = Text(required=False, max_length=MAX_URL, help_text="Where to post to; https.")
    events = serializers.ListField(
        child=Text(max_length=60),
        required=False,
        max_length=MAX_FILTERS,
        help_text="Types of events, or beginnings of types like `workflow.*`; empty: all.",
    )
    description = Text(required=False, allow_blank=True, max_length=DESCRIPTION_LIMIT)
    format = Choice(
        choices=WebhookEndpoint.Format.choices,
        required=False,
        help_text="Of the body; headers and signature are the same.",
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The valid input in our own terms."""
        return {NAMES.get(name, name): value for name, value in self.validated_data.items()}


class ChangeWebhookSerializer(WebhookInput):
    """What is to be changed; what is left out stays."""

    isActive = Flag(
        required=False,
        help_text="Switched off, nothing is kept for it; switched on, missed events can be "
        "replayed.",
    )


class NewWebhookSerializer(WebhookInput):
    """A new endpoint."""

    url = Text(max_length=MAX_URL, help_text="Where to post to; https.")
    signature = Choice(
        choices=SIGNATURES,
        required=False,
        default=V1,
        help_text="`v1`: a shared secret. `v1a`: an Ed25519 key whose public half you get.",
    )
    teamId = serializers.CharField(
        required=False, help_text="Needed where you manage several teams."
    )

    def validate_teamId(self, value: str) -> Any:
        try:
            return queries.parse_uuid(value)
        except ValueError:
            raise serializers.ValidationError("Send a UUID.") from None


class RotateSerializer(Strict):
    """How the old secret ends."""

    overlapHours = Whole(
        required=False,
        default=24,
        min_value=0,
        max_value=HOURS,
        help_text="So long both secrets sign. 0: the old one has leaked.",
    )
    signature = Choice(choices=SIGNATURES, required=False, help_text="Another kind than before.")


class ReplaySerializer(Strict):
    """Which events to send."""

    since = Moment(help_text="Inclusive.")
    until = Moment(help_text="Exclusive.")
    includeDelivered = Flag(required=False, default=False, help_text="What has arrived, once more.")


class WebhookListQuery(Query):
    """Which part of the list."""

    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=MAX_PAGE)
    cursor = serializers.CharField(required=False, help_text="From `nextCursor`.")


class WebhookMessageListQuery(WebhookListQuery):
    """Filters of the log."""

    status = Choice(choices=WebhookMessage.Status.choices, required=False)
    workflowId = Id(required=False)
    createdAfter = Instant(required=False, help_text="Exclusive.")
    createdBefore = Instant(required=False, help_text="Exclusive.")


# --- What goes out -----------------------------------------------------------------------------


class WebhookSerializer(serializers.Serializer[WebhookEndpoint]):
    """Where we post to, and how it does."""

    webhookId = serializers.UUIDField(source="pk")
    teamId = serializers.UUIDField(source="team_id")
    url = serializers.CharField()
    description = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField(), help_text="Empty: all.")
    format = serializers.ChoiceField(source="body_format", choices=WebhookEndpoint.Format.choices)
    signature = serializers.SerializerMethodField(help_text="What the current secret makes.")
    publicKey = serializers.SerializerMethodField(help_text="`whpk_…` with `v1a`; else null.")
    previousSecretUntil = serializers.SerializerMethodField(
        help_text="Until when an older secret signs as well; null: none does."
    )
    isActive = serializers.BooleanField(source="is_active")
    disabledReason = serializers.SerializerMethodField(help_text="null while it is on.")
    disabledAt = serializers.DateTimeField(source="disabled_at", allow_null=True)
    firstFailureAt = serializers.DateTimeField(
        source="first_failure_at",
        allow_null=True,
        help_text="Since when nothing has arrived; null: the last try went well.",
    )
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    @extend_schema_field(serializers.ChoiceField(choices=SIGNATURES))
    def get_signature(self, endpoint: WebhookEndpoint) -> str:
        return next(
            (signature_of(each) for each in endpoint.secrets.all() if each.expires_at is None), V1
        )

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_publicKey(self, endpoint: WebhookEndpoint) -> str | None:
        current = (each for each in endpoint.secrets.all() if each.expires_at is None)
        return next((each.public_key or None for each in current), None)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_previousSecretUntil(self, endpoint: WebhookEndpoint) -> Any:
        ends = [each.expires_at for each in endpoint.secrets.all() if each.expires_at]
        return serializers.DateTimeField().to_representation(max(ends)) if ends else None

    @extend_schema_field(
        serializers.ChoiceField(choices=WebhookEndpoint.Disabled.choices, allow_null=True)
    )
    def get_disabledReason(self, endpoint: WebhookEndpoint) -> str | None:
        return endpoint.disabled_reason or None


class IssuedWebhookSerializer(WebhookSerializer):
    """The endpoint with what verifies its messages, shown this once."""

    secret = serializers.CharField(
        help_text="`whsec_…`, never shown again; with `v1a` the public key `whpk_…`."
    )


class WebhookAttemptSerializer(serializers.Serializer[WebhookAttempt]):
    """One try."""

    number = serializers.IntegerField()
    url = serializers.CharField()
    startedAt = serializers.DateTimeField(source="started_at")
    finishedAt = serializers.DateTimeField(
        source="finished_at", allow_null=True, help_text="null: on its way, or cut off."
    )
    statusCode = serializers.IntegerField(source="status_code", allow_null=True)
    answer = serializers.CharField(help_text="The first 4096 characters.")
    error = serializers.CharField(help_text="Empty where it arrived.")


class WebhookMessageSerializer(serializers.Serializer[WebhookMessage]):
    """One event on its way to one endpoint."""

    messageId = serializers.UUIDField(source="pk")
    webhookId = serializers.CharField(
        source="webhook_id", help_text="The header `webhook-id`, the same at every try."
    )
    type = serializers.CharField()
    workflowId = serializers.SerializerMethodField(help_text="null for a test.")
    seq = serializers.SerializerMethodField(help_text="Of the event; null for a test.")
    status = serializers.ChoiceField(choices=WebhookMessage.Status.choices)
    attempts = serializers.IntegerField()
    nextAttemptAt = serializers.DateTimeField(source="next_attempt_at", allow_null=True)
    lastError = serializers.CharField(source="last_error", help_text="Empty where none.")
    deliveredAt = serializers.DateTimeField(source="delivered_at", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_workflowId(self, message: WebhookMessage) -> str | None:
        return str(message.event.workflow_id) if message.event else None

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_seq(self, message: WebhookMessage) -> int | None:
        return message.event.seq if message.event else None


class WebhookMessageDetailSerializer(WebhookMessageSerializer):
    """A message with its body and every try."""

    body = Object(help_text="What is sent, byte for byte in canonical JSON.")
    tries = WebhookAttemptSerializer(source="tries_made", many=True)


class WebhookPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some endpoints, newest first."""

    items = WebhookSerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")


class WebhookMessagePageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some messages, newest first."""

    items = WebhookMessageSerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")


class ReplayedSerializer(serializers.Serializer[Mapping[str, Any]]):
    """What a replay put on its way."""

    added = serializers.IntegerField(help_text="Messages that had not been written before.")
    requeued = serializers.IntegerField(help_text="Messages that are sent again.")
