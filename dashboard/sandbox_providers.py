"""The doors of the played providers: the addresses that the channels call instead of the real ones.

Here only where there is a sandbox, and only for whoever knows its tokens: this very server.
"""

import asyncio
import json
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from deliveries.channels.slack.api import SCOPES
from deliveries.sandbox import books, outages, slack, sms, telegram
from deliveries.sandbox.outages import Outage

# Longer than any channel waits.
SILENCE_SECONDS = 25.0

View = Callable[..., HttpResponse]


def played(channel: str) -> Callable[[View], Callable[..., Any]]:
    """404 where that provider is not played here; fails where an outage was asked for.

    Asynchronous, because a provider that does not answer must not cost a thread.
    """

    def decorate(view: View) -> Callable[..., Any]:
        @wraps(view)
        async def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if channel not in books.played():
                raise Http404
            match outages.current(channel):
                case Outage.HANG:
                    await asyncio.sleep(SILENCE_SECONDS)
                    return HttpResponse(status=504)
                case Outage.DOWN:
                    return HttpResponse("Service Unavailable", status=503)
            return await sync_to_async(view)(request, *args, **kwargs)

        return csrf_exempt(door)  # a token is the proof

    return decorate


@played(slack.CHANNEL)
def slack_api(request: HttpRequest, method: str) -> HttpResponse:
    """`GET|POST slack/api/<method>`: form, JSON or query, with a bearer token."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    answer = slack.call(method, _given(request), token)
    return JsonResponse(answer, headers={"X-OAuth-Scopes": ",".join(SCOPES)})


@played(slack.CHANNEL)
def slack_response(request: HttpRequest, token: str) -> HttpResponse:
    """`POST slack/actions/<token>`: the response_url of something that was pressed."""
    status, said = slack.respond(token, _given(request))
    return HttpResponse(said, status=status, content_type="text/plain")


@played(sms.CHANNEL)
def twilio_api(request: HttpRequest, sid: str, part: str = "") -> HttpResponse:
    """`twilio/2010-04-01/Accounts/<sid>[/<part>].json`, with the account's login."""
    login = request.headers.get("Authorization", "")
    if request.method == "POST" and part == "Messages":
        status, said = sms.create(sid, _given(request), login)
    else:
        status, said = sms.show(sid, part, login)
    return JsonResponse(said, status=status)


@played(telegram.CHANNEL)
def telegram_api(request: HttpRequest, token: str, method: str) -> HttpResponse:
    """`POST telegram/bot<token>/<method>`: parameters as JSON."""
    status, said = telegram.call(method, _given(request), token)
    return JsonResponse(said, status=status)


def _given(request: HttpRequest) -> dict[str, Any]:
    """The arguments of a call, wherever they stand; none where they cannot be read."""
    if request.method == "GET":
        return dict(request.GET.items())
    try:
        if request.content_type == "application/json":
            given = json.loads(request.body or b"{}")
            return given if isinstance(given, dict) else {}
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    except ValueError:
        return {}
