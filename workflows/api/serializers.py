"""Shapes on the wire, spelled out field by field: camelCase outside, our names inside.

What stands inside `actionData`, `uiSchema`, `metadata` and results passes untouched. No rules here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from hitl.accounts.models import User
from hitl.lib.errors import InvalidInput
from hitl.lib.urls import absolute
from workflows import conversation
from workflows.api.fields import (
    Anything,
    Choice,
    Email,
    Id,
    Moment,
    Object,
    Pattern,
    Strict,
    Text,
    Whole,
)
from workflows.inputs import NewWorkflow
from workflows.models import (
    AFTER_APPROVAL,
    ActionType,
    ExecutionAttempt,
    Executor,
    Risk,
    Semantics,
    Status,
    TimeoutAction,
    Verdict,
    Workflow,
    doors,
)
from workflows.planning import LONGEST, SHORTEST

ACTION_TYPE = r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\Z"
FINGERPRINT = r"^sha256:[0-9a-f]{64}\Z"
METADATA_BYTES = 16 * 1024
MAX_APPROVERS = 50
COMMENT_CHARACTERS = 10_000
LARGEST_ATTEMPT = LARGEST_ROUND = 32_767


# --- What comes in -----------------------------------------------------------------------------


class NewWorkflowSerializer(Strict):
    """A request for approval."""

    actionType = Pattern(
        ACTION_TYPE,
        max_length=100,
        help_text="What is to be done, like `email.send`. Types the team does not know work too.",
    )
    actionData = Object(
        help_text="With what. Kept as canonical JSON (RFC 8785); its SHA-256 is the `fingerprint`."
    )
    name = Text(required=False, max_length=200, help_text="One line for the approver's inbox.")
    reason = Text(required=False, max_length=10_000, help_text="Why the agent wants it.")
    uiSchema = Object(
        required=False,
        help_text='A JSON Schema, or `{"fields": [...]}`: the form in which people may edit. '
        "Without one the data is shown and cannot be edited.",
    )
    approverEmail = Email(required=False, max_length=254, help_text="The one person to ask.")
    approvers = serializers.ListField(
        child=Email(max_length=254),
        required=False,
        min_length=1,
        max_length=MAX_APPROVERS,
        help_text="The people to ask, any of whom may decide. Without: the team's approvers.",
    )
    timeoutSeconds = Whole(
        required=False,
        min_value=int(SHORTEST.total_seconds()),
        max_value=int(LONGEST.total_seconds()),
        help_text="How long people have. Alternative: `expiresAt`.",
    )
    expiresAt = Moment(required=False, help_text="Until when people may decide, with a zone.")
    timeoutAction = Choice(
        choices=TimeoutAction.choices, required=False, help_text="What silence means."
    )
    policy = Text(
        required=False,
        max_length=100,
        help_text="Name of one of the team's policies. Rules of the team come first. Not together "
        "with people.",
    )
    requester = Email(
        required=False,
        max_length=254,
        help_text="On whose behalf the agent asks: that person does not approve it.",
    )
    metadata = Object(
        required=False,
        max_bytes=METADATA_BYTES,
        help_text="Yours; given back as it is and not shown as part of the action. Up to 16 KiB.",
    )

    ALTERNATIVES = (
        ("approverEmail", "approvers"),
        ("timeoutSeconds", "expiresAt"),
        ("policy", "approverEmail"),
        ("policy", "approvers"),
    )

    @property
    def new_workflow(self) -> NewWorkflow:
        """The valid input in our own terms."""
        sent = self.validated_data
        named = [sent["approverEmail"]] if "approverEmail" in sent else sent.get("approvers", [])
        return NewWorkflow(
            action_type=sent["actionType"],
            action_data=sent["actionData"],
            name=sent.get("name", ""),
            reason=sent.get("reason", ""),
            ui_schema=sent.get("uiSchema"),
            approvers=list({email.lower(): email for email in named}.values()),
            timeout_seconds=sent.get("timeoutSeconds"),
            expires_at=sent.get("expiresAt"),
            timeout_action=sent.get("timeoutAction"),
            metadata=sent.get("metadata", {}),
            policy=sent.get("policy", ""),
            requester=sent.get("requester", ""),
        )

    def as_sent(self, error: InvalidInput) -> InvalidInput:
        """The error, pointing at the fields under which the client sent the people to ask."""
        if "approverEmail" not in self.validated_data:
            return error
        places = {"/approvers": "/approverEmail", "/approvers/0": "/approverEmail"}
        found = [replace(one, pointer=places.get(one.pointer, one.pointer)) for one in error.errors]
        return InvalidInput(error.detail, found)


class CancelSerializer(Strict):
    """Why the agent withdraws."""

    reason = Text(required=False, allow_blank=True, max_length=1000)


class DecideSerializer(Strict):
    """A person's answer to what they saw."""

    decision = Choice(choices=Verdict.choices)
    fingerprint = Pattern(
        FINGERPRINT, help_text="The `fingerprint` of the data the person saw; another is refused."
    )
    responseData = Object(
        required=False,
        help_text="With `modified`: the complete edited data, valid against `uiSchema`.",
    )
    stage = Whole(
        required=False,
        min_value=0,
        max_value=9,
        help_text="The `stage.index` the person answers in. Without it, an answer that says the "
        "same as an earlier one of theirs is that one.",
    )
    round = Whole(
        required=False,
        min_value=1,
        max_value=LARGEST_ROUND,
        help_text="The `round` the person saw. Required once there has been more than one, so that "
        "no answer of an earlier round is taken for one in the next.",
    )
    onBehalfOf = Id(required=False, help_text="For whom, where the person stands in for several.")
    feedback = Text(required=False, allow_blank=True, max_length=COMMENT_CHARACTERS)
    comment = Text(
        required=False,
        allow_blank=True,
        max_length=COMMENT_CHARACTERS,
        help_text="Another name for `feedback`.",
    )

    ALTERNATIVES = (("feedback", "comment"),)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        super().validate(attrs)
        modified = attrs["decision"] == Verdict.MODIFIED
        if modified != ("responseData" in attrs):
            message = "Send the edited data with the decision `modified`, and only then."
            raise serializers.ValidationError({"responseData": [message]}, code="exclusive")
        return attrs

    @property
    def arguments(self) -> dict[str, Any]:
        """What `services.decide` wants to know."""
        sent = self.validated_data
        return {
            "verdict": Verdict(sent["decision"]),
            "fingerprint": sent["fingerprint"],
            "response_data": sent.get("responseData"),
            "comment": sent.get("feedback", sent.get("comment", "")),
            "stage": sent.get("stage"),
            "behalf": sent.get("onBehalfOf"),
            "round": sent.get("round"),
        }


