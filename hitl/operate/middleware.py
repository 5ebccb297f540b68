"""Stands before everything: counts each request and how long it took."""

import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from hitl.operate.metrics import process


@sync_and_async_middleware
def observed(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """The middleware, in the colour of what it wraps."""
    if iscoroutinefunction(get_response):

        async def in_loop(request: HttpRequest) -> HttpResponseBase:
            began = time.monotonic()
            response: HttpResponseBase = await get_response(request)
            return _note(request, response, began)

        return in_loop

    def in_thread(request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        return _note(request, get_response(request), began)

    return in_thread


def _note(request: HttpRequest, response: HttpResponseBase, began: float) -> HttpResponseBase:
    process.count(request, response, began)
    return response
