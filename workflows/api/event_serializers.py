"""Events on the wire: in a workflow's timeline, and in the feed of a team."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from deliveries.channels import CHANNELS
from events.feed import Position
from events.models import Event
from events.tails import Entry
from events.types import EventType, approval_sent
from workflows.api.fields import Object
from workflows.api.renderers import encode
from workflows.api.serializers import ActorSerializer
from workflows.models import Status
from workflows.models.workflow import doors


def event_types() -> list[str]:
    """Every name an event can have: the fixed ones, and one a channel."""
    return [*EventType.values, *(approval_sent(name) for name in CHANNELS)]


class EventSerializer(serializers.Serializer[Event]):
    """One fact, with the complete state after it."""

    seq = serializers.IntegerField(help_text="1, 2, 3 … without gaps within a workflow.")
    type = serializers.ChoiceField(choices=[(name, name) for name in event_types()])
    timestamp = serializers.DateTimeField()
    round = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Status.choices)
    actor = ActorSerializer()
    source = serializers.ChoiceField(choices=doors())  # type: ignore[assignment]
    data = Object()  # type: ignore[assignment]
    stateSnapshot = Object(source="state_snapshot")
    previousHash = serializers.CharField(source="previous_hash")
    hash = serializers.CharField(help_text="SHA-256 over the event and its predecessor's hash.")


class FeedEventSerializer(EventSerializer):
    """One fact in the feed of all workflows."""

    cursor = serializers.SerializerMethodField(
        help_text="Its place in the feed: send it as `after` to go on behind it."
    )
    workflowId = serializers.UUIDField(source="workflow_id")
    teamId = serializers.UUIDField(source="team_id")

    def get_cursor(self, event: Event) -> str:
        return str(Position.of(event))


def as_json(entry: Entry) -> str:
    """The event in the feed, as it goes over the wire: made once for all followers."""
    text = entry.texts.get("json")
    if text is None:
        text = entry.texts["json"] = encode(FeedEventSerializer(entry.event).data)
    return text


class EventPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some events, oldest first."""

    items = EventSerializer(many=True)
    nextAfter = serializers.IntegerField(
        allow_null=True, help_text="Send it as `after` for the rest; null: there are no more."
    )


class FeedPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some events of all workflows, each workflow's in order."""

    items = FeedEventSerializer(many=True)
    next = serializers.CharField(
        help_text="Keep it and send it as `after`, also where `items` is empty: nothing is missed."
    )
