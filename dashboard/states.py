"""A request's states on their page, what lies between two of them, and going back to one.

Looking changes nothing; the POST of the confirmation goes through `rollback.roll_back`.
"""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import timeline
from dashboard.timeline import Entry
from events import selectors as events
from events.models import Event
from events.types import Source
from hitl.accounts import stepup
from hitl.accounts.models import User
from hitl.lib.errors import HitlError, InvalidInput, NotFound
from workflows import history, rollback, selectors
from workflows.models import Status, Workflow
from workflows.rollback import Offer, RolledBack, Way

DONE = {
    Way.ASK: "Asked again: everybody whom it concerns gets a new message.",
    Way.RUN: "It may run again under the same approval.",
    Way.UNDO: "The compensation has been asked for. This is its request.",
}


@dataclass(frozen=True)
class State:
    """One line of the page. `offer`: what going back to it would do, where that is possible."""

    seq: int
    entry: Entry
    status: str
    round: int
    is_turn: bool
    offer: Offer | None


@login_required
@require_safe
def page(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """Every state, and the difference between the two that `?from=&to=` name."""
    row = _workflow(request, workflow_id)
    happened = list(events.timeline(row.pk))
    states = _states(row, happened, rollback.offers(row, _user(request), happened))
    one, other = _chosen(request, states)
    context = {
        "section": "inbox" if row.is_open else "history",
        "workflow": row,
        "states": states,
        "from": one,
        "to": other,
        "found": history.difference(row.pk, one, other),
    }
    return render(request, "dashboard/states.html", context)


def _states(row: Workflow, happened: list[Event], offers: list[Offer]) -> list[State]:
    by_way = {offer.way: offer for offer in offers}
    found: list[State] = []
    before, asked = ("", 0), 0
    for event, entry in zip(happened, timeline.entries(happened), strict=True):
        now = (event.status, event.round)
        asked = event.round if event.status == Status.PENDING else asked
        way = rollback.WAYS.get(Status(event.status))
        way = Way.UNDO if way and Way.UNDO in by_way else way
        stale = way == Way.RUN and asked != row.asked_round
        offer = by_way.get(way) if way and now != before and not stale else None
        found.append(State(event.seq, entry, event.status, event.round, now != before, offer))
        before = now
    return found


def _chosen(request: HttpRequest, states: list[State]) -> tuple[int, int]:
    """The two states that are compared: by default what the last turn has changed."""
    turns = [state.seq for state in states if state.is_turn]
    last = states[-1].seq
    usual = turns[-2] if len(turns) > 1 else states[0].seq
    return _seq(request, "from", usual, last), _seq(request, "to", last, last)


def _seq(request: HttpRequest, name: str, usual: int, last: int) -> int:
    text = request.GET.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return number if 1 <= number <= last else usual


# --- Going back ----------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def roll_back(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """`?to=<seq>`: what exactly would happen, to be confirmed with a reason; the POST does it."""
    row = _workflow(request, workflow_id)
    sent = request.POST if request.method == "POST" else request.GET
    text = sent.get("to", "")
    seq = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    error: HitlError | None = None
    if request.method == "POST":
        try:
            return _done(request, row, _roll_back(request, row, seq))
        except HitlError as refused:
            error, row = refused, _workflow(request, workflow_id)
    return _confirm(request, row, seq, error)


def _roll_back(request: HttpRequest, row: Workflow, seq: int) -> RolledBack:
    post = request.POST
    seen = post.get("round", "")
    return rollback.roll_back(
        row.pk,
        user=_user(request),
        to_seq=seq,
        reason=post.get("reason", "").replace("\r\n", "\n"),
        source=Source.DASHBOARD,
        round=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 6 else 0,
        acknowledged=post.get("acknowledged") == "yes",
        strength=stepup.strength(request),
    )


def _done(request: HttpRequest, row: Workflow, rolled: RolledBack) -> HttpResponse:
    messages.success(request, DONE[rolled.way])
    asked = rolled.compensation
    return redirect("workflow", asked.pk if asked else row.pk)


def _confirm(
    request: HttpRequest, row: Workflow, seq: int, error: HitlError | None
) -> HttpResponse:
    offer = _offered(request, row, seq)
    if offer is None:
        said = error.detail if error else rollback.possible(row)
        messages.error(request, said)
        return redirect("workflow", row.pk)
    is_weak = stepup.strength(request) not in stepup.STRONG
    found = error.errors if isinstance(error, InvalidInput) else []
    context: dict[str, Any] = {
        "section": "history",
        "workflow": row,
        "offer": offer,
        "seq": seq,
        "reason": request.POST.get("reason", ""),
        "error": error,
        "reason_error": next((e.message for e in found if e.pointer == "/reason"), ""),
        "wants_factor": offer.needs_factor and is_weak,
        "limit": rollback.REASON_LIMIT,
    }
    return render(
        request, "dashboard/rollback.html", context, status=error.status if error else 200
    )


def _offered(request: HttpRequest, row: Workflow, seq: int) -> Offer | None:
    """What going back to this very state would do, for this person."""
    happened = list(events.timeline(row.pk))
    offers = {offer.way for offer in rollback.offers(row, _user(request), happened)}
    target = next((event for event in happened if event.seq == seq), None)
    way = rollback.ways(row, target) if target else None
    return rollback.offer(row, way, seq) if way in offers and way else None


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


def _workflow(request: HttpRequest, workflow_id: UUID) -> Workflow:
    try:
        return selectors.get(workflow_id, _user(request))
    except NotFound as error:
        raise Http404(str(error)) from None
