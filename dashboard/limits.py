"""How often one address may ask for what needs no login; stands in MIDDLEWARE.

The API counts what a credential does, once it knows whose it is (hitl/accounts/throttles.py). Here
are the doors before that: pages that anybody may open, and the attempts to log in.
"""

import math
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from hitl.lib import limits, peers
from workflows.api.errors import Problem
from workflows.api.middleware import is_api

Answers = Callable[[HttpRequest], HttpResponse]

# What answers without a login and does work for it. Not /ping and /healthz, which are asked every
# few seconds and do none; not the callbacks of channels, of which only the forged are counted.
PUBLIC = (
    "/login/", "/admin/login/", "/l/", "/respond/", "/mail/off/",
    "/.well-known/", "/api/schema/", "/api/docs/",
)  # fmt: skip
LOGIN = ("/login/", "/admin/login/")


def public_pages(get_response: Answers) -> Answers:
    """The middleware."""

    def answer(request: HttpRequest) -> HttpResponse:
        wait = _wait(request)
        return _refuse(request, wait) if wait else get_response(request)

    return answer


def _wait(request: HttpRequest) -> float:
    """Seconds for which this address is to hold off; 0 where it may go on."""
    path = request.path_info
    if not path.startswith(PUBLIC):
        return 0
    whose = peers.network(request)
    if path.startswith(LOGIN) and request.method == "POST":
        wait = limits.hold_off("login", whose, settings.RATE_LIMIT_LOGIN)
        if wait:
            return wait
    return limits.hold_off("public", whose, settings.RATE_LIMIT_PUBLIC)


def _refuse(request: HttpRequest, wait: float) -> HttpResponse:
    seconds = math.ceil(wait)
    if is_api(request.path_info):
        detail = f"Too much was asked from this address: try again in {seconds} seconds."
        response = Problem("rate-limited", detail).response(request)
    else:
        response = render(request, "429.html", {"seconds": seconds}, status=429)
    response["Retry-After"] = str(seconds)
    return response
