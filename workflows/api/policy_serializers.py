"""Policies, rules and dry runs on the wire."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows import policy_books, rule_words
from workflows.api.fields import Object, Strict, Text, Whole
from workflows.api.queries import DEFAULT_PAGE, MAX_PAGE, Id, Number, Query
from workflows.api.webhook_serializers import Flag
from workflows.models import Policy, PolicyVersion, RuleSet
from workflows.policies import plain
from workflows.policies.rules import MAX_RULES
from workflows.policy_cast import Cast
from workflows.trials import DEFAULT_LAST, MAX_LAST

LAST_VERSION = 2**31 - 1
FORMAT = "In the format that docs/policies.md describes; ids for people, slugs for groups."


# --- What comes in -----------------------------------------------------------------------------


class TeamQuery(Query):
    """Whose."""

    teamId = Id(required=False, help_text="Only needed by who manages several teams.")


class PolicyListQuery(TeamQuery):
    """Which part of the list."""

    archived = serializers.ChoiceField(
        choices=("true", "false"), required=False, help_text="Only those; default: both."
    )
    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=DEFAULT_PAGE)
    cursor = serializers.CharField(required=False, help_text="From `nextCursor`.")


class VersionListQuery(Query):
    """Which part of the list."""

    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=DEFAULT_PAGE)
    cursor = serializers.CharField(required=False, help_text="From `nextCursor`.")


class NewPolicySerializer(Strict):
    """A new policy."""

    document = Object(help_text=FORMAT)
    isDefault = Flag(required=False, help_text="Applies where nothing names a policy.")
    note = Text(required=False, allow_blank=True, max_length=policy_books.NOTE_LENGTH)


class PolicyChangeSerializer(NewPolicySerializer):
    """A new version of a policy."""

    version = Whole(
        min_value=1, max_value=LAST_VERSION, help_text="The version that you have read."
    )


class PolicyTrialSerializer(Strict):
    """A policy to be tried, saved or not."""

    document = Object(help_text=FORMAT)
    actionType = Text(required=False, max_length=100, help_text="Only on requests of this type.")
    last = Whole(required=False, min_value=1, max_value=MAX_LAST, default=DEFAULT_LAST)


class RulesChangeSerializer(Strict):
    """All rules of a team."""

    rules = serializers.ListField(child=Object(), max_length=MAX_RULES)
    version = Whole(
        min_value=0, max_value=LAST_VERSION, help_text="The version that you have read."
    )
    note = Text(required=False, allow_blank=True, max_length=policy_books.NOTE_LENGTH)


class RulesTrialSerializer(Strict):
    """Rules to be tried, instead of those in force."""

    rules = serializers.ListField(child=Object(), max_length=MAX_RULES)
    last = Whole(required=False, min_value=1, max_value=MAX_LAST, default=DEFAULT_LAST)


# --- What goes out -----------------------------------------------------------------------------

_Words = serializers.ListField(child=serializers.CharField())


class PolicySerializer(serializers.Serializer[Policy]):
    """A policy as it stands."""

    policyId = serializers.UUIDField(source="pk")
    teamId = serializers.UUIDField(source="team_id")
    name = serializers.CharField()
    version = serializers.IntegerField()
    document = Object(help_text=FORMAT)
    inWords = serializers.SerializerMethodField(help_text="What it says, a sentence each.")
    usedBy = serializers.SerializerMethodField(help_text="What keeps it from being archived.")
    isDefault = serializers.BooleanField(source="is_default")
    archivedAt = serializers.DateTimeField(source="archived_at", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    @extend_schema_field(_Words)
    def get_inWords(self, policy: Policy) -> list[str]:
        return plain.explain(policy.document, self._cast(policy).names)

    @extend_schema_field(_Words)
    def get_usedBy(self, policy: Policy) -> list[str]:
        return policy_books.uses(policy)

    def _cast(self, policy: Policy) -> Cast:
        """Whoever makes a list reads it once, for all of it."""
        given = self.context.get("cast")
        return given if isinstance(given, Cast) else Cast.of(policy.team)


class PolicyPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some policies, by name."""

    items = PolicySerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")


class PolicyVersionSerializer(serializers.Serializer[PolicyVersion]):
    """A policy as somebody saved it."""

    version = serializers.IntegerField(source="number")
    document = Object()
    note = serializers.CharField()
    createdBy = serializers.SerializerMethodField(help_text="null: a command of the operator.")
    createdAt = serializers.DateTimeField(source="created_at")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_createdBy(self, version: PolicyVersion) -> str | None:
        return str(version.created_by) if version.created_by else None


class PolicyVersionPageSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Some versions, newest first."""

    items = PolicyVersionSerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="null: there are no more.")


class RulesSerializer(serializers.Serializer[RuleSet]):
    """The rules in force."""

    teamId = serializers.UUIDField(source="team_id")
    version = serializers.IntegerField(source="number", help_text="0: none were ever saved.")
    rules = serializers.ListField(child=Object(), help_text="As docs/policies.md describes them.")
    inWords = serializers.SerializerMethodField(help_text="A sentence for each.")
    note = serializers.CharField()
    createdBy = serializers.SerializerMethodField(help_text="null: nobody, or a command.")
    createdAt = serializers.SerializerMethodField(help_text="null: none were ever saved.")

    @extend_schema_field(_Words)
    def get_inWords(self, found: RuleSet) -> list[str]:
        return [rule_words.explain(rule) for rule in found.rules]

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_createdBy(self, found: RuleSet) -> str | None:
        return str(found.created_by) if found.created_by else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_createdAt(self, found: RuleSet) -> str | None:
        field = serializers.DateTimeField()
        return field.to_representation(found.created_at) if found.number else None


class DifferenceSerializer(serializers.Serializer[Any]):
    """A request that would have gone another way."""

    workflowId = serializers.UUIDField(source="workflow.pk")
    name = serializers.CharField(source="workflow.name")
    before = serializers.CharField()
    after = serializers.CharField()
    why = _Words


class OutcomeCountSerializer(serializers.Serializer[Any]):
    """How often something came of it."""

    outcome = serializers.CharField()
    before = serializers.IntegerField()
    after = serializers.IntegerField()


class TrialSerializer(serializers.Serializer[Any]):
    """What came of a dry run; nothing was saved."""

    tried = serializers.IntegerField(help_text="How many of the newest requests it was tried on.")
    summary = serializers.CharField(source="sentence")
    differences = DifferenceSerializer(many=True, source="changes")
    outcomes = serializers.SerializerMethodField()

    @extend_schema_field(OutcomeCountSerializer(many=True))
    def get_outcomes(self, trial: Any) -> list[dict[str, Any]]:
        return [
            {"outcome": name, "before": before, "after": after}
            for name, before, after in trial.counts
        ]
