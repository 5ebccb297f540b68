"""What links in messages come back to. Looking never decides: only the page's POST does.

The token leaves the address bar at once (303, no referrer); whoever follows links for a living,
like a mail scanner, changes nothing.
"""

import math
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_http_methods, require_safe

from deliveries import selectors as deliveries
from deliveries.models import Delivery
from hitl.accounts.models import User
from hitl.lib.db import database_now
from hitl.lib.errors import HitlError
from workflows import decision_form, links, services
from workflows.deciding import SECOND_FACTORS, check_round
from workflows.errors import (
    AlreadyDecided,
    AskedAgain,
    DigestMismatch,
    Expired,
    NotYours,
    outcome_sentence,
    verdict_sentence,
)
from workflows.links import LoginNeeded, SomebodyElse, Visitor
from workflows.models import Status, Verdict, View, Workflow

SEE_OTHER, GONE, TOO_MANY = 303, 410, 429
NONCE = "nonce"
NO_FACTOR = (
    "The policy asks for a second factor, and guests have none: somebody else has to decide."
)


# What a holder is told once there is nothing left to decide.
CLOSED = (AlreadyDecided, Expired, AskedAgain)
HEADINGS = {
    Status.TIMEOUT: "Too late to decide",
    Status.CANCELLED: "No longer needed",
    Status.PENDING: "Too late to decide",
}


@require_safe
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """`GET /l/<token>/?choice=`: swap the token for a cookie and go on to the page."""
    link = deliveries.link(token)
    if link is None:
        return _unknown(request)
    page = _page_url(link.delivery_id, _choice(request))
    response = HttpResponseRedirect(page, status=SEE_OTHER)
    links.hand_over(response, link)
    return _private(response, referrer="no-referrer")


@require_http_methods(["GET", "HEAD", "POST"])
def respond(request: HttpRequest, delivery_id: UUID) -> HttpResponse:
    """`/respond/<delivery>/`: show the request; the page's POST decides.

    `?choice=` only says what to begin with. 403 tells who is not let in, 410 what became of it.
    """
    try:
        visitor = links.visitor(request, delivery_id)
        workflow = _workflow(visitor.delivery)
        if request.method == "POST":
            return _private(_answer(request, visitor, workflow))
        return _private(_show(request, visitor, workflow))
    except HitlError as error:
        _put_on_record(request, delivery_id, error)
        return _private(_refuse(request, delivery_id, error))


# --- Looking -------------------------------------------------------------------------------------


def _show(request: HttpRequest, visitor: Visitor, workflow: Workflow) -> HttpResponse:
    try:
        _check_open(workflow, visitor.delivery)
    except CLOSED as error:
        return _closed(request, visitor, workflow, error)
    if _is_looked_at(request) and not _has_viewed(workflow, visitor.user):
        services.mark_viewed(
            workflow.pk,
            user=visitor.user,
            source=visitor.delivery.channel,
            certain=visitor.is_logged_in,
        )
    return _page(request, visitor, workflow, editing=_choice(request) == Verdict.MODIFIED)


def _check_open(workflow: Workflow, delivery: Delivery) -> None:
    """Raise what stands against deciding by this message, whoever asks."""
    check_round(workflow, delivery.round)
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    if workflow.is_late(database_now()):
        raise Expired(workflow)


def _is_looked_at(request: HttpRequest) -> bool:
    """Whether a person is likely to see what is drawn: browsers also fetch ahead of a click."""
    hints = ("Sec-Purpose", "Purpose", "X-Moz")
    ahead = any("prefetch" in request.headers.get(name, "") for name in hints)
    return request.method == "GET" and not ahead


def _has_viewed(workflow: Workflow, user: User) -> bool:
    return View.objects.filter(workflow=workflow, round=workflow.round, user=user).exists()


def _page(
    request: HttpRequest, visitor: Visitor, workflow: Workflow, *, status: int = 200, **form: Any
) -> HttpResponse:
    """The request with everything needed to decide it, or with the reason why not."""
    context = decision_form.context(workflow, user=visitor.user, **form)
    if context["step_up"] and visitor.membership is None:
        context["hindrance"] = context["hindrance"] or NO_FACTOR
    return render(
        request,
        "workflows/respond.html",
        {
            **context,
            "choice": _choice(request),
            "visitor": visitor,
            "may_decide": visitor.may_decide(workflow),
            "wants_factor": context["step_up"] and visitor.strength not in SECOND_FACTORS,
            "hidden": [(NONCE, links.page_nonce(visitor, workflow.current_fingerprint))],
            "page": _page_url(visitor.delivery.pk, _choice(request)),
            "edit_url": f"?choice={Verdict.MODIFIED}",
        },
        status=status,
    )


# --- Answering -----------------------------------------------------------------------------------


