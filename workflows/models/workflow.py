"""One approval request and its life, the people's answers, and the tries to carry it out.

`Workflow.status` is written by `workflows.transitions` alone; on PostgreSQL a trigger sees to it.
"""

import datetime as dt
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from deliveries.channels import channel_choices
from events.types import Source
from hitl.accounts.models import Agent, Team, User
from hitl.lib import sealing
from hitl.lib.models import CanonicalJSONField, Identified


class Status(models.TextChoices):
    """Where a request stands. Allowed moves: `workflows.transitions.ALLOWED`."""

    PENDING = "PENDING", "Pending"
    APPROVED = "APPROVED", "Approved"
    REJECTED = "REJECTED", "Rejected"
    TIMEOUT = "TIMEOUT", "Timed out"
    CANCELLED = "CANCELLED", "Cancelled"
    EXECUTING = "EXECUTING", "Executing"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    UNKNOWN = "UNKNOWN", "Outcome unknown"


SETTLED = (
    Status.REJECTED,
    Status.TIMEOUT,
    Status.CANCELLED,
    Status.COMPLETED,
    Status.FAILED,
)
AFTER_APPROVAL = (
    Status.APPROVED,
    Status.EXECUTING,
    Status.COMPLETED,
    Status.FAILED,
    Status.UNKNOWN,
)


class Verdict(models.TextChoices):
    """The human answer."""

    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    MODIFIED = "modified", "Approved with edits"


class Risk(models.TextChoices):
    """How much is at stake; high always asks the approver to log in."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


class TimeoutAction(models.TextChoices):
    """What silence means."""

    REJECT = "reject", "Reject"
    ESCALATE = "escalate", "Take the next step of the escalation"
    HOLD = "hold", "Hold until somebody decides"
    APPROVE = "approve", "Approve"


class Executor(models.TextChoices):
    """Who carries out the approved action."""

    AGENT = "agent", "The agent"
    HTTP = "http", "A signed HTTP call"
    EMAIL = "email", "An e-mail"
    FUNCTION = "function", "A registered function"


class Semantics(models.TextChoices):
    """What may happen when an attempt's outcome is lost."""

    IDEMPOTENT = "idempotent", "Idempotent: safe to try again with the same key"
    AT_MOST_ONCE = "at_most_once", "At most once: never tried again"


def doors() -> list[tuple[str, str]]:
    """Every door a decision can come through. A callable: a new channel needs no migration."""
    # A source's own label wins: "in e-mail" stands in the middle of sentences.
    return list({**dict(channel_choices()), **dict(Source.choices)}.items())


class ActionType(Identified):
    """What a team knows about one kind of action. Requests of unknown types work too."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="action_types")
    name = models.CharField(max_length=100, help_text="Like email.send or deploy.production.")
    title = models.CharField(max_length=120, blank=True)
    description = models.TextField(blank=True)
    data_schema = models.JSONField(
        null=True, blank=True, help_text="JSON Schema that actionData must satisfy."
    )
    ui_schema = models.JSONField(
        null=True, blank=True, help_text="Form used when the agent sends none."
    )
    risk = models.CharField(max_length=10, choices=Risk, default=Risk.MEDIUM)
    policy = models.ForeignKey(
        "workflows.Policy", models.PROTECT, null=True, blank=True, related_name="action_types"
    )
    timeout_seconds = models.PositiveIntegerField(null=True, blank=True)
    timeout_action = models.CharField(
        max_length=10, choices=TimeoutAction, default=TimeoutAction.REJECT
    )
    allow_timeout_approval = models.BooleanField(
        default=False, help_text="Silence may approve. Only ever for low risk."
    )
    executor = models.CharField(max_length=10, choices=Executor, default=Executor.AGENT)
    executor_config = models.JSONField(default=dict, blank=True)
    semantics = models.CharField(max_length=20, choices=Semantics, default=Semantics.AT_MOST_ONCE)
    lease_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="How long an attempt may be silent."
    )
    max_attempts = models.PositiveSmallIntegerField(default=3)
    compensation = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="The action type that undoes this one. Its actionData are made of the request: "
        "workflowId, actionType, actionData (what was approved) and result.",
    )  # fmt: skip
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("team", "name"), name="action_type_in_team"),
            models.CheckConstraint(
                condition=Q(allow_timeout_approval=False) | Q(risk="low"),
                name="silence_approves_low_risk_only",
            ),
            models.CheckConstraint(
                condition=Q(compensation__isnull=True) | ~Q(compensation=F("id")),
                name="nothing_compensates_itself",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Seal the configuration's secret, however it came here."""
        if self.executor_config.get("secret"):
            kept = sealing.keep(str(self.executor_config["secret"]))
            self.executor_config = {**self.executor_config, "secret": kept}
        super().save(*args, **kwargs)


