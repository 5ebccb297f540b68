"""The page "Security" (`/me/security/`): a person's second factors, and setting up new ones.

Looking takes a login; every change takes a fresh proof, see `stepup.proved`.
"""

import base64
from typing import Any, cast

from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import clear_totp_secret
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import passkeys
from dashboard.stepup import AFTER, METHODS, proved
from hitl.accounts import factors, stepup
from hitl.accounts.factor_forms import NewPasskeyForm
from hitl.accounts.models import User
from hitl.lib.errors import HitlError


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """What one has."""
    user = _user(request)
    context = {
        "owned": factors.of(user),
        "demanded": AFTER in request.session and not factors.has_second_factor(user),
        "passkey_host": factors.passkey_host(),
    }
    return render(request, "dashboard/security.html", context)


@sensitive_post_parameters("code")
@sensitive_variables("form", "secret", "svg")
@proved
@require_http_methods(METHODS)
def totp(request: HttpRequest) -> HttpResponse:
    """An authenticator app: its secret as a QR code, kept once a code of it was typed in."""
    user = _user(request)
    if factors.of(user).totp:
        return redirect("security")
    form = ActivateTOTPForm(user=user, data=request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            row = factors.add_totp(user, form.secret, form.cleaned_data["code"])
        except HitlError as error:
            messages.error(request, str(error))
            return redirect("security")
        clear_totp_secret(request)
        return _added(request, row)
    url = get_adapter().build_totp_url(user, form.secret)
    svg = base64.b64encode(get_adapter().build_totp_svg(url).encode()).decode()
    context = {"form": form, "url": url, "svg": svg, "secret": form.secret}
    return render(request, "dashboard/security_totp.html", context)


@proved
@require_http_methods(METHODS)
def passkey(request: HttpRequest) -> HttpResponse:
    """A passkey: the browser makes it, the server keeps its public half."""
    user = _user(request)
    form = NewPasskeyForm(user=user, data=request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        name, credential = form.cleaned_data["name"], form.cleaned_data["credential"]
        return _added(request, factors.add_passkey(user, name, credential))
    context = {
        "form": form,
        "options": passkeys.creation(user),
        "limit": factors.NAME_LIMIT,
        "passkey_host": factors.passkey_host(),
    }
    return render(request, "dashboard/security_passkey.html", context)


def _added(request: HttpRequest, row: Any) -> HttpResponse:
    mine = factors.of(_user(request))
    is_first = len(mine.passkeys) + bool(mine.totp) == 1
    stepup.record_factor(request, row)
    messages.success(request, f"{factors.name_of(row)} is set up.")
    return redirect("security-codes" if is_first else "security")


@sensitive_variables("context")
@proved
@require_http_methods(METHODS)
def codes(request: HttpRequest) -> HttpResponse:
    """The recovery codes; POST makes others."""
    user = _user(request)
    if not factors.has_second_factor(user):
        return redirect("security")
    if request.method == "POST":
        factors.new_codes(user)
        messages.success(request, "These are your new recovery codes. The old ones are void.")
        return redirect("security-codes")
    context = {"codes": factors.codes(user), "after": request.session.get(AFTER, "")}
    return render(request, "dashboard/security_codes.html", context)


@login_required
@require_POST
def go_on(request: HttpRequest) -> HttpResponse:
    """Back to what demanded the first second factor."""
    return redirect(request.session.pop(AFTER, "") or "security")


@proved
@require_http_methods(METHODS)
def remove(request: HttpRequest, factor_id: int) -> HttpResponse:
    """Asked before it is done."""
    user = _user(request)
    mine = factors.of(user)
    row = next(
        (each for each in (mine.totp, *mine.passkeys) if each and each.pk == factor_id), None
    )
    if row is None:
        messages.error(request, "There is no such second factor any more.")
        return redirect("security")
    if request.method == "POST":
        factors.remove(user, factor_id)
        messages.success(request, f"{factors.name_of(row)} is removed.")
        return redirect("security")
    is_last = len(mine.passkeys) + bool(mine.totp) == 1
    return render(
        request,
        "dashboard/security_remove.html",
        {"name": factors.name_of(row), "is_last": is_last},
    )


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
