"""Who calls the API: an agent by API key, an agent or a person by JWT, a person by session.

Fails closed: a credential that is present but wrong is refused, never ignored.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from django.conf import settings
from django.utils import timezone
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from hitl.accounts import keys
from hitl.accounts.models import Agent, ApiKey, User
from hitl.accounts.services import SCOPES

LAST_USED_PRECISION = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Credential:
    """How the caller proved who it is; becomes `request.auth`."""

    kind: str  # api_key, jwt or session
    id: str
    scopes: tuple[str, ...] = ()


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer hitl_agt_…` or `X-API-Key: hitl_agt_…`."""

    def authenticate(self, request: Request) -> tuple[Agent, Credential] | None:
        secret = request.headers.get("X-Api-Key") or bearer(request)
        if not secret or not (secret.startswith(keys.PREFIX) or "X-Api-Key" in request.headers):
            return None
        key = find_key(secret)
        if key is None:
            raise exceptions.AuthenticationFailed("This API key is unknown, expired or revoked.")
        return key.agent, Credential("api_key", str(key.pk), tuple(key.scopes))

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="hitl"'


class JwtAuthentication(authentication.BaseAuthentication):
    """A JWT (HS256 with `JWT_SECRET`) in `Authorization: Bearer` or the `accessToken` cookie.

    `sub` is `agent:<id>` or `user:<id>`; `exp` is required. A cookie is sent by browsers on their
    own, so one that comes by cookie must pass the CSRF check as a session must.
    """

    def authenticate(self, request: Request) -> tuple[Agent | User, Credential] | None:
        token, from_cookie = bearer(request), False
        if not token:
            token, from_cookie = request.COOKIES.get("accessToken", ""), True
        if not token or token.startswith(keys.PREFIX):
            return None
        principal, subject = find_principal(token)
        if from_cookie:
            SessionAuthentication().enforce_csrf(request)
        return principal, Credential("jwt", subject, SCOPES)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="hitl"'


class SessionAuthentication(authentication.SessionAuthentication):
    """The dashboard's session, CSRF-checked; used by people who try the API in the browser."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        return (found[0], Credential("session", "")) if found else None


def bearer(request: Request) -> str:
    """The token of an `Authorization: Bearer` header, or nothing."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def find_key(secret: str) -> ApiKey | None:
    """The usable key row for this secret; notes its use at most once a minute."""
    if not keys.is_well_formed(secret):
        return None
    key = ApiKey.objects.select_related("agent__team").filter(digest=keys.digest(secret)).first()
    if key is None or not key.is_usable:
        return None
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_PRECISION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


def find_principal(token: str) -> tuple[Agent | User, str]:
    """The agent or person a JWT names. Raises AuthenticationFailed for anything doubtful."""
    try:
        claims = jwt.decode(
            token,
            settings.JWT_SECRET,
            algorithms=["HS256"],
            options={"require": ["exp", "sub"]},
            leeway=5,
        )
        kind, _, raw_id = str(claims["sub"]).partition(":")
        principal_id = UUID(raw_id)
    except (jwt.InvalidTokenError, ValueError):
        raise exceptions.AuthenticationFailed("This token is invalid or has expired.") from None
    principal: Agent | User | None = None
    if kind == "agent":
        agents = Agent.objects.select_related("team")
        principal = agents.filter(pk=principal_id, is_active=True).first()
    elif kind == "user":
        principal = User.objects.filter(pk=principal_id, is_active=True).first()
    if principal is None:
        raise exceptions.AuthenticationFailed("This token names nobody who may call.")
    return principal, str(claims["sub"])
