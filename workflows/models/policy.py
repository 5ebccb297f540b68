"""Policies and rules as they are edited, and what time and people have done under the frozen ones.

A request carries its own copy of its policy: nothing here changes what is open.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from hitl.accounts.models import Team
from hitl.lib.models import CanonicalJSONField, Identified


class Policy(Identified):
    """A team's policy as it is now: `document` in normal form (`policies.format`), its newest
    version. Archived ones are kept for the requests that name them."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="policies")
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    document = CanonicalJSONField()
    is_default = models.BooleanField(
        default=False, help_text="Applies where neither a rule, the request nor its type names one."
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "policies"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("team", "name"), name="policy_name_in_team"),
            models.UniqueConstraint(
                fields=("team",), condition=Q(is_default=True), name="one_default_policy"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(archived_at__isnull=True),
                name="default_policy_is_in_use",
            ),
        )

    def __str__(self) -> str:
        return self.name


class PolicyVersion(Identified):
    """A policy as somebody saved it. Never changed."""

    policy = models.ForeignKey(Policy, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    document = CanonicalJSONField()
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("policy", "number"), name="policy_version_number"),
        )

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"


class RuleSet(Identified):
    """All rules of a team, in order, as somebody saved them (`policies.rules.format`).

    The newest set is in force. One row for all, since what a rule does depends on the others.
    """

    team = models.ForeignKey(Team, models.CASCADE, related_name="rule_sets")
    number = models.PositiveIntegerField()
    rules = CanonicalJSONField()
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = (models.UniqueConstraint(fields=("team", "number"), name="rule_set_number"),)

    def __str__(self) -> str:
        return f"rules v{self.number}"


class RuleUse(models.Model):
    """What an approving rule has taken from its budget."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    rule = models.CharField(max_length=100)
    workflow = models.OneToOneField("workflows.Workflow", models.PROTECT, related_name="rule_use")
    amount = models.FloatField(default=0.0)
    created_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("team", "rule", "created_at"), name="rule_use_recent"),)

    def __str__(self) -> str:
        return f"{self.rule}: {self.amount}"


class FiredStep(models.Model):
    """A reminder or a step of the escalation that has taken place, or was passed over for good.

    `key` is that of `policies.escalation.Item`; the row is what lets each happen at most once.
    """

    workflow = models.ForeignKey("workflows.Workflow", models.PROTECT, related_name="fired_steps")
    round = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=60)
    skipped = models.BooleanField(default=False)
    planned_at = models.DateTimeField()
    fired_at = models.DateTimeField()

    class Meta:
        ordering = ("fired_at", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "round", "stage", "key"), name="each_step_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.key} of stage {self.stage}"


class HandOver(Identified):
    """One person's say in one request, given to somebody else for this request."""

    workflow = models.ForeignKey("workflows.Workflow", models.PROTECT, related_name="hand_overs")
    round = models.PositiveSmallIntegerField()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    to = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reason = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ("created_at",)
        indexes = (models.Index(fields=("workflow", "round"), name="hand_over_of_workflow"),)

    def __str__(self) -> str:
        return f"{self.person} to {self.to}"
