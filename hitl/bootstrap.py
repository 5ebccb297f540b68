"""Gives an embedded server its first team, admin, agent and requests.

It only ever adds: what a person changed, revoked or deleted afterwards is never put back. The
HITL_BOOTSTRAP_… variables name an account and a key that must exist; they are looked at on every
start, so a new address or key is added, but an existing account keeps its password.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from events.types import Source
from hitl import demo_people, samples
from hitl.accounts import keys
from hitl.accounts.models import Agent, ApiKey, Role, Team, User
from hitl.accounts.services import add_member, issue_key
from hitl.lib.errors import InvalidInput
from workflows import services
from workflows.inputs import NewWorkflow
from workflows.models import ActionType

TEAM, AGENT = "demo", "demo-agent"
DEFAULT_EMAIL = "admin@example.com"
# Without letters and digits that look alike; four groups of five make 99 bits.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Welcome:
    """What the operator must know. `password` and `key` only when they were made just now."""

    login: str
    password: str = ""
    key: str = ""
    key_prefix: str = ""
    is_first: bool = False


def check() -> None:
    """Raise InvalidInput where a variable cannot be used; needs no database."""
    _email()
    if settings.BOOTSTRAP_API_KEY and not keys.is_well_formed(settings.BOOTSTRAP_API_KEY):
        raise InvalidInput(
            "HITL_BOOTSTRAP_API_KEY is not a key of this server. Set one that "
            "`manage.py create_key --print-only` has made."
        )


@transaction.atomic
def ensure() -> Welcome:
    """Fill an empty server, and add what the variables name. Raises InvalidInput for bad ones."""
    check()
    if not User.objects.exists():
        return _fill()
    login = _named_login() or _some_login()
    if settings.BOOTSTRAP_API_KEY:
        _key(_agent(_team()))
    newest = ApiKey.objects.filter(revoked_at=None, agent__is_active=True).first()
    return Welcome(login=login, key_prefix=newest.prefix if newest else "")


def _fill() -> Welcome:
    user, password = _admin(_email())
    team = _team()
    agent = _agent(team)
    key, secret = _key(agent)
    for values in samples.ACTION_TYPES:
        ActionType.objects.create(team=team, **values)
    if demo_people.are_wanted():
        demo_people.add(team, user)
    for request in _requests():
        services.create(agent, _typed(request), source=Source.COMMAND)
    return Welcome(
        login=user.email, password=password, key=secret, key_prefix=key.prefix, is_first=True
    )


def _requests() -> tuple[dict[str, Any], ...]:
    """With screens to answer on, one of low risk as well: a text message may decide that."""
    return samples.REQUESTS + (samples.EXTRA if demo_people.are_wanted() else ())


def _typed(request: dict[str, Any]) -> NewWorkflow:
    return NewWorkflow(
        action_type=request["actionType"],
        action_data=request["actionData"],
        name=request["name"],
        reason=request["reason"],
        timeout_seconds=request["timeoutSeconds"],
    )


def _email() -> str:
    email = (settings.BOOTSTRAP_EMAIL or DEFAULT_EMAIL).strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise InvalidInput(f"HITL_BOOTSTRAP_EMAIL is {email!r}, not an e-mail address.") from None
    return email


def _named_login() -> str:
    """The account named by the environment, made if it is missing."""
    if not settings.BOOTSTRAP_EMAIL:
        return ""
    email = _email()
    if not User.objects.filter(email__iexact=email).exists():
        if not settings.BOOTSTRAP_PASSWORD:
            raise InvalidInput(
                f"HITL_BOOTSTRAP_EMAIL names {email}, who has no account here yet: "
                "set HITL_BOOTSTRAP_PASSWORD too."
            )
        _admin(email)
    return email


def _some_login() -> str:
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("date_joined").first()
    return admin.email if admin else ""


def _admin(email: str) -> tuple[User, str]:
    """An administrator who manages the team; the password is returned where it was made here."""
    made = "" if settings.BOOTSTRAP_PASSWORD else _random_password()
    user = User.objects.create_superuser(
        email, settings.BOOTSTRAP_PASSWORD or made, name=email.partition("@")[0].title()
    )
    add_member(_team(), user, Role.MANAGER)
    return user, made


def _random_password() -> str:
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def _team() -> Team:
    return Team.objects.get_or_create(slug=TEAM, defaults={"name": "Demo team"})[0]


def _agent(team: Team) -> Agent:
    about = {"description": "Asks for the sample requests. Nobody owns it, so anybody may decide."}
    return Agent.objects.get_or_create(team=team, name=AGENT, defaults=about)[0]


def _key(agent: Agent) -> tuple[ApiKey, str]:
    """The key named by the environment, else a fresh one; a known one stays as it is."""
    preset = settings.BOOTSTRAP_API_KEY
    known = ApiKey.objects.filter(digest=keys.digest(preset)).first() if preset else None
    if known:
        return known, ""
    row, secret = issue_key(agent, name="bootstrap", key=preset or None)
    return row, "" if preset else secret