def _answer(request: HttpRequest, visitor: Visitor, workflow: Workflow) -> HttpResponse:
    """Take the page's POST. Raises Forbidden errors; everything else comes back with the page."""
    post, step = request.POST, request.POST.get("step", "")
    links.check_nonce(post.get(NONCE, ""), visitor, post.get("fingerprint", ""))
    if not visitor.may_decide(workflow):
        raise LoginNeeded("The link is not enough for a request of this risk.")
    editing = post.get("decision") == Verdict.MODIFIED
    try:
        if step == "edit":
            return _page(request, visitor, workflow, post=post, editing=True)
        if editing and step != "confirmed":
            return _confirm(request, visitor, workflow)
        _decide(request, visitor)
    except CLOSED as error:
        return _closed(request, visitor, _workflow(visitor.delivery), error)
    except NotYours:
        raise
    except HitlError as error:
        # Drawn from what is stored now, and shown with a fresh fingerprint.
        now = _workflow(visitor.delivery)
        form: dict[str, Any] = {"post": post, "error": error, "editing": editing}
        return _page(request, visitor, now, status=error.status, **form)
    return HttpResponseRedirect(_page_url(visitor.delivery.pk), status=SEE_OTHER)


def _decide(request: HttpRequest, visitor: Visitor) -> None:
    delivery = visitor.delivery
    decision_form.submit(
        delivery.workflow_id,
        user=visitor.user,
        post=request.POST,
        source=delivery.channel,
        delivery_id=delivery.pk,
        strength=visitor.strength,
        round=delivery.round,
    )


def _confirm(request: HttpRequest, visitor: Visitor, workflow: Workflow) -> HttpResponse:
    """The edits as old and new, to be confirmed. Raises what the gate would raise."""
    _check_open(workflow, visitor.delivery)
    if request.POST.get("fingerprint") != workflow.current_fingerprint:
        raise DigestMismatch
    hindrance = decision_form.hindrance(workflow, visitor.user)
    if hindrance:
        raise NotYours(hindrance)
    review = decision_form.review(workflow, request.POST)
    carried = decision_form.carried(request.POST)
    context = {
        "workflow": workflow,
        "rows": review.rows,
        "comment": request.POST.get("comment", "").strip(),
        "fingerprint": workflow.current_fingerprint,
        "carried": [(name, value) for name, value in carried if name != NONCE],
        "nonce": links.page_nonce(visitor, workflow.current_fingerprint),
    }
    return render(request, "workflows/respond_confirm.html", context)


# --- Telling -------------------------------------------------------------------------------------


def _closed(
    request: HttpRequest, visitor: Visitor, workflow: Workflow, error: HitlError
) -> HttpResponse:
    """410 with what became of the request, to the one it was sent to."""
    mine = workflow.responded_by == visitor.user and not isinstance(error, AskedAgain)
    heading, sentence = HEADINGS.get(Status(workflow.status), "Already decided"), error.detail
    if mine:
        heading = f"Thank you: {workflow.get_decision_display().lower()}"
        sentence = verdict_sentence(workflow)
    elif isinstance(error, AskedAgain):
        heading = error.title
        sentence = f"{error.detail} {outcome_sentence(workflow)}"
    context = {"workflow": workflow, "heading": heading, "sentence": sentence, "mine": mine}
    return render(request, "workflows/respond_closed.html", context, status=GONE)


def _refuse(request: HttpRequest, delivery_id: UUID, error: HitlError) -> HttpResponse:
    """Says why, and nothing about the request: who is refused may be anybody."""
    context = {"error": error, "page": _page_url(delivery_id, _choice(request))}
    return render(request, "workflows/link_refused.html", context, status=error.status)


def _put_on_record(request: HttpRequest, delivery_id: UUID, error: HitlError) -> None:
    """Who tried to answer and was not allowed to stands in the request's log."""
    delivery = deliveries.get(delivery_id)
    if request.method != "POST" or delivery is None:
        return
    person = request.user if isinstance(error, SomebodyElse) else delivery.user
    if isinstance(person, User) and isinstance(error, SomebodyElse | NotYours | links.LinkVoid):
        services.record_refusal(
            delivery.workflow_id,
            actor=person.actor,
            source=delivery.channel,
            why=error.detail,
        )


def _unknown(request: HttpRequest) -> HttpResponse:
    """The same answer for every token we never made; 429 after too many from one address."""
    wait = links.too_many_misses(request)
    response = render(request, "workflows/link_unknown.html", status=TOO_MANY if wait else 404)
    if wait:
        response["Retry-After"] = str(math.ceil(wait))
    return _private(response, referrer="no-referrer")


# --- Small parts ---------------------------------------------------------------------------------


def _workflow(delivery: Delivery) -> Workflow:
    rows = Workflow.objects.select_related("agent", "team", "responded_by")
    return rows.get(pk=delivery.workflow_id)


def _choice(request: HttpRequest) -> str:
    choice = request.GET.get("choice", "")
    return choice if choice in Verdict.values else ""


def _page_url(delivery_id: UUID, choice: str = "") -> str:
    page = reverse("respond", args=[delivery_id])
    return f"{page}?choice={choice}" if choice else page


def _private(response: HttpResponse, *, referrer: str = "same-origin") -> HttpResponse:
    """Keep a personal page out of caches, search engines and other sites' logs.

    A page with a form must not say `no-referrer`: browsers would then post `Origin: null`, which
    the check against forged requests refuses. Its address holds no token.
    """
    add_never_cache_headers(response)
    response["Referrer-Policy"] = referrer
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
