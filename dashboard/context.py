"""What every page needs for its navigation."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard import selectors
from dashboard.team_area import managed_teams
from events.webhooks import selectors as webhooks
from hitl.accounts.models import User
from workflows.templatetags.presentation import initials


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `nav`. Costs no query where a page does not draw the navigation."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "nav": {
            "waiting": SimpleLazyObject(lambda: _waiting(user)),
            "initials": initials(str(user)),
            "manages": SimpleLazyObject(lambda: bool(managed_teams(user))),
            "webhooks": SimpleLazyObject(lambda: _webhooks(user)),
            "sandbox": "/sandbox/" if settings.SANDBOX and user.is_staff else "",
            "docs": "/api/docs/",
        }
    }


@dataclass(frozen=True)
class Webhooks:
    """Whether the person looks after webhooks, and how many endpoints are off by themselves."""

    is_shown: bool
    alarms: int


def _webhooks(user: User) -> Webhooks:
    found = webhooks.alarms(user)
    return Webhooks(found is not None, found or 0)


def _waiting(user: User) -> selectors.Count:
    return selectors.count(selectors.asking(selectors.circle(user)))