class StartSerializer(Strict):
    """The agent begins to carry out the action."""

    executor = Text(
        required=False,
        max_length=100,
        help_text="Who runs it. Sent again with the same value, a lost answer is repeated.",
    )


class AttemptSerializer(Strict):
    """Which attempt is meant."""

    attempt = Whole(
        min_value=1, max_value=LARGEST_ATTEMPT, help_text="The number that `start` gave."
    )


class CompleteSerializer(AttemptSerializer):
    """The action has been carried out."""

    result = Anything(required=False, default=None, help_text="Kept up to 64 KiB, then cut.")


class FailSerializer(AttemptSerializer):
    """The action has failed, and is known not to have happened or to have happened wrongly."""

    error = Object(help_text='Like `{"code": "card_declined", "message": "…"}`.')


class SettleSerializer(Strict):
    """What became of an action whose outcome was unknown."""

    outcome = Choice(choices=(("completed", "It happened"), ("failed", "It did not happen")))
    note = Text(max_length=COMMENT_CHARACTERS, help_text="How you know.")


# --- What goes out -----------------------------------------------------------------------------


class ResponderSerializer(serializers.Serializer[User]):
    """Who decided. The address is shown to people only."""

    name = serializers.CharField()
    email = serializers.EmailField(required=False)


class ExecutionSerializer(serializers.Serializer[Workflow]):
    """Who carries the action out, and how far it has come."""

    by = serializers.ChoiceField(choices=Executor.choices)
    semantics = serializers.ChoiceField(choices=Semantics.choices)
    attempt = serializers.IntegerField(allow_null=True, help_text="Number of the newest attempt.")
    status = serializers.ChoiceField(choices=ExecutionAttempt.Status.choices, allow_null=True)
    leaseUntil = serializers.DateTimeField(
        allow_null=True, help_text="When silence ends a running attempt."
    )


class StageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """A stage of the frozen policy."""

    index = serializers.IntegerField(help_text="0 is the first.")
    name = serializers.CharField()
    of = serializers.IntegerField(help_text="How many stages the policy has.")


