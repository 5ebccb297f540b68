"""The shape of a message on the wire."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from deliveries.channels import channel_choices
from deliveries.models import Delivery
from hitl.accounts.models import User
from workflows.api.fields import Object


class DeliverySerializer(serializers.Serializer[Delivery]):
    """One message to one person over one channel.

    Addresses and providers' ids are shown to people only.
    """

    deliveryId = serializers.UUIDField(source="pk")
    workflowId = serializers.UUIDField(source="workflow_id")
    round = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Delivery.Kind.choices)
    channel = serializers.ChoiceField(choices=channel_choices())
    person = serializers.SerializerMethodField(help_text="Whom it is for.")
    recipient = serializers.SerializerMethodField(help_text="The address; null for agents.")
    status = serializers.ChoiceField(choices=Delivery.Status.choices)
    attempts = serializers.IntegerField()
    maxAttempts = serializers.IntegerField(source="max_attempts")
    nextRetryAt = serializers.DateTimeField(source="next_retry_at", allow_null=True)
    lastError = serializers.CharField(source="last_error", help_text="Empty where none.")
    metadata = serializers.SerializerMethodField(help_text="The provider's ids; null for agents.")
    sentAt = serializers.DateTimeField(source="sent_at", allow_null=True)
    deliveredAt = serializers.DateTimeField(source="delivered_at", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_person(self, delivery: Delivery) -> str | None:
        return str(delivery.user) if delivery.user else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_recipient(self, delivery: Delivery) -> str | None:
        return delivery.recipient if self._is_for_people else None

    @extend_schema_field(Object(allow_null=True))
    def get_metadata(self, delivery: Delivery) -> dict[str, Any] | None:
        return delivery.metadata if self._is_for_people else None

    @property
    def _is_for_people(self) -> bool:
        return isinstance(self.context.get("caller"), User)


class DeliveryPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some messages, oldest first."""

    items = DeliverySerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")
