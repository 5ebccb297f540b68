"""The page on which people say what became of requests after a backup was restored."""

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from events.restores import gate
from events.types import Source
from hitl.accounts.models import User
from hitl.lib.errors import Forbidden, HitlError, InvalidInput, NotFound
from workflows import reconcile
from workflows.reconcile import NothingToConfirm, Outcome

SHOWN = 100
TYPED_LIMIT = 1000
END = "end"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """What waits, and the three answers; administrators end it here, too."""
    user = cast(User, request.user)
    if not reconcile.may_confirm(user):
        raise PermissionDenied("Managers and administrators say what happened.")
    error: HitlError | None = None
    if request.method == "POST":
        try:
            return _act(request, user)
        except Forbidden as refused:
            raise PermissionDenied(str(refused)) from None
        except HitlError as refused:
            error = refused
    return _shown(request, user, error)


def _shown(request: HttpRequest, user: User, error: HitlError | None) -> HttpResponse:
    restore = gate.current()
    rows = reconcile.waiting_for(restore, user) if restore else None
    context = {
        "section": "",
        "restore": restore,
        "rows": list(rows[:SHOWN]) if rows is not None else [],
        "mine": rows.count() if rows is not None else 0,
        "all": reconcile.waiting(restore).count() if restore else 0,
        "chosen": request.POST.getlist("item"),
        "reason": request.POST.get("reason", "")[:TYPED_LIMIT],
        "outcomes": Outcome.choices,
        "error": error,
    }
    status = error.status if error else 200
    return render(request, "dashboard/reconcile.html", context, status=status)


def _act(request: HttpRequest, user: User) -> HttpResponse:
    do, reason = request.POST.get("do", ""), request.POST.get("reason", "")[:TYPED_LIMIT]
    if do == END:
        reconcile.end(user=user, note=reason)
        messages.success(request, "Everything goes on.")
        return redirect("inbox")
    if do not in Outcome.values:
        raise InvalidInput("There is no such button.")
    ids = _ids(request.POST.getlist("item")[:SHOWN])
    if not ids:
        raise InvalidInput("Choose the requests that you know about.")
    done = sum(_confirm(row_id, user, Outcome(do), reason) for row_id in ids)
    messages.success(request, f"Confirmed: {done} of {len(ids)}.")
    return redirect("reconcile")


def _confirm(workflow_id: UUID, user: User, outcome: Outcome, reason: str) -> bool:
    """False where somebody else has said something meanwhile."""
    try:
        reconcile.confirm(
            workflow_id, user=user, outcome=outcome, reason=reason, source=Source.DASHBOARD
        )
    except (NothingToConfirm, NotFound):
        return False
    return True


def _ids(texts: list[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError:
        raise InvalidInput("There is no such request.") from None