class WorkflowSerializer(serializers.Serializer[Workflow]):
    """One request and its life."""

    workflowId = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    reason = serializers.CharField()
    agentId = serializers.UUIDField(source="agent_id")
    actionType = serializers.CharField(source="action_type")
    actionData = Object(source="action_data", help_text="As it was asked; never changes.")
    fingerprint = serializers.CharField(help_text="SHA-256 of the canonical `actionData`.")
    uiSchema = Object(
        source="ui_schema", allow_null=True, help_text="The form as a JSON Schema (2020-12)."
    )
    risk = serializers.ChoiceField(choices=Risk.choices)
    metadata = Object()
    status = serializers.ChoiceField(choices=Status.choices)
    round = serializers.IntegerField(help_text="1; each rollback opens another.")
    approverEmail = serializers.SerializerMethodField(help_text="The one person asked by name.")
    approvers = serializers.ListField(
        child=serializers.EmailField(),
        source="approver_emails",
        help_text="People asked by name; empty: any approver of the team.",
    )
    policy = Object(help_text="Who must agree, frozen at creation.")
    expiresAt = serializers.DateTimeField(source="expires_at")
    timeoutAction = serializers.ChoiceField(source="timeout_action", choices=TimeoutAction.choices)
    requester = serializers.SerializerMethodField(
        help_text="On whose behalf the agent asks; null: nobody's."
    )
    stage = serializers.SerializerMethodField(help_text="The stage that is open, or was last.")
    claimedBy = serializers.SerializerMethodField(
        help_text="Who looks after it, if anybody: reminders go to them; others may decide, too."
    )
    openQuestions = serializers.SerializerMethodField(
        help_text="How many questions wait for the agent: see `/remarks`."
    )
    proposedData = Anything(
        source="proposed_data",
        help_text="An edit that is on the table while others still have to agree; else null.",
    )
    currentFingerprint = serializers.CharField(
        source="current_fingerprint",
        help_text="SHA-256 of what an answer is about now: of `proposedData`, else `actionData`.",
    )
    decision = serializers.SerializerMethodField()
    responseData = Anything(
        source="response_data", help_text="The edited data, where `modified`; else null."
    )
    approvedFingerprint = serializers.SerializerMethodField(
        help_text="SHA-256 of the data that may run; null until approved."
    )
    feedback = serializers.CharField(help_text="The approver's comment.")
    respondedAt = serializers.DateTimeField(source="responded_at", allow_null=True)
    respondedBy = serializers.SerializerMethodField()
    respondedVia = serializers.SerializerMethodField()
    execution = serializers.SerializerMethodField()
    result = Anything()
    error = Anything()
    compensates = serializers.UUIDField(
        source="compensates_id", allow_null=True, help_text="The request whose action this undoes."
    )
    compensation = serializers.UUIDField(
        source="compensation_id", allow_null=True, help_text="The request that undoes this one."
    )
    url = serializers.SerializerMethodField(help_text="The page where people decide.")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    @extend_schema_field(serializers.EmailField(allow_null=True))
    def get_approverEmail(self, workflow: Workflow) -> str | None:
        named: list[str] = workflow.approver_emails
        return named[0] if len(named) == 1 else None

    @extend_schema_field(serializers.EmailField(allow_null=True))
    def get_requester(self, workflow: Workflow) -> str | None:
        return workflow.requester_email or None

    @extend_schema_field(StageSerializer)
    def get_stage(self, workflow: Workflow) -> dict[str, Any]:
        stages = workflow.policy["stages"]
        return {
            "index": workflow.stage,
            "name": stages[workflow.stage]["name"],
            "of": len(stages),
        }

    @extend_schema_field(ResponderSerializer(allow_null=True))
    def get_claimedBy(self, workflow: Workflow) -> dict[str, str] | None:
        person = workflow.claimed_by
        if person is None:
            return None
        return responder(person, with_email=isinstance(self.context.get("caller"), User))

    @extend_schema_field(serializers.IntegerField())
    def get_openQuestions(self, workflow: Workflow) -> int:
        return conversation.open_questions(workflow)

    @extend_schema_field(serializers.ChoiceField(choices=Verdict.choices, allow_null=True))
    def get_decision(self, workflow: Workflow) -> str | None:
        return workflow.decision or None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_approvedFingerprint(self, workflow: Workflow) -> str | None:
        return workflow.approved_fingerprint if workflow.status in AFTER_APPROVAL else None

    @extend_schema_field(ResponderSerializer(allow_null=True))
    def get_respondedBy(self, workflow: Workflow) -> dict[str, str] | None:
        person = workflow.responded_by
        if person is None:
            return None
        return responder(person, with_email=isinstance(self.context.get("caller"), User))

    @extend_schema_field(serializers.ChoiceField(choices=doors(), allow_null=True))
    def get_respondedVia(self, workflow: Workflow) -> str | None:
        return workflow.responded_via or None

    @extend_schema_field(ExecutionSerializer)
    def get_execution(self, workflow: Workflow) -> dict[str, Any]:
        attempt = _newest_attempt(workflow)
        running = attempt is not None and attempt.status == ExecutionAttempt.Status.OPEN
        return {
            "by": workflow.execution_plan["by"],
            "semantics": workflow.execution_plan["semantics"],
            "attempt": attempt.number if attempt else None,
            "status": attempt.status if attempt else None,
            "leaseUntil": moment(attempt.lease_until) if attempt and running else None,
        }

    @extend_schema_field(serializers.URLField())
    def get_url(self, workflow: Workflow) -> str:
        return absolute(reverse("workflow", args=[workflow.pk]))


