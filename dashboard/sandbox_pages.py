"""What all pages of the sandbox share: who gets in, the list on the left, the outages.

Embedded mode only, and for staff: the messages hold other people's personal links, and whoever
presses a button here answers in the name of its receiver.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from dashboard import sandbox_lists
from dashboard.sandbox_lists import Filters
from deliveries.sandbox import outages
from deliveries.sandbox.outages import Outage

PAGE = 50
OUTAGE_MINUTES = (1, 5, 15)

View = Callable[..., HttpResponseBase]


def staff_in_sandbox(view: View) -> View:
    """404 where there is no sandbox, 403 for people who are not staff."""

    @login_required
    def for_staff(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not getattr(request.user, "is_staff", False):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.SANDBOX:
            raise Http404
        return for_staff(request, *args, **kwargs)

    return guarded


def listed(filters: Filters, opened: str | None = None) -> dict[str, Any]:
    """The list, what narrows it, and outages. `opened` is an entry's key, else the newest's."""
    page = sandbox_lists.read(filters, limit=PAGE)
    if opened is None:
        opened = page.entries[0].key if page.entries else ""
    return {
        "section": "sandbox",
        "filters": filters,
        "page": page,
        "opened": opened,
        "list_url": reverse("sandbox-list") + filters.query(before=filters.before, open=opened),
        "channels": sandbox_lists.channels(),
        "everybody": sandbox_lists.everybody(),
        "outages": _outages(),
        "outage_kinds": Outage.choices,
        "outage_minutes": OUTAGE_MINUTES,
    }


def _outages() -> list[dict[str, Any]]:
    """What was asked to fail and still does."""
    found = [(*channel, outages.running(channel[0])) for channel in sandbox_lists.channels()]
    return [
        {"channel": name, "label": label, "kind": each.kind, "until": each.until}
        for name, label, each in found
        if each
    ]
