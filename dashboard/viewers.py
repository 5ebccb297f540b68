"""Who looks through a socket: asked anew, since sockets outlive the session they began with."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from hitl.accounts import selectors as accounts
from hitl.accounts.models import User


@dataclass(frozen=True)
class Viewer:
    """A logged-in person and the teams whose changes they may hear about, at this moment."""

    user_id: UUID
    team_ids: frozenset[UUID]


def find(session_key: str | None) -> Viewer | None:
    """The person behind a session, or None when it is over, or the account is not active."""
    request = HttpRequest()
    request.session = SessionStore(session_key)
    user = auth.get_user(request)
    if not isinstance(user, User):
        return None
    return Viewer(user.pk, frozenset(accounts.teams_of(user).values_list("pk", flat=True)))