class Workflow(Identified):
    """One request. What was asked never changes; what became of it changes only by transition.

    `action_data` is kept as canonical JSON text whose SHA-256 is `fingerprint`. `policy` and
    `execution_plan` are frozen at creation, so later edits elsewhere change nothing here.
    `created_at` is the database's time: what conditions on the time of day are judged by.
    """

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Without indexes of their own: several below begin with them.
    team = models.ForeignKey(Team, models.PROTECT, related_name="workflows", db_index=False)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="workflows", db_index=False)
    name = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    action_type = models.CharField(max_length=100)
    action_data = CanonicalJSONField()
    fingerprint = models.CharField(max_length=71)
    ui_schema = CanonicalJSONField(null=True)
    risk = models.CharField(max_length=10, choices=Risk, default=Risk.MEDIUM)
    metadata = CanonicalJSONField()
    approver_emails = models.JSONField(default=list)
    requester_email = models.EmailField(blank=True, help_text="On whose behalf the agent asks.")
    requester = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    policy = CanonicalJSONField()
    execution_plan = CanonicalJSONField()

    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    round = models.PositiveSmallIntegerField(default=1, help_text="Each rollback opens another.")
    asked_round = models.PositiveSmallIntegerField(
        default=1,
        help_text="The round in which people were last asked, and whose answers count. Running "
        "again under the same approval opens a round in which nobody is asked.",
    )
    expires_at = models.DateTimeField()
    timeout_action = models.CharField(max_length=10, choices=TimeoutAction)
    held_at = models.DateTimeField(null=True)
    first_expires_at = models.DateTimeField(
        null=True, help_text="The deadline it was created with, where it has been moved since."
    )

    # Where the frozen policy stands. The edit on the table is what votes are about while it is
    # open; `response_data` is what was approved in the end.
    stage = models.PositiveSmallIntegerField(default=0)
    stage_opened_at = models.DateTimeField(null=True)
    next_step_at = models.DateTimeField(null=True)
    wave = models.PositiveSmallIntegerField(
        default=0, help_text="How often people have been asked in this round."
    )
    asks = models.TextField(
        blank=True, help_text="Whom the open stage asks, as words the inbox looks for."
    )
    proposed_data = CanonicalJSONField(null=True)
    proposed_fingerprint = models.CharField(max_length=71, blank=True)
    claimed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    claimed_at = models.DateTimeField(null=True)

    decision = models.CharField(max_length=10, choices=Verdict, blank=True)
    response_data = CanonicalJSONField(null=True)
    response_fingerprint = models.CharField(max_length=71, blank=True)
    feedback = models.TextField(blank=True)
    responded_at = models.DateTimeField(null=True)
    responded_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", db_index=False
    )
    responded_via = models.CharField(max_length=20, choices=doors, blank=True)

    execution_due_at = models.DateTimeField(null=True)
    result = CanonicalJSONField(null=True)
    error = CanonicalJSONField(null=True)
    compensates = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="compensated_by",
        help_text="The request whose action this one undoes.",
    )  # fmt: skip
    compensation = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="+",
        help_text="The request that undoes this one's action, once somebody has asked for it.",
    )  # fmt: skip
    event_seq = models.PositiveIntegerField(default=0, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(condition=Q(status__in=Status.values), name="status_is_known"),
            models.CheckConstraint(
                condition=Q(status="PENDING", decision="")
                | Q(status__in=("TIMEOUT", "CANCELLED"), decision="")
                | Q(status="REJECTED", decision="rejected")
                | Q(
                    status__in=("APPROVED", "EXECUTING", "COMPLETED", "FAILED", "UNKNOWN"),
                    decision__in=("approved", "modified"),
                ),
                name="decision_agrees_with_status",
            ),
            models.CheckConstraint(
                condition=Q(decision="", responded_at__isnull=True)
                | (~Q(decision="") & Q(responded_at__isnull=False)),
                name="decided_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(decision="modified", response_data__isnull=False)
                | (~Q(decision="modified") & Q(response_data__isnull=True)),
                name="edits_only_where_modified",
            ),
            models.CheckConstraint(
                condition=Q(proposed_data__isnull=True, proposed_fingerprint="")
                | (Q(proposed_data__isnull=False) & ~Q(proposed_fingerprint="")),
                name="proposed_data_has_a_fingerprint",
            ),
        )
        indexes = (
            models.Index(
                fields=("expires_at",),
                condition=Q(status="PENDING", held_at__isnull=True),
                name="workflow_timeout_due",
            ),
            models.Index(
                fields=("next_step_at",),
                condition=Q(status="PENDING", next_step_at__isnull=False),
                name="workflow_step_due",
            ),
            models.Index(
                fields=("execution_due_at",),
                condition=Q(execution_due_at__isnull=False),
                name="workflow_execution_due",
            ),
            models.Index(fields=("team", "status", "expires_at"), name="workflow_inbox"),
            models.Index(fields=("team", "-created_at", "-id"), name="workflow_history"),
            models.Index(fields=("agent", "-created_at", "-id"), name="workflow_of_agent"),
            # For lists of several teams at once, which no index by team can keep in order.
            models.Index(fields=("-created_at", "-id"), name="workflow_newest"),
            models.Index(
                fields=("expires_at", "id"), condition=Q(status="PENDING"), name="workflow_waiting"
            ),
            models.Index(
                fields=("team", "action_type", "-created_at", "-id"), name="workflow_of_type"
            ),
            models.Index(
                fields=("responded_by", "-created_at", "-id"),
                condition=Q(responded_by__isnull=False),
                name="workflow_decided_by",
            ),
            models.Index(
                fields=("responded_via", "-created_at", "-id"),
                condition=Q(responded_by__isnull=True) & ~Q(decision=""),
                name="workflow_by_nobody",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.status == Status.PENDING

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED

    @property
    def current_data(self) -> Any:
        """What a vote is about now: the edit on the table, else the data as it was asked."""
        return self.proposed_data if self.proposed_fingerprint else self.action_data

    @property
    def current_fingerprint(self) -> str:
        """The digest that somebody who decides must have seen."""
        return self.proposed_fingerprint or self.fingerprint

    @property
    def approved_data(self) -> Any:
        """The data that may run: the edited values where the approver edited."""
        return self.response_data if self.decision == Verdict.MODIFIED else self.action_data

    @property
    def approved_fingerprint(self) -> str:
        """The digest the executor must find."""
        modified = self.decision == Verdict.MODIFIED
        return self.response_fingerprint if modified else self.fingerprint

    def is_late(self, now: dt.datetime) -> bool:
        """Whether the deadline has passed and means that nobody may decide any more."""
        return self.expires_at <= now and self.timeout_action != TimeoutAction.HOLD

    def is_overdue(self, now: dt.datetime) -> bool:
        """Whether the deadline is to take effect now."""
        return self.is_open and not self.held_at and self.expires_at <= now

    def is_executable(self, now: dt.datetime) -> bool:
        """Whether the server is to open an attempt now."""
        due = self.execution_due_at
        at_work = self.status in (Status.APPROVED, Status.EXECUTING)
        return at_work and due is not None and due <= now


class Decision(Identified):
    """One person's answer in one round and stage. Rows are never changed or removed.

    `seq` is the number of the event that records it: the order in which answers count. `turn`
    counts one person's answers in a stage: another is possible after a withdrawal, or when the
    data has been edited since. `behalf` is whom a stand-in answered for. `result` is the edited
    data. Answers of rules and of silence have no `user`.
    """

    workflow = models.ForeignKey(Workflow, models.PROTECT, related_name="decisions")
    round = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField(default=0)
    counts_for = models.JSONField(default=list, help_text="Places in the stage's need.")
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="decisions")
    verdict = models.CharField(max_length=10, choices=Verdict)
    channel = models.CharField(max_length=20, choices=doors)
    comment = models.TextField(blank=True)
    edits = CanonicalJSONField(null=True)
    result = CanonicalJSONField(null=True)
    result_fingerprint = models.CharField(max_length=71, blank=True)
    behalf = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    seq = models.PositiveIntegerField(default=0)
    turn = models.PositiveSmallIntegerField(default=0)
    fingerprint = models.CharField(max_length=71)
    is_effective = models.BooleanField()
    strength = models.CharField(max_length=20, blank=True)
    delivery_id = models.UUIDField(null=True)
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ("decided_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "round", "stage", "user", "turn"),
                condition=Q(behalf__isnull=True),
                name="one_vote_per_person_stage_and_turn",
            ),
            models.UniqueConstraint(
                fields=("workflow", "round", "stage", "behalf", "turn"),
                condition=Q(behalf__isnull=False),
                name="one_vote_for_a_person_stage_and_turn",
            ),
            models.UniqueConstraint(
                fields=("workflow", "round"),
                condition=Q(is_effective=True),
                name="one_effective_decision_per_round",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user or 'nobody'}: {self.verdict}"


class Withdrawal(Identified):
    """Somebody took an answer back before its stage closed. Rows are never changed or removed."""

    workflow = models.ForeignKey(Workflow, models.PROTECT, related_name="withdrawals")
    decision = models.OneToOneField(Decision, models.PROTECT, related_name="withdrawal")
    seq = models.PositiveIntegerField()
    channel = models.CharField(max_length=20, choices=doors)
    reason = models.TextField(blank=True)
    withdrawn_at = models.DateTimeField()

    class Meta:
        ordering = ("seq",)

    def __str__(self) -> str:
        return f"{self.decision.user} took back: {self.decision.verdict}"


class View(models.Model):
    """A person has opened the request in this round. `viewed_at`: when it became certain."""

    workflow = models.ForeignKey(Workflow, models.PROTECT, related_name="views")
    round = models.PositiveSmallIntegerField()
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    certain = models.BooleanField(default=True, help_text="Not just a link that was followed.")
    viewed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "round", "user"), name="one_view_per_person_and_round"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} saw {self.workflow_id}"


