"""Stands before Django under ASGI and turns away what must not be read to its end.

Django's handler takes a whole body to disk before any view can say that it is too long.
"""

import json
from typing import Any
from uuid import uuid4

from django.conf import settings

from workflows.api.errors import MEDIA_TYPE, Problem, from_exception
from workflows.api.longpoll import Application, Message, Receive, Scope, Send
from workflows.api.middleware import is_api
from workflows.api.parsers import too_large

# Read and thrown away before refusing, so that an ordinary client gets to read the answer.
DRAINED_BYTES = 1024 * 1024


class _TooMuch(Exception):
    """The body has grown beyond the limit; the argument is its size so far."""


class Gateway:
    """ASGI application around Django's that bounds the bodies of API requests."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api(scope["path"]):
            await self.application(scope, receive, send)
        elif not _is_text(scope["query_string"]):
            await _refuse(Problem("validation", "The query is not UTF-8."), scope, send)
        elif (declared := _declared(scope)) > settings.MAX_BODY_BYTES:
            await _refuse_size(declared, scope, receive, send)
        else:
            await self._bounded(scope, receive, send)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, is_over = 0, False

        async def counted() -> Message:
            nonlocal size, is_over
            message = await receive()
            size += len(message.get("body", b""))
            is_over = not message.get("more_body", False)
            if size > settings.MAX_BODY_BYTES:
                raise _TooMuch(size)
            return message

        try:
            await self.application(scope, counted, send)
        except _TooMuch:
            # Django reads before it answers anything, so nothing has been sent yet.
            await _refuse_size(size, scope, receive, send, is_over=is_over)


async def _refuse_size(
    size: int, scope: Scope, receive: Receive, send: Send, *, is_over: bool = False
) -> None:
    awaits_permission = any(name == b"expect" for name, _ in scope["headers"])
    if not is_over and not awaits_permission:
        await _drain(receive)
    await _refuse(from_exception(too_large(size)), scope, send)


async def _drain(receive: Receive) -> None:
    left = DRAINED_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


async def _refuse(problem: Problem, scope: Scope, send: Send) -> None:
    request_id = uuid4().hex
    content: dict[str, Any] = problem.document(path=scope["path"], request_id=request_id)
    body = json.dumps(content).encode()
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-request-id": request_id,
    }
    await send(
        {
            "type": "http.response.start",
            "status": content["status"],
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
