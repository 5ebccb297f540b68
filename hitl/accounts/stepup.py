"""How sure we are who sits there: what this session has shown besides its cookie, and when.

The proofs are allauth's records in the session. One counts only for the person it was given by,
as long as the factor is still theirs, and for STEP_UP_MINUTES.
"""

import datetime as dt
import logging
import time
from typing import Any, NamedTuple

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

from hitl.accounts.factors import Type, has_second_factor
from hitl.accounts.models import User

__all__ = [
    "SESSION",
    "STRONG",
    "Proof",
    "has_second_factor",
    "is_fresh",
    "may_change_factors",
    "proof",
    "proved_at",
    "record_factor",
    "record_password",
    "strength",
]

logger = logging.getLogger(__name__)

SESSION = "session"
STRONG = frozenset({"totp", "passkey", "recovery"})
_NAMES = {Type.TOTP: "totp", Type.WEBAUTHN: "passkey", Type.RECOVERY_CODES: "recovery"}


class Proof(NamedTuple):
    """A second factor that was shown: "totp", "passkey" or "recovery", and when."""

    method: str
    at: dt.datetime


def lifetime() -> dt.timedelta:
    """How long a proof is good for."""
    return dt.timedelta(minutes=settings.STEP_UP_MINUTES)


def strength(request: HttpRequest) -> str:
    """ "session", or what was freshly shown besides: "totp", "passkey", "recovery"."""
    found = proof(request)
    return found.method if found and _is_young(found.at, lifetime()) else SESSION


def is_fresh(request: HttpRequest, within: dt.timedelta | None = None) -> bool:
    """Whether a second factor was shown in this session lately."""
    found = proof(request)
    return bool(found and _is_young(found.at, within or lifetime()))


def proved_at(request: HttpRequest) -> dt.datetime | None:
    """When a second factor was last shown in this session."""
    found = proof(request)
    return found.at if found else None


def proof(request: HttpRequest) -> Proof | None:
    """The newest second factor shown in this session that its owner still has."""
    for record in reversed(_records(request)):
        if record.get("method") == "mfa" and _is_still_there(request, record):
            return Proof(_NAMES[Type(record["type"])], _at(record))
    return None


def may_change_factors(request: HttpRequest) -> bool:
    """Factors are changed by who has just shown one, or, before the first, the password."""
    if has_second_factor(_user(request)):
        return is_fresh(request)
    return any(
        record.get("method") == "password" and _is_young(_at(record), lifetime())
        for record in _records(request)
        if record.get("reauthenticated")
    )


def record_password(request: HttpRequest) -> None:
    """The password was given again."""
    record_authentication(request, _user(request), "password", reauthenticated=True)
    logger.info("password given again by user %s", request.user.pk)


def record_factor(request: HttpRequest, factor: Authenticator) -> None:
    """A second factor was shown, other than through allauth's forms: while it was set up."""
    facts = {"id": factor.pk, "type": str(factor.type), "reauthenticated": True}
    record_authentication(request, _user(request), "mfa", **facts)


def _records(request: HttpRequest) -> list[dict[str, Any]]:
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not hasattr(request, "session"):
        return []  # agents, and posts of channels
    return list(get_authentication_records(request, user))


def _is_still_there(request: HttpRequest, record: dict[str, Any]) -> bool:
    kept = Authenticator.objects.filter(pk=record["id"], user=_user(request))
    return bool(kept.filter(type=record["type"]).exists())


def _is_young(at: dt.datetime, within: dt.timedelta) -> bool:
    return dt.timedelta(0) <= dt.datetime.fromtimestamp(time.time(), dt.UTC) - at <= within


def _at(record: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromtimestamp(record["at"], dt.UTC)


def _user(request: HttpRequest) -> Any:
    return request.user