class ExecutionAttempt(Identified):
    """One try to carry out the action. `number` is the fencing token: only the newest may write."""

    class Status(models.TextChoices):
        OPEN = "open", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        LAPSED = "lapsed", "Went silent"

    workflow = models.ForeignKey(Workflow, models.PROTECT, related_name="attempts")
    round = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()
    executor = models.CharField(max_length=100, help_text="Who runs it: a worker or the agent.")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    lease_until = models.DateTimeField()
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    result = CanonicalJSONField(null=True)
    error = CanonicalJSONField(null=True)
    late_report = CanonicalJSONField(null=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("workflow", "number"), name="attempt_number"),
            models.UniqueConstraint(
                fields=("workflow",), condition=Q(status="open"), name="one_open_attempt"
            ),
        )
        indexes = (
            models.Index(
                fields=("lease_until",), condition=Q(status="open"), name="attempt_lease_due"
            ),
        )

    def __str__(self) -> str:
        return f"attempt {self.number} ({self.status})"

    def has_lapsed(self, now: dt.datetime) -> bool:
        """Whether it still counts as running though its lease is over."""
        return self.status == self.Status.OPEN and self.lease_until <= now


class IdempotencyKey(models.Model):
    """The stored answer to a create, written in the same transaction as the work."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=71)
    workflow = models.ForeignKey(Workflow, models.PROTECT, null=True, related_name="+")
    response_status = models.PositiveSmallIntegerField(null=True)
    response_body = CanonicalJSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("agent", "route", "key"), name="idempotency_key"),
        )

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
