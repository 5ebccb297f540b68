"""Pages on which managers look after webhooks: endpoints, their log, tests, secrets, replays.

What changes something is a POST; what goes wrong comes back with the page. A new secret is shown
in the answer to the POST that made it, and kept nowhere.
"""

import datetime as dt
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from events.models import WebhookEndpoint, WebhookMessage
from events.types import EventType
from events.webhooks import endpoints, replays, selectors
from hitl.accounts.models import Team, User
from hitl.lib import canonical
from hitl.lib.db import database_now
from hitl.lib.errors import Forbidden, HitlError, InvalidInput, NotFound
from hitl.lib.text import visible
from workflows.api import filters
from workflows.api.event_serializers import event_types

View = Callable[..., HttpResponse]
METHODS = ["GET", "HEAD", "POST"]
PAGE = 25
TYPED_LIMIT = 4000
LONGEST_HOURS = int(endpoints.MAX_OVERLAP.total_seconds()) // 3600


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


def _endpoint(request: HttpRequest, webhook_id: UUID) -> WebhookEndpoint:
    try:
        return selectors.get(webhook_id, _user(request))
    except NotFound as error:
        raise Http404(str(error)) from None
    except Forbidden as error:
        raise PermissionDenied(str(error)) from None


def _teams(request: HttpRequest) -> list[Team]:
    """The teams the person manages; without any, there is nothing here."""
    found = list(selectors.managed_teams(_user(request)))
    if not found:
        raise PermissionDenied(selectors.MANAGERS_ONLY)
    return found


# --- Endpoints ------------------------------------------------------------------------------------


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every endpoint of the person's teams, those in trouble with why."""
    teams = _teams(request)
    context = {
        "section": "webhooks",
        "rows": list(selectors.managed_by(_user(request)).order_by("team__name", "-created_at")),
        "has_teams": len(teams) > 1,
    }
    return render(request, "dashboard/webhooks.html", context)


@login_required
@require_http_methods(METHODS)
def new(request: HttpRequest) -> HttpResponse:
    """The form for another endpoint; its secret stands in the answer."""
    teams, error = _teams(request), None
    if request.method == "POST":
        try:
            issued = endpoints.create(
                team_id=selectors.home(_user(request), _team_id(request)),
                created_by=_user(request),
                signature=request.POST.get("signature", endpoints.V1),
                **_typed(request),
            )
        except HitlError as problem:
            error = problem
        else:
            return _page(request, issued.endpoint, secret=issued.secret)
    context = _form_context(request, error) | {"teams": teams}
    status = error.status if error else 200
    return render(request, "dashboard/webhook_new.html", context, status=status)


def _team_id(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.POST["team"]) if "team" in request.POST else None
    except ValueError:
        raise NotFound("There is no such team.") from None


def _typed(request: HttpRequest) -> dict[str, Any]:
    """What the form says about an endpoint."""
    lines = request.POST.get("events", "")[:TYPED_LIMIT].split()
    return {
        "url": request.POST.get("url", "").strip(),
        "description": request.POST.get("description", ""),
        "events": lines,
        "body_format": request.POST.get("format", WebhookEndpoint.Format.STANDARD),
    }


def _form_context(
    request: HttpRequest, error: HitlError | None, endpoint: WebhookEndpoint | None = None
) -> dict[str, Any]:
    """The form as it was typed where it was refused, else as the endpoint is."""
    pointers = {each.pointer.split("/")[1]: each.message for each in error.errors} if error else {}
    return {
        "section": "webhooks",
        "error": error,
        "wrong": pointers,
        "fields": _fields(request, endpoint if not error or "url" not in request.POST else None),
        "formats": WebhookEndpoint.Format.choices,
        "event_names": sorted(event_types()),
        "prefixes": sorted({f"{name.split('.')[0]}.*" for name in EventType.values}),
    }


def _fields(request: HttpRequest, endpoint: WebhookEndpoint | None) -> dict[str, str]:
    if endpoint is not None:
        return {
            "url": endpoint.url,
            "description": endpoint.description,
            "events": "\n".join(endpoint.events),
            "format": endpoint.body_format,
        }
    names = ("url", "description", "events", "format", "signature")
    return {name: request.POST.get(name, "")[:TYPED_LIMIT] for name in names}


