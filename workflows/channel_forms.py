"""A request's form inside a channel: the same fields as on the page, as far as a modal can."""

from typing import Any

from deliveries.channels.base import FormField
from hitl.lib.errors import InvalidInput
from workflows import forms, json_schema
from workflows.forms.model import Field
from workflows.models import Workflow

KINDS = {
    "text": "text",
    "textarea": "long",
    "select": "choice",
    "radio": "choice",
    "checkbox": "flag",
}
TICKED = "on"


def fields(workflow: Workflow) -> list[FormField]:
    """The form's fields for a modal; what a modal cannot edit is there to be read.

    Raises InvalidInput where the request has no form.
    """
    if workflow.ui_schema is None:
        raise InvalidInput("This request has no form, so its data cannot be edited.")
    form = forms.build(workflow.ui_schema, workflow.current_data)
    return [_field(field) for field in form.fields()]


def read(workflow: Workflow, values: dict[str, list[str]]) -> Any:
    """The complete edited data; fields the modal did not have stay as they are.

    Raises InvalidInput for what does not fit the form.
    """
    if workflow.ui_schema is None:
        raise InvalidInput("This request has no form, so its data cannot be edited.")
    form = forms.build(workflow.ui_schema, workflow.current_data)
    # A box that is not ticked sends nothing; on a page a hidden input says that it was there.
    flags = {field.name for field in form.fields() if field.widget == "checkbox"}
    posted = {name: ["", *sent] if name in flags else sent for name, sent in values.items()}
    data = forms.parse(workflow.ui_schema, workflow.current_data, posted)
    json_schema.check_edit(workflow.ui_schema, workflow.current_data, data)
    return data


def _field(field: Field) -> FormField:
    editable = field.widget in KINDS and not field.syntax
    return FormField(
        name=field.name,
        label=field.label,
        kind=KINDS.get(field.widget, "text"),
        value=_value(field) if editable else field.original,
        choices=_choices(field),
        help=" ".join(part for part in (field.help, field.hint) if part),
        required=field.is_required,
        read_only=not editable,
    )


def _value(field: Field) -> str:
    if field.widget == "checkbox":
        return TICKED if field.is_checked else ""
    if field.choices:
        return next((choice.value for choice in field.choices if choice.is_selected), "")
    return field.value


def _choices(field: Field) -> list[tuple[str, str]]:
    if field.widget == "checkbox":
        return [(TICKED, "Yes")]
    return [(choice.value, choice.label) for choice in field.choices]
