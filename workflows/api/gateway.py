"""Stands before Django under ASGI and turns away what must not be read to its end, at every door.

Django's handler takes a whole body to disk before any view can say that it is too long.
"""

import asyncio
import contextlib
import json
from typing import Any
from uuid import uuid4

from django.conf import settings

from deliveries.channels.email.provider import BODY_LIMIT as MAIL_LIMIT
from workflows.api.errors import MEDIA_TYPE, Problem
from workflows.api.inner import Application, Message, Receive, Scope, Send
from workflows.api.middleware import is_api

# Read and thrown away before refusing, so that an ordinary client gets to read the answer.
DRAINED_BYTES = 1024 * 1024
DRAIN_SECONDS = 5.0


# Browsers and proxies stop at about as much (RFC 9110, section 4.1, asks for 8000 at least).
LONGEST_ADDRESS = 8 * 1024


class _TooMuch(Exception):
    """The body has grown beyond the limit; the argument is its size so far."""


class Gateway:
    """ASGI application around Django's that bounds addresses and bodies at every door."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = _limit(scope["path"])
        if scope["type"] != "http":
            await self.application(scope, receive, send)
        elif len(scope["query_string"]) + len(scope.get("raw_path") or b"") > LONGEST_ADDRESS:
            problem = Problem("too-large", "The address is too long.", status=414)
            await refuse(problem, scope, send)
        elif is_api(scope["path"]) and not _is_text(scope["query_string"]):
            await refuse(Problem("validation", "The query is not UTF-8."), scope, send)
        elif (declared := _declared(scope)) > limit:
            await _refuse_size(declared, scope, receive, send)
        else:
            await self._bounded(scope, receive, send, limit)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        size, is_over = 0, False

        async def counted() -> Message:
            nonlocal size, is_over
            message = await receive()
            size += len(message.get("body", b""))
            is_over = not message.get("more_body", False)
            if size > limit:
                raise _TooMuch(size)
            return message

        try:
            await self.application(scope, counted, send)
        except _TooMuch:
            # Django reads before it answers anything, so nothing has been sent yet.
            await _refuse_size(size, scope, receive, send, is_over=is_over)


def _limit(path: str) -> int:
    """How long a body may be: documents, forms and what channels post, mails with pictures."""
    if is_api(path):
        return settings.MAX_BODY_BYTES
    is_mail = path.startswith("/webhooks/email/")
    return MAIL_LIMIT if is_mail else settings.DATA_UPLOAD_MAX_MEMORY_SIZE


async def _refuse_size(
    size: int, scope: Scope, receive: Receive, send: Send, *, is_over: bool = False
) -> None:
    awaits_permission = any(name == b"expect" for name, _ in scope["headers"])
    if not is_over and not awaits_permission:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await _drain(receive)
    limit = _limit(scope["path"])
    detail = f"The body has {size} bytes or more; the limit is {limit}."
    await refuse(Problem("too-large", detail), scope, send)


async def _drain(receive: Receive) -> None:
    left = DRAINED_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


async def refuse(problem: Problem, scope: Scope, send: Send) -> None:
    """Answer with a problem document; people get its sentence."""
    request_id = uuid4().hex
    content: dict[str, Any] = problem.document(path=scope["path"], request_id=request_id)
    is_program = is_api(scope["path"])
    body = (json.dumps(content) if is_program else f"{problem.detail}\n").encode()
    headers = {
        "content-type": MEDIA_TYPE if is_program else "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-request-id": request_id,
    } | {name.lower(): value for name, value in problem.headers.items()}
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
