"""Second factors: authenticator app (TOTP), passkey (WebAuthn), recovery codes.

django-allauth keeps them and does the cryptography. What is decided here: secrets are sealed at
rest, and every code counts once, also when the cache has forgotten, in any process.
"""

import hmac
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.conf import settings
from django.db import IntegrityError, transaction

from hitl.accounts.models import User
from hitl.lib import sealing
from hitl.lib.errors import Conflict, NotFound

logger = logging.getLogger(__name__)

Type = Authenticator.Type
PROVING = (Type.TOTP, Type.WEBAUTHN)  # recovery codes only stand in for one of these
STEP = "usedStep"  # in a TOTP row's data: the newest time step whose code was used
NAME_LIMIT = 60


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # published without types
    """How allauth keeps and names what it keeps for us."""

    def encrypt(self, text: str) -> str:
        return sealing.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(encrypted_text)

    def get_totp_label(self, user: User) -> str:
        return user.email

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        # Not the Host header: passkeys belong to the one public address.
        return {"id": passkey_host(), "name": "hitl"}

    def generate_authenticator_name(self, user: User, type: str) -> str:
        count = Authenticator.objects.filter(user=user, type=type).count()
        return f"Passkey {count + 1}" if count else "Passkey"


@dataclass(frozen=True)
class Factors:
    """What one person has."""

    totp: Authenticator | None
    passkeys: list[Authenticator]
    codes_left: int

    def __bool__(self) -> bool:
        return bool(self.totp or self.passkeys)


def passkey_host() -> str:
    """The host passkeys are bound to (WebAuthn's relying party id)."""
    return urlsplit(settings.PUBLIC_URL).hostname or ""


def name_of(row: Authenticator) -> str:
    """What its owner calls it."""
    return str(row.wrap().name) if row.type == Type.WEBAUTHN else "Authenticator app"


def has_second_factor(user: User) -> bool:
    """Whether there is one to ask for."""
    return bool(Authenticator.objects.filter(user=user, type__in=PROVING).exists())


def of(user: User) -> Factors:
    """All that a person has, oldest first."""
    rows = list(Authenticator.objects.filter(user=user).order_by("pk"))
    codes = next((row for row in rows if row.type == Type.RECOVERY_CODES), None)
    return Factors(
        totp=next((row for row in rows if row.type == Type.TOTP), None),
        passkeys=[row for row in rows if row.type == Type.WEBAUTHN],
        codes_left=len(codes.wrap().get_unused_codes()) if codes else 0,
    )


# --- Codes ----------------------------------------------------------------------------------------


@transaction.atomic
def use_code(user: User, code: str) -> Authenticator | None:
    """The factor this code belongs to, the code now used up; None for wrong and for used ones."""
    typed = "".join(code.split()).replace("-", "")
    rows = Authenticator.objects.select_for_update().filter(
        user=user, type__in=(Type.TOTP, Type.RECOVERY_CODES)
    )
    for row in rows.order_by("pk"):
        if _use_up(row, typed):
            return row
    return None


def _use_up(row: Authenticator, code: str) -> bool:
    if row.type == Type.RECOVERY_CODES:
        return bool(row.wrap().validate_code(code))
    step = _step_of(sealing.unseal(row.data["secret"]), code)
    # Older steps than the last one used are refused with it (RFC 6238, section 5.2).
    if step is None or step <= row.data.get(STEP, -1):
        return False
    row.data[STEP] = step
    row.save(update_fields=["data"])
    return True


def _step_of(secret: str, code: str) -> int | None:
    for step in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, step))
        if hmac.compare_digest(expected.encode(), code.encode("utf-8", "surrogatepass")):
            return int(step)
    return None


def codes(user: User) -> list[str]:
    """The recovery codes that are still good."""
    row = Authenticator.objects.filter(user=user, type=Type.RECOVERY_CODES).first()
    return list(row.wrap().get_unused_codes()) if row else []


# --- Changes --------------------------------------------------------------------------------------


def add_totp(user: User, secret: str, code: str) -> Authenticator:
    """Keep an app's secret; the code that proved it is used up. Raises Conflict."""
    try:
        with transaction.atomic():
            row: Authenticator = totp.TOTP.activate(user, secret).instance
            _use_up(row, "".join(code.split()))
            RecoveryCodes.activate(user)
    except IntegrityError:
        raise Conflict("An authenticator app is set up already. Remove it first.") from None
    logger.info("second factor added: totp for user %s", user.pk)
    return row


@transaction.atomic
def add_passkey(user: User, name: str, credential: dict[str, Any]) -> Authenticator:
    """Keep a passkey whose registration has been verified."""
    row: Authenticator = WebAuthn.add(user, name[:NAME_LIMIT], credential).instance
    RecoveryCodes.activate(user)
    logger.info("second factor added: passkey %s for user %s", row.pk, user.pk)
    return row


@transaction.atomic
def remove(user: User, factor_id: int) -> Authenticator:
    """Take one away; recovery codes go with the last one. Raises NotFound."""
    mine = Authenticator.objects.select_for_update().filter(user=user)
    row = mine.filter(pk=factor_id, type__in=PROVING).first()
    if row is None:
        raise NotFound("There is no such second factor any more.")
    Authenticator.objects.filter(pk=row.pk).delete()
    if not has_second_factor(user):
        mine.delete()
    logger.info("second factor removed: %s %s of user %s", row.type, row.pk, user.pk)
    return row


@transaction.atomic
def new_codes(user: User) -> None:
    """Other recovery codes; the old ones are void. Raises Conflict without a factor to recover."""
    User.objects.select_for_update().get(pk=user.pk)
    if not has_second_factor(user):
        raise Conflict("Set up a second factor first.")
    Authenticator.objects.filter(user=user, type=Type.RECOVERY_CODES).delete()
    RecoveryCodes.activate(user)
    logger.info("recovery codes renewed for user %s", user.pk)


def reseal_all() -> int:
    """Seal every secret with the first key; how many there were. Raises Unreadable."""
    rows = list(Authenticator.objects.select_for_update().exclude(type=Type.WEBAUTHN))
    for row in rows:
        name = "secret" if row.type == Type.TOTP else "seed"
        row.data[name] = sealing.reseal(row.data[name])
    Authenticator.objects.bulk_update(rows, ["data"])
    return len(rows)


def reset(user: User) -> int:
    """Take all of a person's factors away, for who lost them; how many there were."""
    count: int = Authenticator.objects.filter(user=user).delete()[0]
    logger.warning("second factors reset for user %s", user.pk)
    return count
