"""Chats of the sandbox: Slack, text messages and Telegram on their receivers' screens.

Whatever is pressed, filled in or written here becomes a post with the provider's signature, and
takes the way of every post from outside.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dashboard import sandbox_drawing as drawing
from dashboard import sandbox_lists, sandbox_posts
from dashboard.sandbox_lists import Filters
from dashboard.sandbox_pages import listed, staff_in_sandbox
from deliveries.models import SandboxMessage
from deliveries.sandbox import books, slack, sms, telegram
from deliveries.sandbox.books import Post

SHOWN = 40
TEXT_LIMIT = 1000
FORM_LIFETIME = dt.timedelta(minutes=15)  # who left one open by then meant to close it
Kind = SandboxMessage.Kind

_PRESSERS: dict[str, Callable[[SandboxMessage, str], Post | None]] = {
    slack.CHANNEL: slack.press,
    telegram.CHANNEL: telegram.press,
}
GONE = "That button is gone: the message was rewritten meanwhile."
PROBLEMS = {
    401: "The server refused the post: its signature is wrong.",
    404: "The server has no such channel: is it switched off?",
    503: "The server could not answer in time. Please try again.",
}


class Chat(NamedTuple):
    """Whose screen of which channel."""

    channel: str
    recipient: str

    def url(self, query: str = "", message_id: int | None = None) -> str:
        """The address of the screen, at one of its messages."""
        place = f"#m-{message_id}" if message_id else ""
        return f"{reverse('sandbox-chat', args=self)}{query}{place}"


# --- Looking --------------------------------------------------------------------------------------


@staff_in_sandbox
@require_safe
def show(request: HttpRequest, channel: str, recipient: str) -> HttpResponse:
    """The chat beside the list. `?confirm=` asks what Slack asks before a button counts."""
    newest = _newest(Chat(channel, recipient))
    context = listed(Filters.read(request.GET), f"{channel}/{recipient}")
    return render(request, "dashboard/sandbox.html", context | chat(newest, request.GET))


@staff_in_sandbox
@require_safe
def fragment(request: HttpRequest, channel: str, recipient: str) -> HttpResponse:
    """The screen alone, for the page that is open and heard of something new."""
    newest = _newest(Chat(channel, recipient))
    return render(request, "dashboard/_sandbox_chat.html", chat(newest, request.GET))


def chat(newest: SandboxMessage, query: QueryDict) -> dict[str, Any]:
    """What the page needs to draw the screen on which `newest` is."""
    here = Chat(newest.channel, newest.recipient)
    rows = list(reversed(_rows(here).exclude(kind=Kind.MODAL)[:SHOWN]))
    people = sandbox_lists.people([here])
    since = timezone.now() - FORM_LIFETIME
    open_form = _rows(here).filter(kind=Kind.MODAL, created_at__gte=since).first()
    return {
        "chat": here,
        "filters": Filters.read(query),
        "label": sandbox_lists.label_of(here.channel),
        "holder": people.get(here),
        "items": [drawing.draw(row) for row in rows],
        "modal": open_form,
        "view": drawing.modal(open_form) if open_form else None,
        "confirm": _confirmation(here, query.get("confirm", "")),
        "suggestions": _suggestions(here, rows),
        "asked": telegram.awaited(here.recipient) if here.channel == telegram.CHANNEL else None,
        "text_limit": TEXT_LIMIT,
    }


def _newest(here: Chat) -> SandboxMessage:
    newest: SandboxMessage | None = _rows(here).exclude(kind=Kind.MODAL).first()
    if newest is None or here.channel == sandbox_lists.MAIL:
        raise Http404
    return newest


def _rows(here: Chat) -> Any:
    return books.said(*here)


def _confirmation(here: Chat, wanted: str) -> dict[str, Any] | None:
    """`<message>.<action>` of the address, as the question that is asked about it."""
    number, _, action = wanted.partition(".")
    if here.channel != slack.CHANNEL or not number.isdecimal():
        return None
    row = _rows(here).filter(kind=Kind.MESSAGE, pk=int(number[:18])).first()
    asked = drawing.confirmation(row, action) if row else None
    return {"row": row, **asked} if asked else None


def _suggestions(here: Chat, rows: list[SandboxMessage]) -> list[str]:
    last = rows[-1] if rows else None
    is_question = last and here.channel == sms.CHANNEL and last.kind == Kind.MESSAGE
    return drawing.suggestions(last.text) if last and is_question else []


# --- Answering ------------------------------------------------------------------------------------


@staff_in_sandbox
@require_POST
def press(request: HttpRequest, channel: str, recipient: str) -> HttpResponse:
    """`message`, `press` (the button) and, where Slack asks first, `confirmed`."""
    here, filters = _played(Chat(channel, recipient)), Filters.read(request.GET)
    number = _number(request.POST.get("message", ""))
    row = get_object_or_404(_rows(here), kind=Kind.MESSAGE, pk=number)
    button = request.POST.get("press", "")
    if "confirmed" not in request.POST and _confirmation(here, f"{row.pk}.{button}"):
        return redirect(here.url(filters.query(confirm=f"{row.pk}.{button}")))
    newest = _newest(here).pk
    post = _PRESSERS[channel](row, button) if channel in _PRESSERS else None
    if post is None:
        messages.warning(request, GONE)
    else:
        _post(request, here, post)
    now = _newest(here).pk
    return redirect(here.url(filters.here, row.pk if now == newest else now))


@staff_in_sandbox
@require_POST
def say(request: HttpRequest, channel: str, recipient: str) -> HttpResponse:
    """`text`, and in Telegram `reply_to`: the message it answers."""
    here, filters = _played(Chat(channel, recipient)), Filters.read(request.GET)
    text = request.POST.get("text", "").replace("\r\n", "\n").strip()[:TEXT_LIMIT]
    if not text:
        return redirect(here.url(filters.here))
    if channel == sms.CHANNEL:
        _post(request, here, sms.write(recipient, text))
    elif channel == telegram.CHANNEL:
        reply_to = request.POST.get("reply_to", "")
        _post(request, here, telegram.write(recipient, text, reply_to=reply_to))
    else:
        raise Http404
    return redirect(here.url(filters.here, _newest(here).pk))


@staff_in_sandbox
@require_POST
def fill_in(request: HttpRequest, channel: str, recipient: str) -> HttpResponse:
    """The open form of Slack's: `press` is submit or close, the rest are its inputs."""
    here, filters = _played(Chat(channel, recipient)), Filters.read(request.GET)
    number = _number(request.POST.get("form", ""))
    modal = get_object_or_404(_rows(here), kind=Kind.MODAL, pk=number)
    where = here.url(filters.here, modal.payload["message"])
    if request.POST.get("press") == "close":
        modal.delete()
    elif post := slack.submit(modal, dict(request.POST.lists())):
        _post(request, here, post, modal=modal)
    return redirect(where)


def _post(
    request: HttpRequest, here: Chat, post: Post, *, modal: SandboxMessage | None = None
) -> None:
    """Hand it to the server, do what its answer says, and let it take effect on the screen."""
    # A form that closes is no effect yet: the message behind it is to be rewritten.
    modals = modal is None
    before = sandbox_posts.state(*here, modals=modals)
    response = sandbox_posts.deliver(post)
    if response.status_code != 200:
        problem = PROBLEMS.get(response.status_code, f"The server answered {response.status_code}.")
        messages.error(request, problem)
    elif _take_answer(here, response.content, modal):
        sandbox_posts.wait_for_change(*here, since=before, modals=modals)


def _take_answer(here: Chat, answer: bytes, modal: SandboxMessage | None) -> bool:
    """Do what the provider does with our answer; whether more is to come."""
    if modal:
        return slack.take_answer(modal, answer)
    if here.channel == sms.CHANNEL:
        sms.take_answer(here.recipient, answer)
    elif here.channel == telegram.CHANNEL:
        telegram.take_answer(answer)
    return True


def _played(here: Chat) -> Chat:
    if here.channel not in books.played():
        raise Http404
    return here


def _number(text: str) -> int:
    return int(text[:18]) if text.isdecimal() else 0
