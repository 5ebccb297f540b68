"""Admin pages of requests, answers and executions. Deciding here passes the one gate too."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from deliveries.models import Delivery
from events import selectors as events
from events.models import Event
from events.types import Source
from hitl.accounts import selectors as accounts
from hitl.accounts import stepup
from hitl.admin_tools import (
    NOTHING,
    Admin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    change_url,
    code,
    gone,
    json_block,
    link,
    person,
)
from hitl.lib.errors import HitlError
from hitl.lib.text import visible
from workflows import decision_form, executions, forms, rollback, services
from workflows import policy_admin as policy_admin  # registers pages of its own
from workflows.admin_forms import (
    ActionTypeForm,
    ApproveForm,
    RejectForm,
    RollBackForm,
    SettleForm,
)
from workflows.errors import NotYours, outcome_sentence
from workflows.models import (
    ActionType,
    Decision,
    ExecutionAttempt,
    IdempotencyKey,
    Receipt,
    Risk,
    Status,
    View,
    Workflow,
)

STATUS_LABELS = {
    Status.PENDING.label: "warning",
    Status.APPROVED.label: "primary",
    Status.EXECUTING.label: "info",
    Status.COMPLETED.label: "success",
    Status.REJECTED.label: "danger",
    Status.FAILED.label: "danger",
    Status.UNKNOWN.label: "warning",
    Status.TIMEOUT.label: "",
    Status.CANCELLED.label: "",
}
RISK_LABELS = {Risk.LOW.label: "", Risk.MEDIUM.label: "info", Risk.HIGH.label: "danger"}


class DecisionInline(ReadOnlyInline):
    """Who answered what."""

    model = Decision
    fields = (
        "decided_at",
        "round",
        "stage",
        "user",
        "verdict",
        "channel",
        "comment",
        "is_effective",
    )
    readonly_fields = fields


class EventInline(ReadOnlyInline):
    """The timeline."""

    model = Event
    fields = ("seq", "what", "who", "source", "status", "timestamp")
    readonly_fields = fields
    ordering = ("seq",)
    per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        rows: QuerySet[Event] = super().get_queryset(request)
        return rows.defer("state_snapshot", "data")

    @display(description="Event")
    def what(self, event: Event) -> str:
        return event.type

    @display(description="Who")
    def who(self, event: Event) -> str:
        return str(event.actor["name"])


class DeliveryInline(ReadOnlyInline):
    """Whom it was sent to."""

    model = Delivery
    fields = ("channel", "recipient", "kind", "status", "attempts", "last_error", "sent_at")
    readonly_fields = fields


class AttemptInline(ReadOnlyInline):
    """Tries to carry it out."""

    model = ExecutionAttempt
    fields = ("number", "round", "executor", "status", "lease_until", "heartbeat_at", "finished_at")
    readonly_fields = fields


class ViewInline(ReadOnlyInline):
    """Who has seen it."""

    model = View
    fields = ("user", "round", "viewed_at")
    readonly_fields = fields


@admin.register(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    """Requests. What was asked never changes; what becomes of it is decided by buttons."""

    list_display = (
        "name", "shown_status", "shown_risk", "action_type", "agent", "team", "expires_at",
        "answer", "created_at",
    )  # fmt: skip
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("risk", ChoicesDropdownFilter),
        "team",
        ("created_at", RangeDateTimeFilter),
        ("expires_at", RangeDateTimeFilter),
        ("decision", ChoicesDropdownFilter),
        ("responded_via", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    list_select_related = ("agent", "team", "responded_by")
    ordering = ("-created_at", "-id")
    search_fields = ("name", "action_type", "agent__name", "fingerprint", "reason")
    id_fields = ("pk", "agent", "team", "responded_by")
    inlines = (DecisionInline, EventInline, DeliveryInline, AttemptInline, ViewInline)
    actions_detail = ("open_page", "approve", "reject", "settle", "roll_back")
    fieldsets = (
        (
            "What is asked",
            {
                "fields": (
                    "name", ("shown_status", "shown_risk"), ("action_type", "round"),
                    ("agent_link", "team_link"), ("created_at", "expires_at", "timeout_action"),
                    "reason_shown", "data_shown", "fingerprint_shown",
                )
            },
        ),
        (
            "The answer",
            {
                "fields": (
                    ("answer", "responded_at", "responded_via"), "feedback", "response_shown",
                    "response_fingerprint_shown",
                ),
                "classes": ("tab",),
            },
        ),
        (
            "Execution",
            {
                "fields": ("execution_due_at", "result_shown", "error_shown", "plan_shown"),
                "classes": ("tab",),
            },
        ),
        (
            "Rules",
            {
                "fields": (
                    ("asked_round", "compensates", "compensation"), "approver_emails",
                    "policy_shown", "form_shown", "metadata_shown", "held_at",
                    "event_seq", "updated_at", "id",
                ),
                "classes": ("tab",),
            },
        ),
    )  # fmt: skip

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, workflow: Workflow) -> str:
        return workflow.get_status_display()

    @display(description="Risk", ordering="risk", label=RISK_LABELS)
    def shown_risk(self, workflow: Workflow) -> str:
        return workflow.get_risk_display()

    @display(description="Answer", ordering="responded_at")
    def answer(self, workflow: Workflow) -> str:
        if not workflow.decision:
            return NOTHING
        who = workflow.responded_by or "silence"
        return f"{workflow.get_decision_display()} by {who}"

    @display(description="Agent", ordering="agent__name")
    def agent_link(self, workflow: Workflow) -> str:
        return link(workflow.agent)

    @display(description="Team", ordering="team__name")
    def team_link(self, workflow: Workflow) -> str:
        return link(workflow.team)

    @display(description="The agent's reason, in its own words")
    def reason_shown(self, workflow: Workflow) -> str:
        return visible(workflow.reason) or NOTHING

    @display(description="Data")
    def data_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.action_data)

    @display(description="Fingerprint of the data")
    def fingerprint_shown(self, workflow: Workflow) -> str:
        return code(workflow.fingerprint)

    @display(description="Edited data")
    def response_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.response_data)

    @display(description="Fingerprint of the edited data")
    def response_fingerprint_shown(self, workflow: Workflow) -> str:
        return code(workflow.response_fingerprint)

    @display(description="Result")
    def result_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.result)

    @display(description="Error")
    def error_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.error)

    @display(description="How it is carried out")
    def plan_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.execution_plan)

    @display(description="Policy, as it was when the agent asked")
    def policy_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.policy)

    @display(description="Form")
    def form_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.ui_schema)

    @display(description="Metadata")
    def metadata_shown(self, workflow: Workflow) -> str:
        return json_block(workflow.metadata)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """All of them; the methods among the fields have to be named."""
        shown = (
            "shown_status", "shown_risk", "answer", "agent_link", "team_link", "reason_shown",
            "data_shown", "fingerprint_shown", "response_shown", "response_fingerprint_shown",
            "result_shown", "error_shown", "plan_shown", "policy_shown", "form_shown",
            "metadata_shown",
        )  # fmt: skip
        return (*shown, *(field.name for field in Workflow._meta.fields))

    # --- Buttons: what is possible now is shown, and the services have the last word -----------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that make sense in the state the request is in."""
        workflow = self.get_object(request, object_id)  # None for what is no id, too
        status = workflow.status if workflow else None
        wanted = {"open_page"}
        if status == Status.PENDING:
            wanted |= {"approve", "reject"}
        elif status == Status.UNKNOWN:
            wanted |= {"settle"}
        elif status not in rollback.NOWHERE:
            wanted |= {"roll_back"}
        found: list[Any] = super().get_actions_detail(request, object_id)
        return [button for button in found if button.method.original_function_name in wanted]

    @action(description="Open in the dashboard", icon="open_in_new", permissions=["view"])
    def open_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The page that approvers see."""
        workflow = self.get_object(request, object_id)
        if workflow is None:
            return gone(self, request, object_id)
        return HttpResponseRedirect(reverse("workflow", args=[workflow.pk]))

    @action(
        description="Approve", icon="check", variant=ActionVariant.PRIMARY, permissions=["view"]
    )
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what is approved; the POST carries the fingerprint of what was shown."""
        return self._answer(request, object_id, ApproveForm, "Approve")

    @action(description="Reject", icon="close", variant=ActionVariant.DANGER, permissions=["view"])
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason, then reject."""
        return self._answer(request, object_id, RejectForm, "Reject", danger=True)

    def _answer(
        self,
        request: HttpRequest,
        object_id: str,
        form_class: type[ApproveForm],
        button: str,
        **context: Any,
    ) -> HttpResponse:
        workflow = self.get_object(request, object_id)
        if workflow is None:
            return gone(self, request, object_id)
        initial = {"fingerprint": workflow.current_fingerprint, "round": workflow.round}
        form = form_class(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            return self._decide(request, workflow)
        if not workflow.is_open:
            messages.warning(request, outcome_sentence(workflow))
            return HttpResponseRedirect(change_url(workflow))
        _note_view(request, workflow)
        context |= {"title": f"{button} this request?", "button": button}
        return self.confirm(request, workflow, form, **context, **_shown(request, workflow))

    def _decide(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        try:
            decided = decision_form.submit(
                workflow.pk,
                user=person(request),
                post=request.POST,
                source=Source.ADMIN,
                strength=stepup.strength(request),
            )
        except HitlError as error:
            if isinstance(error, NotYours):
                _note_refusal(request, workflow, error)
            messages.error(request, str(error))
        else:
            verdict = decided.decision.get_verdict_display()
            self.log_change(request, workflow, f"{verdict}.")
            messages.success(request, f"{verdict}: {workflow.name}")
        return HttpResponseRedirect(change_url(workflow))

    @action(
        description="Settle the outcome", icon="rule", variant=ActionVariant.PRIMARY,
        permissions=["view"],
    )  # fmt: skip
    def settle(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A person who has looked says what became of an action whose outcome got lost."""
        workflow = self.get_object(request, object_id)
        if workflow is None:
            return gone(self, request, object_id)
        form = SettleForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            page = {"title": "What became of it?", "button": "Settle"}
            return self.confirm(request, workflow, form, **page)
        try:
            executions.settle_unknown(
                workflow.pk, user=person(request), source=Source.ADMIN, **form.outcome()
            )
        except HitlError as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, workflow, "Settled the outcome.")
            messages.success(request, "The outcome is settled.")
        return HttpResponseRedirect(change_url(workflow))

    @action(description="Roll back", icon="undo", permissions=["view"])
    def roll_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The ways that are open to this person, each with what it would do; then the one."""
        workflow = self.get_object(request, object_id)
        if workflow is None:
            return gone(self, request, object_id)
        offers = rollback.offers(workflow, person(request), events.timeline(workflow.pk))
        if not offers:
            messages.warning(request, _why_no_way(workflow, request))
            return HttpResponseRedirect(change_url(workflow))
        initial = {"round": workflow.round, "to_seq": offers[0].to_seq}
        form = RollBackForm(request.POST or None, offers=offers, initial=initial)
        if request.method != "POST" or not form.is_valid():
            page: dict[str, Any] = {"title": "Back to an earlier state?", "button": "Roll back"}
            return self.confirm(request, workflow, form, **page)
        try:
            rolled = rollback.roll_back(
                workflow.pk,
                user=person(request),
                source=Source.ADMIN,
                strength=stepup.strength(request),
                **form.cleaned_data,
            )
        except HitlError as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, workflow, f"Rolled back: {rolled.way}.")
            messages.success(request, f"Rolled back: {rolled.way}.")
        return HttpResponseRedirect(change_url(workflow))


def _why_no_way(workflow: Workflow, request: HttpRequest) -> str:
    member = accounts.membership(workflow.team_id, person(request).pk)
    if member is None or not member.may_decide:
        return "Only approvers and managers of the team may roll a request back."
    return rollback.possible(workflow)


def _shown(request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
    """What a person must see before answering, drawn from the stored data."""
    known = decision_form.context(workflow, user=person(request))
    return {
        "happening": known["happening"],
        "silence": known["silence"],
        "deceptive": known["deceptive"],
        "warning": known["hindrance"],
        "tree": forms.tree(workflow.current_data),
        "reason": visible(workflow.reason),
    }


def _note_refusal(request: HttpRequest, workflow: Workflow, error: NotYours) -> None:
    """Somebody with the keys of the admin tried to decide what is not theirs: for the record."""
    actor = person(request).actor
    services.record_refusal(workflow.pk, actor=actor, source=Source.ADMIN, why=error.detail)


def _note_view(request: HttpRequest, workflow: Workflow) -> None:
    """Reading it here counts as having seen it, for those whom it asks."""
    user = person(request)
    member = accounts.membership(workflow.team_id, user.pk)
    if workflow.is_open and member is not None and member.may_decide:
        services.mark_viewed(workflow.pk, user=user, source=Source.ADMIN)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """Answers of people. Rows are never changed or removed."""

    list_display = (
        "decided_at", "workflow_link", "user", "shown_verdict", "channel", "round", "stage",
        "is_effective",
    )  # fmt: skip
    list_filter = (
        ("verdict", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        "is_effective",
        ("decided_at", RangeDateTimeFilter),
        "workflow__team",
    )
    list_filter_submit = True
    list_select_related = ("workflow", "user")
    ordering = ("-decided_at",)
    search_fields = ("workflow__name", "user__email", "user__name", "comment", "fingerprint")
    id_fields = ("pk", "workflow", "user", "delivery_id")
    fields = (
        "workflow_link", "user_link", "shown_verdict", "channel", "strength", "comment",
        "edits_shown", "fingerprint_shown", "round", "stage", "counts_for", "is_effective",
        "delivery_link", "decided_at", "id",
    )  # fmt: skip
    readonly_fields = fields

    @display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, row: Decision) -> str:
        return link(row.workflow)

    @display(description="Person")
    def user_link(self, row: Decision) -> str:
        return link(row.user)

    @display(
        description="Answer",
        ordering="verdict",
        label={"Approved": "success", "Approved with edits": "success", "Rejected": "danger"},
    )
    def shown_verdict(self, row: Decision) -> str:
        return row.get_verdict_display()

    @display(description="Edits")
    def edits_shown(self, row: Decision) -> str:
        return json_block(row.edits)

    @display(description="Fingerprint of what was seen")
    def fingerprint_shown(self, row: Decision) -> str:
        return code(row.fingerprint)

    @display(description="By way of the message")
    def delivery_link(self, row: Decision) -> str:
        found = Delivery.objects.filter(pk=row.delivery_id) if row.delivery_id else None
        return link(found.first() if found else None)


class OfWorkflow(ReadOnlyAdmin):
    """Records whose first question is: of which request?"""

    list_select_related: Sequence[str] = ("workflow",)

    @display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, row: Any) -> str:
        workflow: Model | None = row.workflow
        return link(workflow)


@admin.register(ExecutionAttempt)
class ExecutionAttemptAdmin(OfWorkflow):
    """Tries to carry out an approved action."""

    list_display = (
        "created_at", "workflow_link", "number", "shown_status", "executor", "lease_until",
        "finished_at",
    )  # fmt: skip
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
        "workflow__team",
    )
    list_filter_submit = True
    ordering = ("-created_at",)
    search_fields = ("workflow__name", "executor")
    id_fields = ("pk", "workflow")
    fields = (
        "workflow_link", "round", "number", "shown_status", "executor", "created_at",
        "lease_until", "heartbeat_at", "finished_at", "result_shown", "error_shown", "late_shown",
        "id",
    )  # fmt: skip
    readonly_fields = fields

    @display(
        description="Status",
        ordering="status",
        label={"Running": "info", "Succeeded": "success", "Failed": "danger", "Went silent": ""},
    )
    def shown_status(self, row: ExecutionAttempt) -> str:
        return row.get_status_display()

    @display(description="Result")
    def result_shown(self, row: ExecutionAttempt) -> str:
        return json_block(row.result)

    @display(description="Error")
    def error_shown(self, row: ExecutionAttempt) -> str:
        return json_block(row.error)

    @display(description="Reported too late")
    def late_shown(self, row: ExecutionAttempt) -> str:
        return json_block(row.late_report)


@admin.register(Receipt)
class ReceiptAdmin(OfWorkflow):
    """Proofs of approvals that were handed out, and which of them were used."""

    list_display = (
        "issued_at", "workflow_link", "audience", "expires_at", "replaced_at", "consumed_at",
        "consumed_by",
    )  # fmt: skip
    list_filter = (("issued_at", RangeDateTimeFilter), "workflow__team")
    list_filter_submit = True
    ordering = ("-issued_at",)
    search_fields = ("workflow__name", "audience", "consumed_by")
    id_fields = ("pk", "workflow")
    fields = (
        "workflow_link", "round", "fingerprint", "audience", "kid", "issued_at", "expires_at",
        "replaced_at", "consumed_at", "consumed_by", "id",
    )  # fmt: skip
    readonly_fields = fields


@admin.register(View)
class ViewAdmin(OfWorkflow):
    """Who has opened which request."""

    list_display = ("viewed_at", "workflow_link", "user", "round")
    list_filter = (("viewed_at", RangeDateTimeFilter), "workflow__team")
    list_filter_submit = True
    list_select_related = ("workflow", "user")
    ordering = ("-viewed_at",)
    search_fields = ("workflow__name", "user__email", "user__name")
    id_fields = ("workflow", "user")
    fields = ("workflow_link", "user", "round", "viewed_at")
    readonly_fields = fields


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(OfWorkflow):
    """Stored answers to repeated requests."""

    list_display = ("created_at", "agent", "route", "key", "workflow_link", "response_status")
    list_filter = (("created_at", RangeDateTimeFilter), "agent__team")
    list_filter_submit = True
    list_select_related = ("workflow", "agent")
    ordering = ("-created_at",)
    search_fields = ("key", "agent__name", "workflow__name")
    id_fields = ("workflow", "agent")
    fields = (
        "agent", "route", "key", "fingerprint", "workflow_link", "response_status", "body_shown",
        "created_at",
    )  # fmt: skip
    readonly_fields = fields

    @display(description="Answer")
    def body_shown(self, row: IdempotencyKey) -> str:
        return json_block(row.response_body)


@admin.register(ActionType)
class ActionTypeAdmin(Admin):
    """What a team knows about one kind of action. Requests keep what held when they were made."""

    form = ActionTypeForm
    list_display = ("name", "title", "team", "shown_risk", "executor", "semantics", "updated_at")
    list_filter = (
        "team",
        ("risk", ChoicesDropdownFilter),
        ("executor", ChoicesDropdownFilter),
        ("semantics", ChoicesDropdownFilter),
    )
    list_select_related = ("team",)
    search_fields = ("name", "title", "description", "team__name")
    autocomplete_fields = ("team", "policy", "compensation")
    readonly_fields = ("id", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": (("team", "name"), "title", "description", "risk", "policy")}),
        ("Data and form", {"fields": ("data_schema", "ui_schema"), "classes": ("tab",)}),
        (
            "Silence",
            {
                "fields": ("timeout_seconds", "timeout_action", "allow_timeout_approval"),
                "classes": ("tab",),
            },
        ),
        (
            "Carrying out",
            {
                "fields": (
                    "executor", "executor_config", "semantics", "lease_seconds", "max_attempts",
                    "compensation",
                ),
                "classes": ("tab",),
            },
        ),
        ("Record", {"fields": ("id", "created_at", "updated_at"), "classes": ("tab",)}),
    )  # fmt: skip

    @display(description="Risk", ordering="risk", label=RISK_LABELS)
    def shown_risk(self, row: ActionType) -> str:
        return row.get_risk_display()
