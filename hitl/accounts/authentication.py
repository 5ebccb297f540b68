"""Who calls the API: an agent by API key, an agent or a person by JWT, a person by session.

Fails closed: a credential that is present but wrong is refused, never passed over for another one.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.utils import timezone
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from hitl.accounts import keys
from hitl.accounts.models import Agent, ApiKey, User
from hitl.accounts.services import SCOPES

COOKIE = "accessToken"
CHALLENGE = 'Bearer realm="hitl"'
LAST_USED_PRECISION = dt.timedelta(minutes=1)
CLOCK_SKEW_SECONDS = 5


@dataclass(frozen=True)
class Credential:
    """How the caller proved who it is; becomes `request.auth`."""

    kind: str  # api_key, jwt or session
    id: str  # the key's row, a JWT's subject, the session's key
    scopes: tuple[str, ...] = ()
    expires_at: int | None = None  # a JWT's; seconds since 1970


Known = tuple[Agent | User, Credential]


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer hitl_agt_…` or `X-API-Key: hitl_agt_…`."""

    def authenticate(self, request: Request) -> Known | None:
        header, token = request.headers.get("X-Api-Key"), bearer(request)
        if header is not None and token:
            raise exceptions.AuthenticationFailed("Send one credential: a header, not both.")
        secret = token if header is None else header
        if header is None and not secret.startswith(keys.PREFIX):
            return None
        return by_key(secret)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class JwtAuthentication(authentication.BaseAuthentication):
    """A JWT (HS256 with `JWT_SECRET`) in `Authorization: Bearer` or the `accessToken` cookie.

    `sub` is `agent:<id>` or `user:<id>`; `exp` is required. A cookie is sent by browsers on their
    own, so one that comes by cookie must pass the CSRF check as a session must.
    """

    def authenticate(self, request: Request) -> Known | None:
        token, from_cookie = bearer(request), False
        if not token:
            token, from_cookie = request.COOKIES.get(COOKIE, ""), True
        if not token:
            return None
        known = by_token(token)
        if from_cookie:
            SessionAuthentication().enforce_csrf(request)
        return known

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """The dashboard's session, CSRF-checked; used by people who try the API in the browser."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        if not found:
            return None
        return found[0], Credential("session", request.session.session_key or "")


def by_secret(secret: str) -> Known:
    """Who calls with a key or a JWT, told apart by their form. Raises AuthenticationFailed."""
    return by_key(secret) if secret.startswith(keys.PREFIX) else by_token(secret)


def by_key(secret: str) -> Known:
    """Who calls with this API key. Raises AuthenticationFailed."""
    key = find_key(secret)
    if key is None:
        raise exceptions.AuthenticationFailed("This API key is unknown, expired or revoked.")
    return key.agent, Credential("api_key", str(key.pk), tuple(key.scopes))


def by_token(token: str) -> Known:
    """Who calls with this JWT. Raises AuthenticationFailed."""
    principal, subject, expires_at = _principal(token)
    return principal, Credential("jwt", subject, SCOPES, expires_at)


def by_session(session_key: str) -> Known | None:
    """Who is logged in with this session, while it lasts."""
    request = HttpRequest()
    request.session = SessionStore(session_key)
    user = auth.get_user(request)
    return (user, Credential("session", session_key)) if isinstance(user, User) else None


def bearer(request: Request) -> str:
    """The token of the `Authorization` header, "" without one; any other scheme is refused."""
    header = request.headers.get("Authorization")
    if header is None:
        return ""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise exceptions.AuthenticationFailed("Send `Authorization: Bearer` and a key or a token.")
    return token.strip()


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
    return _principal(token)[:2]


def _principal(token: str) -> tuple[Agent | User, str, int]:
    kind, principal_id, expires_at = _claims(token)
    principal: Agent | User | None = None
    if kind == "agent":
        agents = Agent.objects.select_related("team")
        principal = agents.filter(pk=principal_id, is_active=True).first()
    elif kind == "user":
        principal = User.objects.filter(pk=principal_id, is_active=True).first()
    if principal is None:
        raise exceptions.AuthenticationFailed("This token names nobody who may call.")
    return principal, f"{kind}:{principal_id}", expires_at


def _claims(token: str) -> tuple[str, UUID, int]:
    """Kind, id and end of validity from a token whose signature and times hold."""
    try:
        claims = jwt.decode(
            token,
            settings.JWT_SECRET,
            algorithms=["HS256"],
            options={"require": ["exp", "sub"]},
            leeway=CLOCK_SKEW_SECONDS,
        )
        kind, _, raw_id = str(claims["sub"]).partition(":")
        return kind, UUID(raw_id), int(claims["exp"])
    # A hostile header nests its JSON until the parser gives up; a hostile number overflows.
    except (jwt.InvalidTokenError, ValueError, RecursionError, OverflowError):
        raise exceptions.AuthenticationFailed("This token is invalid or has expired.") from None
