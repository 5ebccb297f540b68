"""What people fill in to show a second factor or their password. Each limits its own guessing."""

import logging
import struct
from typing import Any

from allauth.core import context
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError

from hitl.accounts import factors, tries
from hitl.accounts.models import User

logger = logging.getLogger(__name__)

CODE_LIMIT = 40
NOT_ACCEPTED = "This passkey was not accepted."
# What the parsers of CBOR and JSON raise over what no browser would send.
MALFORMED = (AttributeError, LookupError, TypeError, ValueError, struct.error)


class CodeForm(forms.Form):
    """A code of the authenticator app, or a recovery code, at login."""

    code = forms.CharField(max_length=CODE_LIMIT)
    reauthenticated = False

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        self.authenticator: Authenticator | None = None
        super().__init__(*args, **kwargs)

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        _try("code", self.user)
        self.authenticator = factors.use_code(self.user, code)
        if self.authenticator is None:
            logger.warning("second factor refused: a wrong code for user %s", self.user.pk)
            raise ValidationError(
                "This code is wrong, has run out or was used before. Wait for the next one."
            )
        tries.forgive("code", str(self.user.pk))
        return code

    def save(self) -> None:
        """Keep in the session that it was shown."""
        post_authentication(
            context.request, self.authenticator, reauthenticated=self.reauthenticated
        )
        _note(self.authenticator)


class StepUpCodeForm(CodeForm):
    """The same of somebody who is logged in."""

    reauthenticated = True


class PasskeyForm(AuthenticateWebAuthnForm):  # type: ignore[misc]  # published without types
    """A passkey's signature over the challenge in the session, at login; allauth verifies it."""

    def clean_credential(self) -> Authenticator:
        try:
            return super().clean_credential()
        except MALFORMED:
            raise ValidationError(NOT_ACCEPTED) from None

    def save(self) -> None:
        """Keep in the session that it was shown."""
        super().save()
        _note(self.cleaned_data["credential"])


class StepUpPasskeyForm(PasskeyForm):
    """The same of somebody who is logged in."""

    reauthenticated = True


class NewPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]  # published without types
    """A new passkey's public half, made for the challenge in the session."""

    def clean(self) -> dict[str, Any]:
        try:
            return dict(super().clean())
        except MALFORMED:
            raise ValidationError(NOT_ACCEPTED) from None


class PasswordForm(forms.Form):
    """The password once more, before the first second factor is set up."""

    password = forms.CharField(strip=False, max_length=4096)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        _try("password", self.user)
        if not self.user.check_password(password):
            logger.warning("password refused: user %s gave a wrong one", self.user.pk)
            raise ValidationError("This is not your password.")
        tries.forgive("password", str(self.user.pk))
        return password


def _try(what: str, user: User) -> None:
    try:
        tries.begin(what, str(user.pk))
    except tries.TooManyTries as error:
        raise ValidationError(str(error)) from None


def _note(factor: Authenticator | None) -> None:
    if factor is not None:
        logger.info("second factor shown: %s by user %s", factor.type, factor.user_id)