def responder(person: User, *, with_email: bool) -> dict[str, str]:
    """A person as agents (name) or colleagues (name and address) see them."""
    return {"name": str(person)} | ({"email": person.email} if with_email else {})


def _newest_attempt(workflow: Workflow) -> ExecutionAttempt | None:
    if workflow.status not in AFTER_APPROVAL:
        return None
    # Not `.last()`: that would ask the database even where the attempts were prefetched.
    return max(workflow.attempts.all(), key=lambda attempt: attempt.number, default=None)


_moment = serializers.DateTimeField()


def moment(instant: Any) -> Any:
    """An instant as every field of the API writes it."""
    return _moment.to_representation(instant)


class DecidedSerializer(serializers.Serializer[Mapping[str, Any]]):
    """What came of a decision."""

    decisionId = serializers.UUIDField(help_text="The answer on record.")
    replayed = serializers.BooleanField(help_text="The same person had given this answer before.")
    isEffective = serializers.BooleanField(help_text="It settled the matter; else more must agree.")
    workflow = WorkflowSerializer()


class StartedSerializer(serializers.Serializer[Mapping[str, Any]]):
    """A running attempt, with the data to act on."""

    attempt = serializers.IntegerField(help_text="Send it with every later report.")
    leaseUntil = serializers.DateTimeField(help_text="Report or send a heartbeat before this.")
    fingerprint = serializers.CharField(help_text="SHA-256 of the canonical form of `data`.")
    data = Anything(  # type: ignore[assignment]  # a field; the metaclass takes it off the class
        help_text="What was approved: the edited values where people edited."
    )
    workflow = WorkflowSerializer()


class HeartbeatSerializer(serializers.Serializer[Mapping[str, Any]]):
    """A lease that starts anew."""

    attempt = serializers.IntegerField()
    leaseUntil = serializers.DateTimeField()


class ActorSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Who did it."""

    kind = serializers.ChoiceField(choices=("agent", "user", "system"))
    id = serializers.CharField(help_text="Empty for the system.")
    name = serializers.CharField()


class ActionTypeSerializer(serializers.Serializer[ActionType]):
    """What a team knows about one kind of action."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    teamId = serializers.UUIDField(source="team_id")
    dataSchema = Object(
        source="data_schema", allow_null=True, help_text="JSON Schema that `actionData` must meet."
    )
    uiSchema = Object(source="ui_schema", allow_null=True)
    risk = serializers.ChoiceField(choices=Risk.choices)
    timeoutSeconds = serializers.IntegerField(source="timeout_seconds", allow_null=True)
    timeoutAction = serializers.ChoiceField(source="timeout_action", choices=TimeoutAction.choices)
    executedBy = serializers.ChoiceField(source="executor", choices=Executor.choices)
    semantics = serializers.ChoiceField(choices=Semantics.choices)
    compensation = serializers.CharField(
        source="compensation.name",
        default=None,
        allow_null=True,
        help_text="The action type that undoes this one; null: nothing does.",
    )


class WorkflowPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some workflows, newest first."""

    items = WorkflowSerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")


class ActionTypePageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some action types, by name."""

    items = ActionTypeSerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")


class HealthSerializer(serializers.Serializer[Mapping[str, Any]]):
    """The process answers."""

    status = serializers.ChoiceField(choices=("ok",))


class FieldErrorSerializer(serializers.Serializer[Mapping[str, Any]]):
    """One thing wrong with the input."""

    pointer = serializers.CharField(
        help_text="JSON pointer (RFC 6901) into the body; `?name` for a query parameter."
    )
    message = serializers.CharField()
    code = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Mapping[str, Any]]):
    """What went wrong (RFC 9457)."""

    type = serializers.CharField(help_text="`urn:hitl:problem:` and the code.")
    title = serializers.CharField(help_text="The same for every occurrence.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence about this occurrence.")
    instance = serializers.CharField(  # type: ignore[assignment]
        required=False, help_text="The path that was asked for."
    )
    code = serializers.CharField(help_text="Stable: key on this.")
    requestId = serializers.CharField(help_text="To be found in the server's log.")
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]
    workflowStatus = serializers.ChoiceField(
        choices=Status.choices, required=False, help_text="With 409: where the request stands."
    )
