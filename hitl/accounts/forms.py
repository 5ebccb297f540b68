"""Forms of the admin's pages about people and keys."""

import datetime as dt
from typing import Any, cast

from django import forms
from django.utils import timezone
from unfold.forms import UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from hitl.accounts import kinds
from hitl.accounts.models import ContactPoint, User
from hitl.accounts.services import ALL_SCOPES, SCOPES
from hitl.lib.errors import InvalidInput

LONGEST_DAYS = 3650


class NewUserForm(UserCreationForm):  # type: ignore[misc]  # unfold is untyped
    """A person, known by the e-mail address."""

    class Meta:
        model = User
        fields = ("email", "name")

    def clean_email(self) -> str:
        """Addresses differ by more than case."""
        return str(self.cleaned_data["email"]).lower()


class UserForm(UserChangeForm):  # type: ignore[misc]  # unfold is untyped
    """What the admin may change about a person."""

    class Meta:
        model = User
        fields = "__all__"  # the admin page says which

    def clean_email(self) -> str:
        """Addresses differ by more than case."""
        return str(self.cleaned_data["email"]).lower()


class ContactPointForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """An address of a kind that some channel writes to. Changing it takes the proof away."""

    kind = forms.ChoiceField(choices=kinds.choices, widget=UnfoldAdminSelectWidget())

    class Meta:
        model = ContactPoint
        fields = ("user", "kind", "address", "use", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        old = self.instance.kind
        field = cast(forms.ChoiceField, self.fields["kind"])
        if old and old not in dict(kinds.choices()):
            field.choices = [*kinds.choices(), (old, old)]

    def clean(self) -> dict[str, Any]:
        """The address as its channel wants it."""
        cleaned: dict[str, Any] = super().clean() or {}
        kind = kinds.get(cleaned.get("kind", ""))
        if kind and cleaned.get("address"):
            try:
                cleaned["address"] = kind.read(cleaned["address"])
            except InvalidInput as error:
                self.add_error("address", str(error))
        if self.instance.pk and {"user", "kind", "address"} & set(self.changed_data):
            self.instance.verified_at = None
        return cleaned


class NewKeyForm(forms.Form):
    """What a new API key is for, what it may do and for how long."""

    name = forms.CharField(
        max_length=80,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Where it will be used, to tell keys apart later.",
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in ALL_SCOPES],
        initial=list(SCOPES),
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    days = forms.IntegerField(
        label="Expires after, in days",
        required=False,
        min_value=1,
        max_value=LONGEST_DAYS,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Empty: until it is revoked.",
    )

    def key_values(self) -> dict[str, Any]:
        """The arguments of `services.issue_key`."""
        days = self.cleaned_data["days"]
        expires_at = timezone.now() + dt.timedelta(days=days) if days else None
        return {
            "name": self.cleaned_data["name"],
            "scopes": self.cleaned_data["scopes"],
            "expires_at": expires_at,
        }
