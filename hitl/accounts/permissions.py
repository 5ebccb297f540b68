"""Who may do what on the API, as DRF permissions. Object-level rules live in the services.

A JWT that names an agent carries every scope; an API key carries those it was issued with.
"""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from hitl.accounts.authentication import Credential
from hitl.accounts.models import Agent, User


class IsKnown(BasePermission):
    """Any agent or person we could identify."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Agent | User)


class MayRead(BasePermission):
    """A person, or an agent whose key may read."""

    message = "This API key lacks the scope `read`."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, User) or _agent_with("read", request)


class MayCreate(BasePermission):
    """An agent whose key may ask for approvals, and withdraw what it asked."""

    message = "Only an agent may do this, with a key that has the scope `create`."

    def has_permission(self, request: Request, view: Any) -> bool:
        return _agent_with("create", request)


class MayExecute(BasePermission):
    """An agent whose key may report executions."""

    message = "Only an agent may do this, with a key that has the scope `execute`."

    def has_permission(self, request: Request, view: Any) -> bool:
        return _agent_with("execute", request)


class MayManageWebhooks(BasePermission):
    """A person, or an agent with a key that was given the scope for it. Services look at roles."""

    message = "This API key lacks the scope `webhooks`."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, User) or _agent_with("webhooks", request)


class IsPerson(BasePermission):
    """A person; agents never decide, whatever their key."""

    message = "Only a person may do this; an agent's credentials are not enough."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, User)


def _agent_with(scope: str, request: Request) -> bool:
    credential = request.auth
    return (
        isinstance(request.user, Agent)
        and isinstance(credential, Credential)
        and scope in credential.scopes
    )
