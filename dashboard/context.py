"""What every page needs for its navigation."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard import selectors
from dashboard.selectors import Circle
from events.restores import gate
from events.webhooks import selectors as webhooks
from hitl.accounts.models import User
from hitl.operate import watch
from workflows import reconcile
from workflows.templatetags.presentation import initials


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `nav`. Costs no query where a page does not draw the navigation."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "nav": {
            "waiting": SimpleLazyObject(lambda: _waiting(request)),
            "initials": initials(str(user)),
            "manages": SimpleLazyObject(lambda: circle_of(request).manages),
            "webhooks": SimpleLazyObject(lambda: _webhooks(request)),
            "watches": SimpleLazyObject(lambda: watches(request)),
            "alarms": SimpleLazyObject(watch.alarms),
            "sandbox": "/sandbox/" if settings.SANDBOX and user.is_staff else "",
            "docs": "/api/docs/",
            "restore": SimpleLazyObject(lambda: _restore(request)),
        }
    }


def watches(request: HttpRequest) -> bool:
    """Whether the person hears of the watchdog's alarms: those who can do something about them."""
    return cast(User, request.user).is_staff or circle_of(request).manages


@dataclass(frozen=True)
class Restored:
    """What everybody must know while a restored backup is being worked off."""

    since: dt.datetime
    may_confirm: bool


def _restore(request: HttpRequest) -> Restored | None:
    found = gate.current()
    if found is None:
        return None
    return Restored(found.created_at, reconcile.may_confirm(circle_of(request).user))


@dataclass(frozen=True)
class Webhooks:
    """Whether the person looks after webhooks, and how many endpoints are off by themselves."""

    is_shown: bool
    alarms: int


def _webhooks(request: HttpRequest) -> Webhooks:
    who = circle_of(request)
    found = webhooks.alarms(who.user) if who.manages else None
    return Webhooks(found is not None, found or 0)


def _waiting(request: HttpRequest) -> selectors.Count:
    return selectors.count(selectors.asking(circle_of(request)))


def circle_of(request: HttpRequest) -> Circle:
    """The teams of who is logged in, read once a request, for its page and its navigation."""
    found: Circle | None = getattr(request, "circle", None)
    if found is None:
        found = selectors.circle(cast(User, request.user))
        request.circle = found  # type: ignore[attr-defined]
    return found
