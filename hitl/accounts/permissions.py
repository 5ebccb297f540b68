"""Who may do what on the API, as DRF permissions. Object-level rules live in the services."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from hitl.accounts.authentication import Credential
from hitl.accounts.models import Agent, User


class IsKnown(BasePermission):
    """Any agent or person we could identify."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Agent | User)


class IsAgent(BasePermission):
    """An agent whose key carries the scope the view names in `required_scope`."""

    message = "Only an agent may do this, with a key that carries the scope."

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, Agent):
            return False
        scope = getattr(view, "required_scope", None)
        auth = request.auth
        return scope is None or (isinstance(auth, Credential) and scope in auth.scopes)


class IsPerson(BasePermission):
    """A person; agents never decide, whatever their key."""

    message = "Only a person may do this; an agent's credentials are not enough."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, User)
