"""What every page needs for its navigation."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard import selectors
from dashboard.team_area import managed_teams
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
            "sandbox": "/sandbox/" if settings.SANDBOX and user.is_staff else "",
            "docs": "/api/docs/",
        }
    }


def _waiting(user: User) -> selectors.Count:
    return selectors.count(selectors.asking(selectors.circle(user)))
