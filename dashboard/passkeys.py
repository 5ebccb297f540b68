"""What a page hands to the browser for a passkey, and takes back (WebAuthn, section 5)."""

import json
from typing import Any

from allauth.mfa.webauthn.internal import auth as webauthn

from hitl.accounts.models import User


def creation(user: User) -> str:
    """The options for a new passkey, for `data-options`; the challenge is kept in the session."""
    return options(webauthn.begin_registration(user, False))


def request(user: User) -> str:
    """The options for showing one of the person's passkeys; the challenge is kept likewise."""
    return options(webauthn.begin_authentication(user))


def options(made: Any) -> str:
    """As JSON, binary parts in base64url."""
    return json.dumps(made)
