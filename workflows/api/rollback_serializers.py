"""Shapes on the wire of states, what lies between them, and going back to one."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from events.models import Event
from workflows import rollback
from workflows.api.event_serializers import event_types
from workflows.api.fields import Object, Strict, Text, Whole
from workflows.api.queries import LAST_SEQ
from workflows.api.serializers import LARGEST_ROUND, ActorSerializer, WorkflowSerializer
from workflows.models import Status, doors

# --- What comes in -------------------------------------------------------------------------------


class RollBackSerializer(Strict):
    """Going back to an earlier state."""

    toSeq = Whole(
        min_value=1, max_value=LAST_SEQ, help_text="The `seq` of the state to go back to."
    )
    reason = Text(max_length=rollback.REASON_LIMIT, help_text="Why; it stays on record.")
    round = Whole(
        required=False,
        min_value=1,
        max_value=LARGEST_ROUND,
        help_text="The `round` you saw: if another is open by now, nothing happens.",
    )
    acknowledgeUnknownEffects = serializers.BooleanField(
        required=False,
        help_text="Needed to run an `at_most_once` action again: you have looked, and an earlier "
        "attempt has had no effects that must not happen twice.",
    )

    def validate_acknowledgeUnknownEffects(self, value: bool) -> bool:
        """A JSON true or false, and no word for it."""
        sent = self.initial_data["acknowledgeUnknownEffects"]
        if not isinstance(sent, bool):
            raise serializers.ValidationError("Send true or false.")
        return value


# --- What goes out -------------------------------------------------------------------------------


class StateSerializer(serializers.Serializer[Event]):
    """One state in the list: the event it came with."""

    seq = serializers.IntegerField(help_text="Of the event that led to it.")
    type = serializers.ChoiceField(choices=[(name, name) for name in event_types()])
    timestamp = serializers.DateTimeField()
    round = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Status.choices)
    actor = ActorSerializer()
    source = serializers.ChoiceField(choices=doors())  # type: ignore[assignment]


class WholeStateSerializer(StateSerializer):
    """One state, complete."""

    stateSnapshot = Object(source="state_snapshot")
    hash = serializers.CharField(help_text="SHA-256 over the event and its predecessor's hash.")


class StatePageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some states, oldest first."""

    items = StateSerializer(many=True)
    nextAfter = serializers.IntegerField(
        allow_null=True, help_text="Send it as `after` for the rest; null: there are no more."
    )


class StateChangeSerializer(serializers.Serializer[Any]):
    """One value that is not as it was, in words."""

    pointer = serializers.CharField(help_text="RFC 6901 pointer into the state.")
    label = serializers.CharField()  # type: ignore[assignment]  # a field, too
    kind = serializers.ChoiceField(choices=("changed", "type", "added", "removed"))
    old = serializers.CharField(allow_null=True)
    new = serializers.CharField(allow_null=True)


class StateDifferenceSerializer(serializers.Serializer[Any]):
    """What lies between two states."""

    older = StateSerializer(help_text="The state of `from`.")
    newer = StateSerializer(help_text="The state of `to`.")
    operations = serializers.ListField(
        child=Object(), help_text="What turns the first into the second (RFC 6902)."
    )
    changes = StateChangeSerializer(many=True, source="rows")


class RolledBackSerializer(serializers.Serializer[Mapping[str, Any]]):
    """What came of it."""

    outcome = serializers.ChoiceField(choices=[(str(way), str(way)) for way in rollback.Way])
    workflow = WorkflowSerializer()
    compensation = WorkflowSerializer(
        allow_null=True, help_text="With `compensation-asked`: the new request."
    )
