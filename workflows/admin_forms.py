"""Forms of the admin's pages about requests and action types."""

import json
from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from hitl.lib import sealing, strict_json
from hitl.lib.errors import InvalidInput
from workflows import json_schema, rollback
from workflows.actions import get_action
from workflows.models import ActionType, Executor, Verdict

# Stands for a stored secret on the page; sent back unchanged, the secret stays.
MASK = "••••••••"


class ApproveForm(forms.Form):
    """The answer, and the fingerprint of the data it was given on."""

    verdict = Verdict.APPROVED
    decision = forms.CharField(widget=forms.HiddenInput())
    fingerprint = forms.CharField(widget=forms.HiddenInput())
    round = forms.IntegerField(widget=forms.HiddenInput(), required=False)
    comment = forms.CharField(
        required=False,
        max_length=5000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept with the decision; the agent reads it too.",
    )

    def __init__(self, *args: Any, **values: Any) -> None:
        values["initial"] = {"decision": self.verdict, **values.get("initial", {})}
        super().__init__(*args, **values)

    def clean_decision(self) -> str:
        """Each page stands for one answer, whatever is posted to it."""
        if self.cleaned_data["decision"] != self.verdict:
            raise ValidationError("This page is for another answer.")
        return str(self.verdict)


class RejectForm(ApproveForm):
    """A rejection, with its reason."""

    verdict = Verdict.REJECTED
    comment = forms.CharField(
        label="Reason",
        max_length=5000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="The agent reads it, and can do better next time.",
        error_messages={"required": "Say why, so that the agent can do better."},
    )


class SettleForm(forms.Form):
    """What became of an action whose outcome got lost."""

    result = forms.ChoiceField(
        choices=[("succeeded", "It was carried out"), ("failed", "It was not carried out")],
        widget=UnfoldAdminRadioSelectWidget(),
    )
    note = forms.CharField(
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="How you know: where you looked, what you saw.",
    )

    def outcome(self) -> dict[str, Any]:
        """The arguments of `executions.settle_unknown`."""
        succeeded = self.cleaned_data["result"] == "succeeded"
        return {"succeeded": succeeded, "note": self.cleaned_data["note"]}


class RollBackForm(forms.Form):
    """Which way back, why, and that its risk is known."""

    to_seq = forms.TypedChoiceField(
        label="What is to happen", coerce=int, widget=UnfoldAdminRadioSelectWidget()
    )
    reason = forms.CharField(
        max_length=rollback.REASON_LIMIT,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Your name and the reason stay on record; the agent reads them, too.",
    )
    acknowledged = forms.BooleanField(
        required=False,
        label="I have looked: nothing has happened that must not happen twice",
        help_text="Needed to run an action again that is to happen at most once.",
        widget=UnfoldBooleanWidget(),
    )
    round = forms.IntegerField(widget=forms.HiddenInput())

    def __init__(self, *args: Any, offers: Sequence[rollback.Offer], **values: Any) -> None:
        super().__init__(*args, **values)
        field = cast(forms.TypedChoiceField, self.fields["to_seq"])
        field.choices = [
            (offer.to_seq, f"{offer.title}: {' '.join(offer.says)}") for offer in offers
        ]
        if not any(offer.needs_acknowledgement for offer in offers):
            del self.fields["acknowledged"]


class PrettyJSONField(forms.JSONField):
    """JSON over several lines; nothing is an empty box, not the word `null`."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        is_typed = isinstance(value, str)  # what was sent comes back as it was typed
        return value if is_typed else json.dumps(value, indent=2, ensure_ascii=False)

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.disabled else data

    def to_python(self, value: Any) -> Any:
        """Strictly, as agents' JSON is read: no duplicate keys, no NaN."""
        if value in self.empty_values or not isinstance(value, str):
            return value or None
        try:
            return strict_json.loads(value.encode(errors="surrogatepass"))
        except InvalidInput as error:
            faults = [fault.message for fault in error.errors]
            raise ValidationError(faults or [str(error)]) from None


class ActionTypeForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """Schemas and configuration are checked where they are written, not when an agent asks."""

    data_schema = PrettyJSONField(
        label="Data (JSON Schema)",
        required=False,
        help_text="What actionData must satisfy. Empty: anything goes.",
    )
    ui_schema = PrettyJSONField(
        label="Form",
        required=False,
        help_text='JSON Schema, or the short form {"fields": [{"name": …, "type": …}]}. '
        "Used when the agent sends none; with a form, approvers may edit.",
    )
    executor_config = PrettyJSONField(
        label="Configuration",
        required=False,
        help_text='HTTP: {"url": …, "secret": "whsec_…"}. Function: {"function": …}.',
    )

    class Meta:
        model = ActionType
        fields = "__all__"  # noqa: DJ007  # the admin page says which

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        config = self.instance.executor_config
        if isinstance(config, dict) and "secret" in config:
            self.initial["executor_config"] = {**config, "secret": MASK}

    def clean_data_schema(self) -> Any:
        """A usable JSON Schema, kept as it was written."""
        return _usable(self.cleaned_data["data_schema"])

    def clean_ui_schema(self) -> Any:
        """A usable form: JSON Schema or the short form."""
        return _usable(self.cleaned_data["ui_schema"])

    def clean_executor_config(self) -> dict[str, Any]:
        """An object; a secret that was shown masked comes back as it was."""
        config = self.cleaned_data["executor_config"]
        config = {} if config is None else config
        if not isinstance(config, dict):
            raise ValidationError('Write an object, like {"url": "https://example.com/run"}.')
        if config.get("secret") == MASK:
            kept = self.instance.executor_config.get("secret", "")
            config = {**config, "secret": sealing.reveal(kept)}
        return config

    def clean(self) -> dict[str, Any]:
        """What one field means depends on another."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        policy, team = values.get("policy"), values.get("team")
        if policy and team and policy.team_id != team.pk:
            self.add_error("policy", f"{policy} belongs to another team.")
        elif policy and policy.archived_at:
            self.add_error("policy", f"{policy} is archived: choose another.")
        self._check_compensation(values)
        executor, config = values.get("executor"), values.get("executor_config")
        if executor and executor != Executor.AGENT and config is not None:
            try:
                get_action(executor).check_config(config)
            except InvalidInput as error:
                self.add_error("executor_config", str(error))
        return values

    def _check_compensation(self, values: dict[str, Any]) -> None:
        """Of the same team, and another than itself."""
        undo, team = values.get("compensation"), values.get("team")
        if undo and undo.pk == self.instance.pk:
            self.add_error("compensation", "Nothing undoes itself: choose another action type.")
        elif undo and team and undo.team_id != team.pk:
            self.add_error("compensation", f"{undo} belongs to another team.")


def _usable(schema: Any) -> Any:
    try:
        json_schema.normalise(schema)
    except InvalidInput as error:
        places = [f"{fault.pointer or '/'}: {fault.message}" for fault in error.errors]
        raise ValidationError(places or [str(error)]) from None
    return schema
