"""One view for what any channel posts in: verify, parse, act, acknowledge.

`POST /webhooks/slack/callback` is the path this project began with. Acknowledged at once whatever
else is slow: the decision is one short transaction, every call to a provider happens elsewhere.
"""

import logging
import math

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from deliveries import services as deliveries
from deliveries.channels import CHANNELS
from deliveries.channels.base import Answer, Channel, Forged, Reply, Report
from hitl.lib import limits, peers
from workflows import aside, inbound, mail_replies, repeats
from workflows.inbound import Outcome

logger = logging.getLogger(__name__)

UNAUTHENTICATED, UNAVAILABLE = 401, 503
# Below the three seconds in which Slack wants its answer, with room for the rest of the work.
LOCK_WAIT, STATEMENT_WAIT = "1500ms", "1800ms"
FORGERIES_A_MINUTE = 20  # of one channel that are logged


@csrf_exempt  # the signature is the proof
@require_http_methods(["HEAD", "POST"])
def receive(request: HttpRequest, channel_name: str) -> HttpResponse:
    """`POST /webhooks/<channel>/callback`: 401 for anything not signed, 503 where we cannot tell.

    A post we do not understand is answered 200, so that the provider stops repeating it. Some
    providers ask with a HEAD whether anybody is there, before they post.
    """
    kind = CHANNELS.get(channel_name)
    if kind is None or not kind.takes_posts():
        raise Http404
    if request.method == "HEAD":
        return HttpResponse()
    answer = respond(kind(), request)
    response = HttpResponse(answer.body, content_type=answer.content_type, status=answer.status)
    if answer.status == UNAVAILABLE:
        response["Retry-After"] = "5"
    return _too_many(request) or response if answer.status == UNAUTHENTICATED else response


def _too_many(request: HttpRequest) -> HttpResponse | None:
    """Count one forged post; the refusal of an address that has sent too many."""
    wait = limits.hold_off("misses", peers.network(request), settings.RATE_LIMIT_MISSES)
    if not wait:
        return None
    text = "Too many posts without a valid signature came from this address."
    headers = {"Retry-After": str(math.ceil(wait))}
    return HttpResponse(text, "text/plain", status=429, headers=headers)


def respond(channel: Channel, request: HttpRequest) -> Answer:
    """Verify, parse, act, acknowledge: what a post and a payload from a socket have in common."""
    try:
        channel.verify(request)
    except Forged:
        _note_forgery(channel)
        return Answer("The signature is missing or wrong.", status=UNAUTHENTICATED)
    try:
        problem = _act(channel, request)
    except OperationalError:
        # Nothing was decided. A repeat may find the database in a better state.
        logger.exception("a reply could not be stored", extra={"channel": channel.name})
        return Answer("Please try again.", status=UNAVAILABLE)
    return channel.acknowledge(request, problem)


def _note_forgery(channel: Channel) -> None:
    """Into the log, but no more lines than somebody reads: who forges may do it all day."""
    try:
        limits.spend("forged", channel.name, times=FORGERIES_A_MINUTE, seconds=60)
    except limits.TooOften:
        return
    logger.warning("forged post to %s refused", channel.name)


def _act(channel: Channel, request: HttpRequest) -> str:
    """Do everything the post asks for; returns what has to stand in the acknowledgement."""
    problem = ""
    for each in channel.parse(request):
        if isinstance(each, Report):
            deliveries.record_receipt(
                channel.name, each.provider_id, delivered=each.delivered, error=each.error
            )
            continue
        outcome = _in_time(channel, each)
        shown = outcome.problem and channel.acknowledge(request, outcome.problem).body
        if shown:
            problem = outcome.problem
        elif not repeats.is_repeated(channel.name, each.event_id):
            _tell(channel, each, outcome.problem or outcome.notice)
            repeats.remember(channel.name, each.event_id)
    return problem


def _in_time(channel: Channel, reply: Reply) -> Outcome:
    """Act with bounded waits: better an honest "try again" than a provider that gave up."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_WAIT}'")
        act = mail_replies.act if reply.action == "mail" else inbound.act
        return act(channel, reply)


def _tell(channel: Channel, reply: Reply, text: str) -> None:
    if text:
        aside.soon(lambda: channel.tell(reply, text))
