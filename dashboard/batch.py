"""Several requests of one type answered together: what was chosen, shown again, then decided.

The page lists exactly the requests and fingerprints it posts; what comes back is a line for each.
"""

import re
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from events.types import Source
from hitl.accounts import stepup
from hitl.accounts.models import User
from hitl.lib.errors import HitlError, InvalidInput
from hitl.lib.text import has_deceptive
from workflows import batch, decision_form, forms
from workflows.batch import Item
from workflows.decision_form import COMMENT_LIMIT, Highlight
from workflows.forms import Tree
from workflows.models import Risk, Verdict, Workflow

METHODS = ["GET", "HEAD", "POST"]
_ITEM = re.compile(
    r"(?P<id>[^.]*)\.(?:(?P<round>[0-9]{1,5})-)?(?P<stage>[0-9]{1,2})\.(?P<fingerprint>.*)",
    re.ASCII,
)


@dataclass(frozen=True)
class Shown:
    """One request on the page. `value` is what the page posts of it; `why_not` keeps it out."""

    workflow: Workflow
    facts: list[Highlight]
    tree: Tree
    why_not: str
    chosen: bool

    @property
    def value(self) -> str:
        row = self.workflow
        return f"{row.pk}.{row.round}-{row.stage}.{row.current_fingerprint}"

    @property
    def is_high(self) -> bool:
        return self.workflow.risk == Risk.HIGH

    @property
    def is_deceptive(self) -> bool:
        return has_deceptive(self.workflow.name) or any(f.is_deceptive for f in self.facts)


@login_required
@require_http_methods(METHODS)
def page(request: HttpRequest) -> HttpResponse:
    """GET `?id=…&id=…`: what was chosen. POST `item`, `decision`, `comment`: decide it."""
    if request.method != "POST":
        return _review(request, _ids(request.GET.getlist("id")))
    items = [item for text in request.POST.getlist("item") if (item := _item(text))]
    shown = _ids([text.partition(".")[0] for text in request.POST.getlist("shown")])
    try:
        results = batch.decide(
            items,
            user=_user(request),
            verdict=_verdict(request.POST.get("decision", "")),
            comment=_comment(request.POST.get("comment", "")),
            source=Source.DASHBOARD,
            strength=stepup.strength(request),
        )
    except HitlError as error:
        ids = shown or [item.workflow_id for item in items]
        return _review(request, ids, chosen={item.workflow_id for item in items}, error=error)
    return _results(request, results)


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


def _review(
    request: HttpRequest,
    ids: list[UUID],
    *,
    chosen: set[UUID] | None = None,
    error: HitlError | None = None,
) -> HttpResponse:
    rows = batch.shown(_user(request), ids[: batch.MOST])
    if not rows:
        return redirect("inbox")
    types: dict[str, list[Workflow]] = {}
    for row in rows.values():
        types.setdefault(row.action_type, []).append(row)
    context = {
        "section": "inbox",
        "types": types if len(types) > 1 else {},
        "items": [] if len(types) > 1 else [_shown(request, row, chosen) for row in rows.values()],
        "action_type": next(iter(types)),
        "left_out": max(0, len(ids) - batch.MOST),
        "most": batch.MOST,
        "comment": request.POST.get("comment", "")[:COMMENT_LIMIT],
        "error": error,
    }
    return render(request, "dashboard/batch.html", context, status=error.status if error else 200)


def _shown(request: HttpRequest, row: Workflow, chosen: set[UUID] | None) -> Shown:
    why_not = decision_form.hindrance(row, _user(request))
    if not row.is_open:
        why_not = "Already decided."
    return Shown(
        row,
        decision_form.highlights(row),
        forms.tree(row.current_data),
        why_not,
        not why_not and (chosen is None or row.pk in chosen),
    )


def _results(request: HttpRequest, results: list[batch.Result]) -> HttpResponse:
    done = sum(one.is_recorded for one in results)
    context: dict[str, Any] = {
        "section": "inbox",
        "results": results,
        "done": done,
        "failed": len(results) - done,
    }
    return render(request, "dashboard/batch_results.html", context)


def _ids(texts: list[str]) -> list[UUID]:
    found: dict[UUID, None] = {}
    for text in texts:
        try:
            found[UUID(text)] = None
        except ValueError:
            continue
    return list(found)


def _item(text: str) -> Item | None:
    """`id.round-stage.fingerprint`, as the page wrote it."""
    found = _ITEM.fullmatch(text)
    ids = _ids([found["id"]]) if found else []
    if not found or not ids:
        return None
    return Item(ids[0], found["fingerprint"], int(found["stage"]), int(found["round"] or 1))


def _verdict(text: str) -> Verdict:
    if text in (Verdict.APPROVED, Verdict.REJECTED):
        return Verdict(text)
    raise InvalidInput("Choose to approve or to reject.")


def _comment(text: str) -> str:
    text = text.strip()
    if len(text) > COMMENT_LIMIT or "\0" in text:
        raise InvalidInput(f"At most {COMMENT_LIMIT} ordinary characters, please.")
    return text