@login_required
@require_safe
def page(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """One endpoint: how it does, what can be done, and its log."""
    return _page(request, _endpoint(request, webhook_id))


def _page(
    request: HttpRequest,
    endpoint: WebhookEndpoint,
    *,
    secret: str = "",
    error: HitlError | None = None,
) -> HttpResponse:
    now = database_now()
    signing = selectors.secrets(endpoint, now)
    status = request.GET.get("status", "")
    context = _form_context(request, error, endpoint) | {
        "endpoint": endpoint,
        "secret": secret,
        "signature": endpoints.signature_of(signing[0]),
        "public_key": signing[0].public_key,
        "older_until": max(filter(None, (each.expires_at for each in signing)), default=None),
        "counts": _counts(endpoint, status),
        "log": _log(request, endpoint, status),
        "status": status,
        "since": now - dt.timedelta(days=1),
        "until": now + dt.timedelta(minutes=1),
        "disable_hours": settings.WEBHOOK_DISABLE_HOURS,
        "longest_hours": LONGEST_HOURS,
        "resting": endpoint.rests_until is not None and endpoint.rests_until > now,
    }
    answer = error.status if error else 200
    return render(request, "dashboard/webhook.html", context, status=answer)


def _counts(endpoint: WebhookEndpoint, chosen: str) -> list[tuple[str, str, int, bool]]:
    found = selectors.counts(endpoint)
    return [
        (value, str(label), found.get(value, 0), value == chosen)
        for value, label in WebhookMessage.Status.choices
        if found.get(value)
    ]


def _log(request: HttpRequest, endpoint: WebhookEndpoint, status: str) -> Any:
    params: dict[str, Any] = {"limit": PAGE, "cursor": request.GET.get("cursor", "")}
    if status in WebhookMessage.Status.values:
        params["status"] = status
    try:
        return filters.webhook_messages(endpoint, params)
    except InvalidInput:  # a cursor that we did not write: the beginning
        return filters.webhook_messages(endpoint, params | {"cursor": ""})


# --- Changes --------------------------------------------------------------------------------------


def _change(view: View) -> View:
    """A POST of somebody who manages the endpoint; what it raises is told on its page."""

    @wraps(view)
    def guarded(request: HttpRequest, webhook_id: UUID, **place: Any) -> HttpResponse:
        if request.method != "POST":
            return redirect("webhook", webhook_id)  # a reload, or the way back from the login
        endpoint = _endpoint(request, webhook_id)
        try:
            return view(request, endpoint, **place)
        except HitlError as error:
            return _page(request, _endpoint(request, webhook_id), error=error)

    return cast(View, login_required(require_http_methods(METHODS)(guarded)))


@_change
def change(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """Address, events, format."""
    endpoints.change(endpoint.pk, _typed(request))
    messages.success(request, "Saved.")
    return redirect("webhook", endpoint.pk)


@_change
def switch(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """On or off."""
    is_active = request.POST.get("to") == "on"
    endpoints.change(endpoint.pk, {"is_active": is_active})
    messages.success(request, f"Switched {'on' if is_active else 'off'}.")
    return redirect("webhook", endpoint.pk)


@_change
def test(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """A message that says that it is a test."""
    message = endpoints.send_test(endpoint.pk)
    messages.success(request, "A test is on its way. Load this page again to see what came back.")
    return redirect("webhook-message", endpoint.pk, message.pk)


@_change
def rotate(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """A new secret, shown now and never again."""
    text = request.POST.get("overlap", "")
    if not (text.isascii() and text.isdigit() and int(text[:5]) <= LONGEST_HOURS):
        raise InvalidInput(f"The overlap is a whole number of hours, at most {LONGEST_HOURS}.")
    issued = endpoints.rotate(
        endpoint.pk,
        overlap=dt.timedelta(hours=int(text)),
        signature=request.POST.get("signature", ""),
    )
    return _page(request, issued.endpoint, secret=issued.secret)


@_change
def replay(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """Everything of a time range that has not arrived."""
    done = replays.replay(
        endpoint.pk,
        since=_moment(request, "since"),
        until=_moment(request, "until"),
        delivered=request.POST.get("delivered") == "on",
    )
    total = done.added + done.requeued
    said = f"{total} message{'' if total == 1 else 's'} on the way."
    messages.success(request, said if total else "Nothing of that time is missing there.")
    return redirect("webhook", endpoint.pk)


def _moment(request: HttpRequest, name: str) -> dt.datetime:
    """A time as the form's fields write it: UTC, to the minute."""
    try:
        found = dt.datetime.fromisoformat(request.POST.get(name, ""))
        return found.replace(tzinfo=dt.UTC)
    except ValueError:
        raise InvalidInput("Say from when to when.") from None


@_change
def remove(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """Delete it with its log."""
    endpoints.remove(endpoint.pk)
    messages.success(request, f"{endpoint.url} is removed.")
    return redirect("webhooks")


# --- Messages -------------------------------------------------------------------------------------


@login_required
@require_safe
def message(request: HttpRequest, webhook_id: UUID, message_id: UUID) -> HttpResponse:
    """What was sent, and what came back each time."""
    endpoint = _endpoint(request, webhook_id)
    try:
        found = selectors.message(endpoint, message_id)
    except NotFound as error:
        raise Http404(str(error)) from None
    context = {
        "section": "webhooks",
        "endpoint": endpoint,
        "message": found,
        "body": visible(json.dumps(canonical.loads(found.body), indent=2, ensure_ascii=False)),
        "tries": list(found.tries_made.all()),
    }
    return render(request, "dashboard/webhook_message.html", context)


@_change
def resend(request: HttpRequest, endpoint: WebhookEndpoint, message_id: UUID) -> HttpResponse:
    """Put one message on its way again."""
    replays.resend(endpoint.pk, message_id)
    messages.success(request, "On its way again.")
    return redirect("webhook-message", endpoint.pk, message_id)
