"""Hands the played providers' posts to our own callback, and waits until they have taken effect.

The view is the one that the real providers reach, found by its address; nothing of it is skipped:
the signature is checked on the raw body, the post is parsed, the reply is acted on.
"""

import io
import time
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.db.models import Count, Max
from django.http import HttpResponse
from django.urls import resolve

from deliveries.models import SandboxMessage
from deliveries.sandbox.books import Post

# Forms are opened and messages rewritten beside the acknowledgement, by other threads.
PATIENCE_SECONDS = 2.5
SETTLING_SECONDS = 0.2  # one press may do two things: a message rewritten, a word to the presser
PAUSE_SECONDS = 0.05


def deliver(post: Post) -> HttpResponse:
    """Our answer to the post. Within this process, so no network stands in the way."""
    found = resolve(post.path)
    response: HttpResponse = found.func(_request(post), *found.args, **found.kwargs)
    return response


def _request(post: Post) -> WSGIRequest:
    headers = {f"HTTP_{name.upper().replace('-', '_')}": v for name, v in post.headers.items()}
    return WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": post.path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": post.content_type,
            "CONTENT_LENGTH": str(len(post.body)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(post.body),
            **headers,
        }
    )


def state(channel: str, recipient: str, *, modals: bool = True) -> Any:
    """Something that differs as soon as anything on the person's screen does."""
    rows: Any = SandboxMessage.objects.filter(channel=channel, recipient=recipient)
    if not modals:
        rows = rows.exclude(kind=SandboxMessage.Kind.MODAL)
    return rows.aggregate(Count("pk"), Max("pk"), Max("edited_at"))


def wait_for_change(channel: str, recipient: str, *, since: Any, modals: bool = True) -> None:
    """Return when the screen has changed and settled, or when it is time to show it anyway."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    seen, changed_at = since, 0.0
    while (moment := time.monotonic()) < give_up:
        now = state(channel, recipient, modals=modals)
        if now != seen:
            seen, changed_at = now, moment
        if changed_at and moment - changed_at >= SETTLING_SECONDS:
            return
        time.sleep(PAUSE_SECONDS)
