"""Shapes on the wire of what people and agents do around a decision."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from hitl.accounts.models import User
from workflows import batch, conversation, sharing
from workflows.api.fields import Choice, Id, Moment, Pattern, Strict, Text, Whole
from workflows.api.serializers import COMMENT_CHARACTERS, FINGERPRINT, LARGEST_ROUND
from workflows.models import Remark, Status, Verdict, doors

# --- What comes in -------------------------------------------------------------------------------


class WithdrawSerializer(Strict):
    """Taking back one's own answer."""

    reason = Text(required=False, allow_blank=True, max_length=1000)
    onBehalfOf = Id(
        required=False, help_text="Whose answer, where the person stands in for several."
    )


class ExtendSerializer(Strict):
    """A later deadline."""

    expiresAt = Moment(help_text="Until when people may decide from now on, with a zone.")
    reason = Text(required=False, allow_blank=True, max_length=1000)


class HandOverSerializer(Strict):
    """Giving one's say to somebody else."""

    to = Id(help_text="Who is to answer: an approver of the team.")
    person = Id(required=False, help_text="Managers only: whose say it is, if not their own.")
    reason = Text(required=False, allow_blank=True, max_length=sharing.REASON_LIMIT)


class NothingSerializer(Strict):
    """Nothing needs to be said."""


class NewRemarkSerializer(Strict):
    """Words about a request that decide nothing."""

    kind = Choice(
        choices=Remark.Kind.choices,
        help_text="People send `comment` or `question`, the agent `answer`.",
    )
    text = Text(max_length=conversation.TEXT_LIMIT)
    questionId = Id(required=False, help_text="With `answer`: the `remarkId` of the question.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        super().validate(attrs)
        if (attrs["kind"] == Remark.Kind.ANSWER) != ("questionId" in attrs):
            message = "Name the question with the kind `answer`, and only then."
            raise serializers.ValidationError({"questionId": [message]}, code="exclusive")
        return attrs


class BatchItemSerializer(Strict):
    """One request as the person saw it."""

    workflowId = Id()
    fingerprint = Pattern(FINGERPRINT, help_text="The `currentFingerprint` the person saw.")
    stage = Whole(required=False, min_value=0, max_value=9, help_text="The `stage.index` seen.")
    round = Whole(
        required=False,
        min_value=1,
        max_value=LARGEST_ROUND,
        help_text="The `round` seen; required once there has been more than one.",
    )


class BatchSerializer(Strict):
    """One answer to several requests of one action type."""

    decision = Choice(
        choices=[(Verdict.APPROVED, "Approved"), (Verdict.REJECTED, "Rejected")],
        help_text="Edits are for one request at a time.",
    )
    items = serializers.ListField(child=BatchItemSerializer(), min_length=1, max_length=batch.MOST)
    feedback = Text(
        required=False,
        allow_blank=True,
        max_length=COMMENT_CHARACTERS,
        help_text="Required to reject; recorded with each.",
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """What `batch.decide` wants to know."""
        sent = self.validated_data
        return {
            "verdict": Verdict(sent["decision"]),
            "comment": sent.get("feedback", ""),
            "items": [
                batch.Item(
                    one["workflowId"], one["fingerprint"], one.get("stage"), one.get("round")
                )
                for one in sent["items"]
            ],
        }


# --- What goes out -------------------------------------------------------------------------------


class SpeakerSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Who said it. The address is shown to people only."""

    kind = serializers.ChoiceField(choices=("user", "agent"))
    name = serializers.CharField()
    email = serializers.EmailField(required=False)


class RemarkSerializer(serializers.Serializer[Remark]):
    """A comment, a question to the agent, or its answer."""

    remarkId = serializers.UUIDField(source="pk")
    kind = serializers.ChoiceField(choices=Remark.Kind.choices)
    text = serializers.CharField()
    questionId = serializers.UUIDField(source="question_id", allow_null=True)
    by = serializers.SerializerMethodField()
    via = serializers.ChoiceField(source="channel", choices=doors())
    round = serializers.IntegerField()
    createdAt = serializers.DateTimeField(source="created_at")

    @extend_schema_field(SpeakerSerializer)
    def get_by(self, remark: Remark) -> dict[str, str]:
        if remark.agent:
            return {"kind": "agent", "name": remark.agent.name}
        said = {"kind": "user", "name": str(remark.user)}
        if isinstance(self.context.get("caller"), User) and remark.user:
            said["email"] = remark.user.email
        return said


class RemarkPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Everything that was said, oldest first; there is an end to it."""

    items = RemarkSerializer(many=True)


class BatchResultSerializer(serializers.Serializer[Mapping[str, Any]]):
    """What became of one item."""

    workflowId = serializers.UUIDField()
    recorded = serializers.BooleanField(help_text="The answer counts.")
    code = serializers.CharField(
        help_text="Empty where recorded; else a problem's code, or `high-risk`."
    )
    detail = serializers.CharField(help_text="A sentence about it.")
    status = serializers.ChoiceField(
        choices=Status.choices, allow_null=True, help_text="Where the request stands now."
    )
    decisionId = serializers.UUIDField(allow_null=True)
    isEffective = serializers.BooleanField(help_text="It settled the matter.")


class BatchAnswerSerializer(serializers.Serializer[Mapping[str, Any]]):
    """The results, in the order of the items."""

    results = BatchResultSerializer(many=True)
