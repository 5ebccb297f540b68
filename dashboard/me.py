"""The page "How to reach me": a person's addresses, in which order they are used, and new ones.

Everything that changes something is a POST; what goes wrong comes back with the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from deliveries import proofs, routing
from deliveries.channels import CHANNELS
from deliveries.channels.base import Channel, Proof
from deliveries.routing import Recipient
from hitl.accounts import contacts, kinds, linking
from hitl.accounts.models import ContactPoint, User
from hitl.lib.errors import HitlError

START = "me-start"  # in the session: the link that was shown, and until when it is good
TYPED_LIMIT = 254
METHODS = ["GET", "HEAD", "POST"]
View = Callable[..., HttpResponse]


@dataclass(frozen=True)
class Way:
    """One address as the page shows it. `waits_for` is what would prove it, "" once proved."""

    point: ContactPoint
    label: str
    door: str
    is_on: bool
    waits_for: str


@dataclass(frozen=True)
class Offer:
    """One channel of this server: what it takes to be written to by it.

    `link` is where the person begins to write to us, once asked for; `is_played` by the sandbox.
    """

    channel: type[Channel]
    label: str
    is_on: bool
    is_played: bool
    link: str


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


def _change(view: View) -> View:
    """A POST of somebody who is logged in; what it raises is told on the page."""

    @wraps(view)
    def guarded(request: HttpRequest, **place: Any) -> HttpResponse:
        if request.method != "POST":
            return redirect("me")  # a reload, or the way back from the login
        try:
            return view(request, **place)
        except HitlError as error:
            return _page(request, error=error, **place)

    return cast(View, login_required(require_http_methods(METHODS)(guarded)))


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """All addresses, what would be written where, and what can be added."""
    return _page(request)


def _page(
    request: HttpRequest, *, error: HitlError | None = None, kind: str = "", point_id: int = 0
) -> HttpResponse:
    user = _user(request)
    points = contacts.mine(user)
    context = {
        "section": "me",
        "ways": [_way(point) for point in points],
        "offers": [_offer(channel, request, points) for channel in CHANNELS.values()],
        "sentence": sentence(user),
        "is_reached": bool(routing.order_for(user)[0]),
        "login_is_used": not any(_is_good_mail(point) for point in points),
        "sandbox": settings.SANDBOX,
        "error": error,
        # Where it is told; at the top where the page shows no such place.
        "error_kind": kind if kind in {c.contact_kind for c in CHANNELS.values()} else "",
        "error_point": point_id if point_id in {point.pk for point in points} else 0,
        "typed": request.POST.get("address", "")[:TYPED_LIMIT],
    }
    return render(request, "dashboard/me.html", context, status=error.status if error else 200)


def _is_good_mail(point: ContactPoint) -> bool:
    return point.kind == ContactPoint.Kind.EMAIL and point.verified_at is not None


def _way(point: ContactPoint) -> Way:
    known = [channel for channel in CHANNELS.values() if channel.contact_kind == point.kind]
    waits_for = str(known[0].proof) if known and point.verified_at is None else ""
    return Way(
        point=point,
        label=kinds.label(point.kind),
        door=known[0].name if known else "",
        is_on=any(channel.is_on() for channel in known),
        waits_for=waits_for,
    )


def _offer(channel: type[Channel], request: HttpRequest, points: list[ContactPoint]) -> Offer:
    kind = channel.contact_kind
    shown = request.session.get(START, {})
    fits = shown.get("kind") == kind and shown.get("until", 0) > timezone.now().timestamp()
    is_unused = shown.get("before") == _count(points, kind)
    link = shown["url"] if fits and is_unused else ""
    is_played = channel.name in settings.SANDBOX_ACCOUNTS
    return Offer(channel, kinds.label(kind), channel.is_on(), is_played, link)


def _count(points: list[ContactPoint], kind: str) -> int:
    return sum(point.kind == kind for point in points)


# --- What would be written ------------------------------------------------------------------------


def sentence(user: User) -> str:
    """In one sentence: where a request that asks this person goes, and where it goes next."""
    if not routing.anything_is_on():
        return "This server writes to nobody: requests wait in your inbox."
    now, later = routing.order_for(user)
    if not now:
        return "Nothing is written to you: none of your addresses can be used on this server."
    said = f"When a request asks you, we write to {_listed(now, 'and')}"
    said += " at once" if len(now) > 1 else ""
    return (
        f"{said}; if a message cannot be delivered, to {_listed(later, 'then')}."
        if later
        else (f"{said}.")
    )


def _listed(recipients: list[Recipient], word: str) -> str:
    said = [_said(recipient) for recipient in recipients]
    if word == "then":
        return ", then ".join(said)
    return f" {word} ".join(part for part in (", ".join(said[:-1]), said[-1]) if part)


def _said(recipient: Recipient) -> str:
    channel = CHANNELS[recipient.channel]
    readable = channel.proof in (Proof.LINK, Proof.CODE)
    return recipient.address if readable else channel.label


# --- Changes --------------------------------------------------------------------------------------


@_change
def add(request: HttpRequest, kind: str) -> HttpResponse:
    """A new address: it is written to, and used once the person has shown that it is theirs."""
    point = proofs.begin(_user(request), kind, request.POST.get("address", ""))
    messages.success(request, _written(point))
    return redirect("me")


@_change
def again(request: HttpRequest, point_id: int) -> HttpResponse:
    """The link or code once more."""
    messages.success(request, _written(proofs.again(_user(request), point_id)))
    return redirect("me")


def _written(point: ContactPoint) -> str:
    if proofs.channel_of(point.kind).proof == Proof.CODE:
        return f"A code is on its way to {point.address}. Type it in here."
    return f"A link is on its way to {kinds.label(point.kind)}: open it to confirm."


@_change
def start(request: HttpRequest, kind: str) -> HttpResponse:
    """Show the link with which the person begins to write to us."""
    url = proofs.start_link(_user(request), kind)
    request.session[START] = {
        "kind": kind,
        "url": url,
        "until": timezone.now().timestamp() + linking.LIFETIME_SECONDS,
        "before": _count(contacts.mine(_user(request)), kind),
    }
    return redirect("me")


@_change
def code(request: HttpRequest, point_id: int) -> HttpResponse:
    """The code that came by text message."""
    point = proofs.enter_code(_user(request), point_id, request.POST.get("code", ""))
    messages.success(request, f"Confirmed: {point.address} is used from now on.")
    return redirect("me")


@_change
def use(request: HttpRequest, point_id: int) -> HttpResponse:
    """Always, or only when the others fail."""
    wanted = request.POST.get("use", "")
    if wanted in ContactPoint.Use.values:
        contacts.set_use(_user(request), point_id, wanted)
    return redirect("me")


@_change
def move(request: HttpRequest, point_id: int) -> HttpResponse:
    """One place up or down."""
    contacts.move(_user(request), point_id, -1 if request.POST.get("to") == "up" else 1)
    return redirect("me")


@_change
def test(request: HttpRequest, point_id: int) -> HttpResponse:
    """Write a few words there."""
    point = proofs.write_test(_user(request), point_id)
    messages.success(request, f"A test message has gone out by {kinds.label(point.kind)}.")
    return redirect("me")


@_change
def remove(request: HttpRequest, point_id: int) -> HttpResponse:
    """Write there no more."""
    point = contacts.remove(_user(request), point_id)
    messages.success(request, f"{point.address} is not used any more.")
    return redirect("me")


@login_required
@require_http_methods(METHODS)
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """What a link in a message comes back to: looking changes nothing, the page's POST does."""
    try:
        point = proofs.read_link(_user(request), token)
        if request.method != "POST":
            context = {"point": point, "label": kinds.label(point.kind)}
            return render(request, "dashboard/me_confirm.html", context)
        proofs.confirm(_user(request), token)
    except HitlError as error:
        context = {"error": error, "page": request.path}
        return render(request, "dashboard/me_refused.html", context, status=error.status)
    messages.success(request, f"Confirmed: {point.address} is used from now on.")
    return redirect("me")
