"""Admin pages of policies, rules and what has been done under them; saved by the same writers."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from hitl.admin_tools import NOTHING, Admin, ReadOnlyAdmin, json_block, link, person
from hitl.lib.errors import HitlError, InvalidInput
from workflows import policy_books, policy_files, rule_words
from workflows.models import (
    FiredStep,
    HandOver,
    Policy,
    PolicyVersion,
    Remark,
    RuleSet,
    RuleUse,
    Withdrawal,
)
from workflows.policies import plain
from workflows.policy_cast import Cast

_YAML = UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false"})


class _YamlForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A document as YAML; it is read with the team's people and groups at hand."""

    yaml = forms.CharField(
        label="YAML",
        widget=_YAML,
        help_text="People by their e-mail address, groups by their short name.",
    )
    note = forms.CharField(
        required=False, max_length=policy_books.NOTE_LENGTH, help_text="What changes, and why."
    )
    document: Any = None

    def clean(self) -> dict[str, Any]:
        """Read the text; what is wrong names its line."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        team = values.get("team") or getattr(self.instance, "team", None)
        if team is not None and "yaml" in values:
            try:
                self.document = self.read(values["yaml"], Cast.of(team))
            except InvalidInput as error:
                raise ValidationError({"yaml": policy_files.sentences(error)}) from None
        return values

    def read(self, text: str, cast: Cast) -> Any:
        """What the text says."""
        raise NotImplementedError


class PolicyForm(_YamlForm):
    """A policy, and the version that the page showed."""

    version_shown = forms.IntegerField(required=False, widget=forms.HiddenInput())

    class Meta:
        model = Policy
        fields = ("team",)

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        policy = self.instance
        if not policy._state.adding:
            cast = Cast.of(policy.team)
            self.initial["yaml"] = policy_files.write([policy.document], cast=cast)
            self.initial["version_shown"] = policy.version

    def read(self, text: str, cast: Cast) -> Any:
        return policy_files.read_policy(text, cast=cast)

    def clean(self) -> dict[str, Any]:
        """Refuse what somebody else has overtaken, before anything is saved."""
        values = super().clean()
        policy = self.instance
        if not policy._state.adding and values.get("version_shown") != policy.version:
            raise ValidationError(f"Version {policy.version} was saved meanwhile: open it again.")
        name = (self.document or {}).get("name")
        others = Policy.objects.filter(team=values.get("team") or policy.team_id, name=name)
        if name and others.exclude(pk=policy.pk).exists():
            raise ValidationError({"yaml": f"The team has a policy {name!r} already."})
        return values


@admin.register(Policy)
class PolicyAdmin(Admin):
    """Policies. Every save is a version; nothing that is open changes, and nothing is deleted."""

    form = PolicyForm
    list_display = ("name", "team", "version", "is_default", "says", "archived_at", "updated_at")
    list_filter = ("team", "is_default", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("team",)
    search_fields = ("name", "team__name")
    autocomplete_fields = ("team",)
    actions = ("archive", "bring_back")
    readonly_fields = ("in_words", "version", "is_default", "archived_at", "updated_at", "id")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        typed = ("yaml", "note", "version_shown")
        return ("team", *typed) if obj is None else ("team", "in_words", *typed, *self.shown)

    shown = ("version", "is_default", "archived_at", "updated_at", "id")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj is None else ("team", *self.readonly_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        """Through the one writer; staff with the right to change policies are operators here."""
        saved = policy_books.save_policy(
            form.cleaned_data.get("team") or obj.team,
            form.document,
            by=person(request),
            policy_id=obj.pk if change else None,
            expected_version=form.cleaned_data.get("version_shown") if change else None,
            note=form.cleaned_data["note"],
            as_operator=True,
        )
        obj.pk = saved.pk
        obj.refresh_from_db()

    @display(description="Says")
    def says(self, policy: Policy) -> str:
        return plain.summary(policy.document, Cast.of(policy.team).names)

    @display(description="In plain words")
    def in_words(self, policy: Policy) -> SafeString | str:
        names = Cast.of(policy.team).names
        said = plain.explain(policy.document, names)
        return format_html_join("", "<p>{}</p>", ((each,) for each in said))

    @action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, rows: QuerySet[Policy]) -> None:
        self._each(request, rows, policy_books.archive)

    @action(description="Bring back into use", permissions=["change"])
    def bring_back(self, request: HttpRequest, rows: QuerySet[Policy]) -> None:
        self._each(request, rows, policy_books.unarchive)

    def _each(self, request: HttpRequest, rows: QuerySet[Policy], do: Any) -> None:
        for policy in rows.select_related("team"):
            try:
                do(policy.team, policy.pk, by=None)
            except HitlError as error:
                self.message_user(request, str(error), messages.ERROR)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnlyAdmin):
    """What somebody saved. Never changed."""

    list_display = ("policy", "number", "note", "created_by", "created_at")
    list_filter = ("policy__team",)
    list_select_related = ("policy", "created_by")
    search_fields = ("policy__name", "note", "created_by__email")
    id_fields = ("pk", "policy")
    fields = ("policy", "number", "note", "created_by", "created_at", "document_shown")
    readonly_fields = fields

    @display(description="Document")
    def document_shown(self, row: PolicyVersion) -> SafeString | str:
        return json_block(row.document)


class RuleSetForm(_YamlForm):
    """All rules of a team, to be saved as a new set."""

    class Meta:
        model = RuleSet
        fields = ("team",)

    def read(self, text: str, cast: Cast) -> Any:
        found = policy_files.read(text, cast=cast)
        if found.policies:
            raise InvalidInput("Write rules only.")
        return found.rules


@admin.register(RuleSet)
class RuleSetAdmin(Admin):
    """Rules. The newest set of a team is in force; adding one replaces it."""

    form = RuleSetForm
    list_display = ("team", "number", "note", "created_by", "created_at")
    list_filter = ("team",)
    list_select_related = ("team", "created_by")
    search_fields = ("team__name", "note", "created_by__email")
    autocomplete_fields = ("team",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("team", "yaml", "note")
        return ("team", "number", "note", "created_by", "created_at", "in_words", "rules_shown")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: RuleSet, form: Any, change: bool) -> None:
        """Through the one writer."""
        saved = policy_books.save_rules(
            form.cleaned_data["team"],
            form.document,
            by=person(request),
            note=form.cleaned_data["note"],
            as_operator=True,
        )
        obj.pk = saved.pk
        obj.refresh_from_db()

    @display(description="In plain words")
    def in_words(self, row: RuleSet) -> SafeString | str:
        said = [(rule["name"], rule_words.explain(rule)) for rule in row.rules]
        return format_html_join("", "<p><b>{}.</b> {}</p>", said) or NOTHING

    @display(description="Rules")
    def rules_shown(self, row: RuleSet) -> SafeString | str:
        return json_block(row.rules)


class _OfWorkflow(ReadOnlyAdmin):
    """Records about one request."""

    list_select_related: tuple[str, ...] = ("workflow",)
    search_fields = ("workflow__name",)
    id_fields = ("workflow",)

    @display(description="Request")
    def request_link(self, row: Any) -> SafeString | str:
        return link(row.workflow)


@admin.register(RuleUse)
class RuleUseAdmin(_OfWorkflow):
    """What approving rules have taken from their budgets."""

    list_display = ("rule", "team", "request_link", "amount", "created_at")
    list_filter = ("team",)
    list_select_related = ("workflow", "team")
    fields = list_display
    readonly_fields = fields


@admin.register(FiredStep)
class FiredStepAdmin(_OfWorkflow):
    """Reminders and steps of escalations that have taken place."""

    list_display = ("key", "request_link", "round", "stage", "skipped", "planned_at", "fired_at")
    fields = list_display
    readonly_fields = fields


@admin.register(HandOver)
class HandOverAdmin(_OfWorkflow):
    """One person's say in one request, given to somebody else."""

    list_display = ("request_link", "person", "to", "given_by", "created_at")
    list_select_related = ("workflow", "person", "to", "given_by")
    fields = ("request_link", "round", "person", "to", "given_by", "reason", "created_at")
    readonly_fields = fields


@admin.register(Withdrawal)
class WithdrawalAdmin(_OfWorkflow):
    """Answers that were taken back."""

    list_display = ("request_link", "decision", "channel", "withdrawn_at")
    list_select_related = ("workflow", "decision__user")
    fields = ("request_link", "decision", "channel", "reason", "withdrawn_at")
    readonly_fields = fields


@admin.register(Remark)
class RemarkAdmin(_OfWorkflow):
    """What was said about a request without deciding it."""

    list_display = ("request_link", "created_at")
    readonly_fields = tuple(field.name for field in Remark._meta.fields)
