"""On a request's page, what people do around the decision: pass it on, look after it, talk.

Every change is a POST that comes back to the page, with a sentence about what happened.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from events.types import Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import User
from hitl.lib.errors import FieldError, HitlError, InvalidInput, NotFound
from workflows import conversation, pace, selectors, services, sharing
from workflows.cases import CaseFile
from workflows.models import Workflow

METHODS = ["GET", "HEAD", "POST"]
STEPS = (
    (dt.timedelta(hours=1), "1 hour"),
    (dt.timedelta(hours=4), "4 hours"),
    (dt.timedelta(days=1), "1 day"),
    (dt.timedelta(days=3), "3 days"),
    (dt.timedelta(days=7), "7 days"),
)
View = Callable[..., HttpResponse]


@dataclass(frozen=True)
class Offer:
    """A later deadline that can be chosen: the moment as it is sent, and in words."""

    value: str
    label: str


@dataclass(frozen=True)
class Together:
    """What this person may do about the request besides answering. `version` is for live pages."""

    holder: User | None
    is_mine: bool
    may_claim: bool
    may_release: bool
    answers: list[tuple[str, str]]
    givers: list[User]
    may_give: bool
    takers: list[User]
    offers: list[Offer]
    latest: dt.datetime | None

    @property
    def version(self) -> str:
        holder = self.holder.pk if self.holder else ""
        return (
            f"{holder}-{self.may_claim}-{self.may_release}-{self.answers}-{self.may_give}"
            f"-{len(self.givers)}-{[offer.value for offer in self.offers]}"
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be shown at all."""
        return not (self.holder or self.may_claim or self.answers or self.may_pass or self.offers)

    @property
    def may_pass(self) -> bool:
        return bool(self.takers) and (self.may_give or bool(self.givers))


def of(file: CaseFile, user: User) -> Together | None:
    """What is offered to somebody who may decide in the team, while the request is open."""
    workflow = file.workflow
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None or not member.may_decide or not workflow.is_open:
        return None
    manager = sharing.is_manager(workflow, user)
    may_answer = bool(file.case.seats(str(user.pk)))
    holder = workflow.claimed_by
    is_held = holder is not None and str(holder.pk) in file.case.may_answer
    stage = file.policy.stages[workflow.stage]
    first = workflow.first_expires_at or workflow.expires_at
    latest = first + dt.timedelta(seconds=stage.extend_max) if stage.extend_max else None
    return Together(
        holder=holder,
        is_mine=holder == user,
        may_claim=may_answer and holder != user and (manager or not is_held),
        may_release=holder is not None and (holder == user or manager),
        answers=_answers(file, user),
        givers=[one for one in sharing.givers(file) if one != user] if manager else [],
        may_give=may_answer,
        takers=_takers(file, user),
        offers=_offers(file, latest) if latest else [],
        latest=latest,
    )


def _answers(file: CaseFile, user: User) -> list[tuple[str, str]]:
    """The person's answers that can be taken back: for whom, and what they were."""
    stage = file.case.stage
    return [
        (str(one.behalf_id or user.pk), one.get_verdict_display().lower() + _for(one.behalf))
        for one in file.standing(user)
        if stage is not None and one.stage == stage.index
    ]


def _for(behalf: User | None) -> str:
    return f" for {behalf}" if behalf else ""


def _takers(file: CaseFile, user: User) -> list[User]:
    """Everybody who may decide here at all; whether it fits is judged when it is sent."""
    found = accounts.approvers(file.workflow.team_id)
    fit = [one for one in found if file.case.rights.why_barred(str(one.pk)) is None]
    return sorted((one for one in fit if one != user), key=lambda one: str(one).casefold())


def _offers(file: CaseFile, latest: dt.datetime) -> list[Offer]:
    now = max(file.workflow.expires_at, file.now)
    if latest <= now:
        return []
    moments = [(now + step, f"by {words}") for step, words in STEPS if now + step < latest]
    moments.append((latest, "as far as the policy allows"))
    return [
        Offer(moment.isoformat(), f"{words}, until {moment:%d %b %H:%M} UTC")
        for moment, words in moments
    ]


# --- Changes -------------------------------------------------------------------------------------


def _change(view: Callable[[HttpRequest, Workflow], str]) -> View:
    """A POST of somebody who is logged in about one request; what it raises is told there."""

    @wraps(view)
    def guarded(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
        if request.method == "POST":
            try:
                row = selectors.get(workflow_id, _user(request))
            except NotFound as error:
                raise Http404(str(error)) from None
            try:
                messages.success(request, view(request, row))
            except HitlError as error:
                messages.error(request, error.detail)
        return redirect("workflow", workflow_id)

    return cast(View, login_required(require_http_methods(METHODS)(guarded)))


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


@_change
def withdraw(request: HttpRequest, row: Workflow) -> str:
    """Take one's answer back."""
    services.withdraw(
        row.pk,
        user=_user(request),
        source=Source.DASHBOARD,
        behalf=_uuid(request.POST.get("behalf", ""), "/behalf"),
    )
    return "You have taken your answer back. You can answer again."


@_change
def extend(request: HttpRequest, row: Workflow) -> str:
    """Move the deadline."""
    moved = pace.extend(
        row.pk,
        by=_user(request),
        expires_at=_moment(request.POST.get("expires_at", "")),
        source=Source.DASHBOARD,
        reason=request.POST.get("reason", "").replace("\0", "").strip()[: sharing.REASON_LIMIT],
    )
    return f"The deadline is now {moved.expires_at:%d %b %H:%M} UTC."


@_change
def hand_over(request: HttpRequest, row: Workflow) -> str:
    """Give one's say (for managers: somebody's) to another approver."""
    to = _uuid(request.POST.get("to", ""), "/to")
    if to is None:
        raise InvalidInput("Choose to whom.", [FieldError("/to", "Choose to whom.")])
    sharing.hand_over(
        row.pk,
        user=_user(request),
        to=to,
        person=_uuid(request.POST.get("person", ""), "/person"),
        reason=request.POST.get("reason", ""),
        source=Source.DASHBOARD,
    )
    return "Handed over. They have been asked."


@_change
def claim(request: HttpRequest, row: Workflow) -> str:
    """Look after it."""
    sharing.claim(row.pk, user=_user(request), source=Source.DASHBOARD)
    return "You look after it. Reminders come to you alone."


@_change
def release(request: HttpRequest, row: Workflow) -> str:
    """Look after it no more."""
    sharing.release(row.pk, user=_user(request), source=Source.DASHBOARD)
    return "Nobody looks after it now."


@_change
def say(request: HttpRequest, row: Workflow) -> str:
    """A comment to the others, or a question to the agent."""
    text = request.POST.get("text", "").replace("\r\n", "\n")
    if request.POST.get("kind") == "question":
        conversation.ask(row.pk, user=_user(request), text=text, source=Source.DASHBOARD)
        return f"{row.agent.name} has been asked. You hear of the answer."
    conversation.comment(row.pk, user=_user(request), text=text, source=Source.DASHBOARD)
    return "Your comment is on the timeline."


def _uuid(text: str, place: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidInput("Choose somebody.", [FieldError(place, "Choose somebody.")]) from None


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        message = "Choose until when."
        raise InvalidInput(message, [FieldError("/expiresAt", message)])
    return found
