"""Issue and revoke keys, sign tokens for people, make teams. Callers hold the permission checks."""

import datetime as dt
from collections.abc import Sequence

import jwt
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from hitl.accounts import keys
from hitl.accounts.models import Agent, ApiKey, ContactPoint, Membership, Role, Team, User
from hitl.lib.errors import FieldError, InvalidInput

SCOPES = ("create", "read", "execute")
# Given only where they are asked for: a webhook carries what the whole team does to the outside.
EXTRA_SCOPES = ("webhooks",)
ALL_SCOPES = (*SCOPES, *EXTRA_SCOPES)


def issue_key(
    agent: Agent,
    *,
    name: str = "",
    scopes: Sequence[str] = SCOPES,
    expires_at: dt.datetime | None = None,
    created_by: User | None = None,
    key: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key for `agent`; returns the row and the key itself, which is never seen again.

    `key` presets it (bootstrap from the environment). Raises InvalidInput if it is malformed or a
    scope is unknown.
    """
    secret = key or keys.generate()
    if not keys.is_well_formed(secret):
        raise InvalidInput(
            "That is not an API key of this server: it must be made by `manage.py create_key`."
        )
    unknown = sorted(set(scopes) - set(ALL_SCOPES))
    if unknown:
        message = f"Unknown scope {unknown[0]!r}; choose from {', '.join(ALL_SCOPES)}."
        raise InvalidInput(message, [FieldError("/scopes", message)])
    row = ApiKey.objects.create(
        agent=agent,
        name=name,
        prefix=keys.visible_prefix(secret),
        digest=keys.digest(secret),
        scopes=list(scopes),
        expires_at=expires_at,
        created_by=created_by,
    )
    return row, secret


def revoke_key(key: ApiKey) -> None:
    """Revoke at once; doing it again changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


def issue_user_token(user: User, *, lifetime: dt.timedelta = dt.timedelta(hours=1)) -> str:
    """A JWT (HS256, `JWT_SECRET`) with which `user` may call the API. `sub` is `user:<id>`."""
    return _sign(f"user:{user.pk}", lifetime)


def issue_agent_token(agent: Agent, *, lifetime: dt.timedelta = dt.timedelta(hours=1)) -> str:
    """A JWT naming `agent`, equal to one of its keys with every scope. `sub` is `agent:<id>`."""
    return _sign(f"agent:{agent.pk}", lifetime)


def _sign(subject: str, lifetime: dt.timedelta) -> str:
    now = timezone.now()
    claims = {"sub": subject, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, settings.JWT_SECRET, algorithm="HS256")


def make_guest(email: str) -> User:
    """An account that nobody can log in to, for somebody who is only ever written to."""
    found, _ = User.objects.get_or_create(
        email=email.lower(), defaults={"password": make_password(None)}
    )
    return found


@transaction.atomic
def add_member(team: Team, user: User, role: Role = Role.APPROVER) -> Membership:
    """Put `user` into `team` (or change the role) and make the login address a contact point."""
    membership, _ = Membership.objects.update_or_create(
        team=team, user=user, defaults={"role": role}
    )
    if not ContactPoint.objects.filter(
        kind=ContactPoint.Kind.EMAIL, address=user.email, verified_at__isnull=False
    ).exists():
        ContactPoint.objects.update_or_create(
            user=user,
            kind=ContactPoint.Kind.EMAIL,
            address=user.email,
            defaults={"verified_at": timezone.now()},
        )
    return membership
