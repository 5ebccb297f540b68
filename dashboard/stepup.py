"""The page that asks a person who is logged in for a second factor: `/stepup/?next=…`.

Who has none is asked for the password and led to where one is set up.
"""

from functools import wraps
from typing import Any, cast

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard import passkeys
from hitl.accounts import factors, stepup
from hitl.accounts.factor_forms import PasswordForm, StepUpCodeForm, StepUpPasskeyForm
from hitl.accounts.models import User

AFTER = "stepup-next"  # in the session: where the first second factor was demanded
METHODS = ["GET", "HEAD", "POST"]


def page_for(path: str) -> str:
    """The address of this page that leads back to `path`."""
    return f"{reverse('stepup')}?{urlencode({'next': path})}"


def safe_next(request: HttpRequest, default: str = "inbox") -> str:
    """Where to go afterwards: a page of ours, never another site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    hosts = {request.get_host()}
    if url_has_allowed_host_and_scheme(wanted, hosts, require_https=request.is_secure()):
        return wanted
    return reverse(default)


def proved(view: Any) -> Any:
    """For pages that change second factors: only who has just shown one, or the password."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if stepup.may_change_factors(request):
            return cast(HttpResponse, view(request, *args, **kwargs))
        # A form that was sent is not sent again: its page is asked for once more.
        back = request.get_full_path() if request.method != "POST" else reverse("security")
        return redirect(page_for(back))

    return login_required(guarded)


@sensitive_post_parameters("code", "credential", "password")
@login_required
@require_http_methods(METHODS)
def page(request: HttpRequest) -> HttpResponse:
    """POST `code`, `credential` (of a passkey) or, without a second factor, `password`."""
    user = cast(User, request.user)
    if not factors.has_second_factor(user):
        return _password(request, user)
    form = _form(request, user)
    if form is not None and form.is_valid():
        form.save()
        return redirect(safe_next(request))
    return _asked(request, user, form)


def _form(request: HttpRequest, user: User) -> Any:
    if request.method != "POST":
        return None
    if "credential" in request.POST:
        return StepUpPasskeyForm(user=user, data=request.POST)
    return StepUpCodeForm(user=user, data=request.POST)


def _asked(request: HttpRequest, user: User, form: forms.Form | None) -> HttpResponse:
    mine = factors.of(user)
    context = {
        "owned": mine,
        "next": safe_next(request),
        "code_form": form if isinstance(form, StepUpCodeForm) else StepUpCodeForm(user=user),
        "passkey_form": form if isinstance(form, StepUpPasskeyForm) else None,
        "passkey": passkeys.request(user) if mine.passkeys else "",
        "minutes": int(stepup.lifetime().total_seconds() // 60),
    }
    return render(request, "registration/stepup.html", context)


def _password(request: HttpRequest, user: User) -> HttpResponse:
    wanted = safe_next(request)
    is_change = wanted.startswith(reverse("security"))
    if not is_change:
        request.session[AFTER] = wanted
    target = wanted if is_change else reverse("security")
    if stepup.may_change_factors(request):
        return redirect(target)
    form = PasswordForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_bound and form.is_valid():
        stepup.record_password(request)
        return redirect(target)
    context = {"form": form, "next": wanted, "is_change": is_change}
    return render(request, "registration/stepup_first.html", context)
