"""The sandbox: messages of channels without an account, each as its receiver would see it.

Embedded mode only, and for staff: the messages hold other people's personal links.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from deliveries.models import SandboxMessage
from hitl.lib.text import one_line

PAGE = 50
SNIPPET = 140
VIEWS = ("html", "text", "headers")
WIDTHS = ("wide", "phone")

View = Callable[..., HttpResponseBase]

# A mail is a stranger's document: it may look as it likes, run nothing, load nothing, and its links
# open outside of it.
MAIL_POLICY: dict[str, list[Any]] = {
    "default-src": [NONE],
    "style-src": ["'unsafe-inline'"],
    "img-src": ["data:"],
    "base-uri": [NONE],
    "form-action": [NONE],
    "frame-ancestors": [SELF],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


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


@staff_in_sandbox
@require_safe
def mailbox(request: HttpRequest) -> HttpResponse:
    """The newest messages, with the newest of all opened."""
    context = _list(request)
    selected = context["mails"][0] if context["mails"] else None
    return _page(request, context, selected, is_list=True)


@staff_in_sandbox
@require_safe
def message(request: HttpRequest, message_id: int) -> HttpResponse:
    """One message: as it looks, its text, or its headers (`?view=`), wide or on a phone."""
    selected = get_object_or_404(SandboxMessage, pk=message_id)
    return _page(request, _list(request), selected, is_list=False)


@staff_in_sandbox
@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """The list alone, for the page that is open and heard of something new."""
    opened = request.GET.get("open", "")
    selected = SandboxMessage(pk=int(opened)) if opened.isdecimal() else None
    return render(request, "dashboard/_sandbox_list.html", {**_list(request), "selected": selected})


@staff_in_sandbox
@require_safe
@xframe_options_sameorigin
@csp(MAIL_POLICY)  # type: ignore[arg-type]  # typed for views without arguments
def document(request: HttpRequest, message_id: int) -> HttpResponse:
    """The mail's own HTML, for the frame it is shown in."""
    return HttpResponse(get_object_or_404(SandboxMessage, pk=message_id).html)


def _page(
    request: HttpRequest, context: dict[str, Any], selected: SandboxMessage | None, *, is_list: bool
) -> HttpResponse:
    view = request.GET.get("view", "")
    if view not in VIEWS or (view == "html" and selected and not selected.html):
        view = "html" if selected and selected.html else "text"
    width = request.GET.get("width", "")
    more = {
        "section": "sandbox",
        "selected": selected,
        "view": view,
        "width": width if width in WIDTHS else WIDTHS[0],
        "is_list": is_list,
    }
    return render(request, "dashboard/sandbox.html", {**context, **more})


def _list(request: HttpRequest) -> dict[str, Any]:
    before = request.GET.get("before", "")
    rows = SandboxMessage.objects.defer("html", "headers")
    if before.isdecimal():
        rows = rows.filter(pk__lt=int(before[:18]))
    found = list(rows[: PAGE + 1])
    for row in found:
        row.snippet = _snippet(row.text)  # type: ignore[attr-defined]  # for the template
    return {
        "mails": found[:PAGE],
        "before": before if before.isdecimal() else "",
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
    }


def _snippet(text: str) -> str:
    """What a mail reader shows under the subject."""
    return one_line(text[: 4 * SNIPPET], SNIPPET)
