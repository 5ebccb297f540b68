"""The sandbox's mail reader: messages of channels without an account, as their receivers see them.

Chats open beside the same list: see `sandbox_chats`.
"""

from typing import Any

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from dashboard.sandbox_chats import chat
from dashboard.sandbox_lists import MAIL, Filters
from dashboard.sandbox_pages import listed, staff_in_sandbox
from deliveries.models import SandboxMessage

VIEWS = ("html", "text", "headers")
WIDTHS = ("wide", "phone")

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


@staff_in_sandbox
@require_safe
def mailbox(request: HttpRequest) -> HttpResponse:
    """The newest messages, with the newest of all opened."""
    context = listed(Filters.read(request.GET)) | {"is_list": True}
    entries = context["page"].entries
    newest = entries[0].newest if entries else None
    if newest and newest.channel != MAIL:
        # A form left open there would lie over the list, so it waits on the screen itself.
        context |= chat(newest, request.GET) | {"modal": None}
        return render(request, "dashboard/sandbox.html", context)
    return _page(request, context, newest and _whole(newest.pk))


@staff_in_sandbox
@require_safe
def message(request: HttpRequest, message_id: int) -> HttpResponse:
    """One mail: as it looks, its text, or its headers (`?view=`), wide or on a phone."""
    selected = _whole(message_id)
    if selected.channel != MAIL:
        return redirect("sandbox-chat", selected.channel, selected.recipient)
    return _page(request, listed(Filters.read(request.GET), str(selected.pk)), selected)


@staff_in_sandbox
@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """The list alone, for the page that is open and heard of something new."""
    context = listed(Filters.read(request.GET), request.GET.get("open", ""))
    return render(request, "dashboard/_sandbox_list.html", context)


@staff_in_sandbox
@require_safe
@xframe_options_sameorigin
@csp(MAIL_POLICY)  # type: ignore[arg-type]  # typed for views without arguments
def document(request: HttpRequest, message_id: int) -> HttpResponse:
    """The mail's own HTML, for the frame it is shown in."""
    return HttpResponse(_whole(message_id).html)


def _whole(message_id: int) -> SandboxMessage:
    return get_object_or_404(SandboxMessage, pk=message_id)


def _page(
    request: HttpRequest, context: dict[str, Any], selected: SandboxMessage | None
) -> HttpResponse:
    view = request.GET.get("view", "")
    if view not in VIEWS or (view == "html" and selected and not selected.html):
        view = "html" if selected and selected.html else "text"
    width = request.GET.get("width", "")
    more = {
        "selected": selected,
        "view": view,
        "width": width if width in WIDTHS else WIDTHS[0],
    }
    return render(request, "dashboard/sandbox.html", {**context, **more})
