"""What stands before Django in the roles: leave-taking, and under WSGI what WSGI cannot do."""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any
from uuid import uuid4

from django.conf import settings

from hitl import draining, routes
from workflows.api.errors import MEDIA_TYPE, RETRY_SECONDS, Problem
from workflows.api.gateway import refuse
from workflows.api.inner import Application, Receive, Scope, Send

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApplication = Callable[[Environ, StartResponse], Iterable[bytes]]

MISDIRECTED = (
    "Sockets and streams are answered by the role live (manage.py live): "
    "have the proxy send this path there."
)


def _leaving() -> Problem:
    return Problem("unavailable", draining.SAYS, headers={"Retry-After": str(RETRY_SECONDS)})


class WsgiDoor:
    """Around Django in the role web."""

    def __init__(self, application: WsgiApplication) -> None:
        self.application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        if draining.refuses(path):
            return _answer(_leaving(), path, start_response)
        if routes.must_be_live(path):
            return _answer(Problem("misdirected", MISDIRECTED), path, start_response)
        _take_in(environ)
        return self.application(environ, start_response)


class AsgiDoor:
    """Around everything else in the roles live and serve."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and draining.refuses(scope["path"]):
            await refuse(_leaving(), scope, send)
        else:
            await self.application(scope, receive, send)


def _answer(problem: Problem, path: str, start_response: StartResponse) -> Iterable[bytes]:
    content = problem.document(path=path, request_id=(request_id := uuid4().hex))
    body = json.dumps(content).encode()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Request-Id": request_id,
        **problem.headers,
    }
    status = HTTPStatus(content["status"])
    start_response(f"{status.value} {status.phrase}", list(headers.items()))
    return [body]


def _take_in(environ: Environ) -> None:
    """Read a body of unknown length, which Django would take for none, up to what the API takes."""
    if "HTTP_TRANSFER_ENCODING" not in environ or environ.get("CONTENT_LENGTH"):
        return
    body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
