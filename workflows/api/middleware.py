"""Gives each API request an id, and sees to it that every error under the API is a problem.

Whatever answers outside the views (unknown paths, refused hosts, Django's own pages, DEBUG) is
rewritten here; it stands first in MIDDLEWARE and neither blocks nor needs a thread.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from workflows.api import errors

logger = logging.getLogger(__name__)

SEED_PATHS = ("/workflows/create", "/ping", "/healthz")
WELL_KNOWN = "/.well-known/"
KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


def is_api(path: str) -> bool:
    """Whether programs, not people, ask for this path."""
    return path.startswith(("/api/", WELL_KNOWN)) or path in SEED_PATHS


@sync_and_async_middleware
def problem_documents(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """The middleware, in the colour of what it wraps."""
    if iscoroutinefunction(get_response):

        async def in_loop(request: HttpRequest) -> HttpResponseBase:
            answer: Awaitable[HttpResponseBase] = get_response(request)
            return _finish(request, await answer)

        return in_loop

    def in_thread(request: HttpRequest) -> HttpResponseBase:
        return _finish(request, get_response(request))

    return in_thread


def _finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if not is_api(request.path_info):
        return response
    if response.status_code >= 400 and response.headers.get("Content-Type") != errors.MEDIA_TYPE:
        response = _as_problem(request, response)
    response.headers["X-Request-Id"] = errors.request_id(request)
    # Answers are personal, and a cached one would be an old state.
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    problem = errors.for_status(response.status_code)
    if problem.code == "internal":
        logger.error(
            "request failed outside the views", extra={"request_id": errors.request_id(request)}
        )
    for name in KEPT_HEADERS:
        if name in response.headers:
            problem.headers[name] = response.headers[name]
    return problem.response(request)
