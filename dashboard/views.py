"""A view a page or fragment: who asks, what they may see, one selector or service, one template."""

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import pages, selectors
from dashboard.context import circle_of
from dashboard.filters import HistoryFilters, InboxFilters
from deliveries import selectors as delivery_rows
from events.types import Source
from hitl.accounts import stepup
from hitl.accounts.models import User
from hitl.lib.errors import Conflict, Forbidden, HitlError, InvalidInput, NotFound
from workflows import decision_form, executions, services
from workflows import selectors as workflows
from workflows.errors import AlreadyDecided, DigestMismatch, NotYours
from workflows.models import Risk, Status, Verdict, Workflow

NOTE_LIMIT = 2000


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


def _workflow(request: HttpRequest, workflow_id: UUID) -> Workflow:
    """The request, or 404 where it is absent or another team's."""
    try:
        return workflows.get(workflow_id, _user(request))
    except NotFound as error:
        raise Http404(str(error)) from None


# --- Lists ---------------------------------------------------------------------------------------


@login_required
@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for me, or for anybody in my teams."""
    return render(request, "dashboard/inbox.html", _inbox(request))


@login_required
@require_safe
def inbox_fragment(request: HttpRequest) -> HttpResponse:
    """The list alone, for the page that is open and heard of a change."""
    return render(request, "dashboard/_inbox.html", _inbox(request))


def _inbox(request: HttpRequest) -> dict[str, Any]:
    who = circle_of(request)
    filters = InboxFilters.read(request.GET)
    page = selectors.inbox(who, filters)
    mine, all_ = selectors.counted(selectors.asking(who), selectors.waiting(who))
    return {
        "section": "inbox",
        "circle": who,
        "filters": filters,
        "page": page,
        "next": filters.next_page(page.next) if page.next else "",
        "mine": mine,
        "all": all_,
        "choices": selectors.choices(who, (row.workflow for row in page.rows), filters),
        "selects": [_select("risk", "Risk", "Any risk", Risk.choices, filters.risk)],
        "public_url": settings.PUBLIC_URL,
        "pickable": filters.show != "all" and len(page.rows) > 1,
    }


def _select(
    name: str, label: str, any_: str, choices: list[tuple[str, str]], value: str
) -> dict[str, Any]:
    """A filter with fixed choices, as the template wants it."""
    return {"name": name, "label": label, "any": any_, "choices": choices, "value": value}


@login_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """Every request of my teams, newest first."""
    who = circle_of(request)
    filters = HistoryFilters.read(request.GET)
    page = selectors.history(who, filters)
    context = {
        "section": "history",
        "circle": who,
        "filters": filters,
        "page": page,
        "next": filters.next_page(page.next) if page.next else "",
        "choices": selectors.choices(who, page.rows, filters),
        "public_url": settings.PUBLIC_URL,
        "selects": [
            _select("status", "Status", "Any status", Status.choices, filters.status),
            _select("verdict", "Decision", "Any decision", Verdict.choices, filters.verdict),
            _select("by", "Decided by", "Anybody", selectors.deciders(who), filters.by),
        ],
        "dated": True,
    }
    return render(request, "dashboard/history.html", context)


# --- One request ---------------------------------------------------------------------------------


@login_required
@require_safe
def workflow(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """The request as it stands. Opening it is noted once a person; that decides nothing."""
    row = _workflow(request, workflow_id)
    if row.is_open and _is_looked_at(request) and not pages.has_viewed(row, _user(request).pk):
        services.mark_viewed(row.pk, user=_user(request), source=Source.DASHBOARD)
        row = _workflow(request, workflow_id)
    return _page(request, row, editing="edit" in request.GET)


def _is_looked_at(request: HttpRequest) -> bool:
    """Whether a person is likely to see what is drawn: browsers also fetch ahead of a click."""
    hints = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    return request.method == "GET" and "prefetch" not in hints


@login_required
@require_safe
def workflow_fragment(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """The live parts alone, for the page that is open and heard of a change."""
    row = _workflow(request, workflow_id)
    context = _drawn(request, row, editing="edit" in request.GET)
    return render(request, "dashboard/_request_parts.html", context)


@login_required
@require_safe
def event(request: HttpRequest, workflow_id: UUID, seq: int) -> HttpResponse:
    """One event with the complete state after it."""
    context = pages.event_page(_workflow(request, workflow_id), seq)
    if context is None:
        raise Http404("There is no such event.")
    return render(request, "dashboard/event.html", {**context, "section": "history"})


def _page(request: HttpRequest, row: Workflow, *, status: int = 200, **form: Any) -> HttpResponse:
    context = _drawn(request, row, **form)
    context["section"] = "inbox" if row.is_open else "history"
    return render(request, "dashboard/request.html", context, status=status)


def _drawn(request: HttpRequest, row: Workflow, **form: Any) -> dict[str, Any]:
    """What the page draws, and whether a second factor has to be shown before answering."""
    context = pages.page(row, _user(request), **form)
    is_weak = stepup.strength(request) not in stepup.STRONG
    return context | {"wants_factor": context["step_up"] and is_weak}


# --- Answers -------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """Take an answer. Edits are shown as a difference first; errors come back with the page."""
    if request.method != "POST":
        return redirect("workflow", workflow_id)  # a reload, or the way back from the login
    row = _workflow(request, workflow_id)
    step = request.POST.get("step", "")
    if step == "edit":
        return _page(request, row, post=request.POST, editing=True)
    try:
        if request.POST.get("decision") == Verdict.MODIFIED and step != "confirmed":
            return _confirm(request, row)
        decided = decision_form.submit(
            row.pk,
            user=_user(request),
            post=request.POST,
            source=Source.DASHBOARD,
            strength=stepup.strength(request),
        )
    except HitlError as error:
        return _objection(request, workflow_id, error)
    messages.success(request, _thanks(decided))
    return redirect("workflow", workflow_id)


def _confirm(request: HttpRequest, row: Workflow) -> HttpResponse:
    """The edits as old and new, to be confirmed. Raises what the gate would raise."""
    if not row.is_open:
        raise AlreadyDecided(row)
    hindrance = decision_form.hindrance(row, _user(request))
    if hindrance:
        raise NotYours(hindrance)
    if request.POST.get("fingerprint") != row.current_fingerprint:
        raise DigestMismatch
    review = decision_form.review(row, request.POST)
    context = {
        "section": "inbox",
        "workflow": row,
        "rows": review.rows,
        "carried": decision_form.carried(request.POST),
        "comment": request.POST.get("comment", "").strip(),
        "fingerprint": row.current_fingerprint,
        "fingerprint_short": decision_form.short(row.current_fingerprint),
    }
    return render(request, "dashboard/confirm.html", context)


def _objection(request: HttpRequest, workflow_id: UUID, error: HitlError) -> HttpResponse:
    """The page again, as things are now, saying why the answer did not count."""
    row = _workflow(request, workflow_id)
    editing = request.POST.get("decision") == Verdict.MODIFIED
    return _page(request, row, status=error.status, post=request.POST, error=error, editing=editing)


def _thanks(decided: services.Decided) -> str:
    if decided.replayed:
        return "Your answer had already been recorded."
    if decided.workflow.is_open:
        return "Your answer is recorded. More answers are needed."
    return f"{Verdict(decided.decision.verdict).label}. The agent has been told."


@login_required
@require_POST
def preview(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """What the posted edits would change; decides nothing."""
    row = _workflow(request, workflow_id)
    try:
        context: dict[str, Any] = {"rows": decision_form.review(row, request.POST).rows}
    except InvalidInput as error:
        context = {"error": error}
    return render(request, "workflows/_changes.html", context)


@login_required
@require_POST
def settle(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """A person says what became of an action whose outcome is unknown."""
    row = _workflow(request, workflow_id)
    outcome = request.POST.get("outcome", "")
    note = request.POST.get("note", "").replace("\0", "").strip()[:NOTE_LIMIT]
    if outcome not in ("completed", "failed") or not note:
        messages.error(request, "Choose what happened, and note how you know.")
        return redirect("workflow", row.pk)
    try:
        executions.settle_unknown(
            row.pk,
            user=_user(request),
            succeeded=outcome == "completed",
            note=note,
            source=Source.DASHBOARD,
        )
    except (Forbidden, Conflict) as error:
        return _objection(request, workflow_id, error)
    messages.success(request, f"Settled as {outcome}.")
    return redirect("workflow", row.pk)


@login_required
@require_POST
def send_again(request: HttpRequest, workflow_id: UUID, delivery_id: UUID) -> HttpResponse:
    """Try a failed message again, while there still is something to ask."""
    row = _workflow(request, workflow_id)
    if not delivery_rows.of_workflow(row.pk).filter(pk=delivery_id).exists():
        raise Http404("There is no such message.")
    return _send_again(request, row, [delivery_id])


@login_required
@require_POST
def send_all_again(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """Try every failed message of this round again."""
    row = _workflow(request, workflow_id)
    return _send_again(request, row, delivery_rows.failed(row.pk, row.round))


def _send_again(request: HttpRequest, row: Workflow, delivery_ids: list[UUID]) -> HttpResponse:
    if not row.is_open:
        messages.error(request, "The request is decided: nobody needs to be asked any more.")
        return redirect("workflow", row.pk)
    try:
        for delivery_id in delivery_ids:
            services.resend(delivery_id, user=_user(request))
    except NotYours as error:
        return _objection(request, row.pk, error)
    except Conflict as error:
        messages.error(request, str(error))
    else:
        what = "message goes" if len(delivery_ids) == 1 else "messages go"
        messages.success(request, f"The {what} out again within seconds.")
    return redirect("workflow", row.pk)
