"""The pages on which people say when they are away, and at what hours reminders are welcome."""

import datetime as dt
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from hitl.accounts.models import User
from hitl.lib.errors import FieldError, HitlError, InvalidInput
from workflows import away
from workflows.policies import calendars
from workflows.policies.checks import Checks
from workflows.policies.request import WEEKDAYS

METHODS = ["GET", "HEAD", "POST"]
TYPED = ("person", "start", "end", "delegate", "reason")
TYPED_LIMIT = 200


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # `login_required` stands before every caller


def zone_of(user: User) -> str:
    """The zone in which this person reads a clock."""
    calendar = user.calendar if isinstance(user.calendar, dict) else {}
    return str(calendar.get("zone") or settings.POLICY_TIME_ZONE)


# --- Being away ----------------------------------------------------------------------------------


@login_required
@require_http_methods(METHODS)
def page(request: HttpRequest) -> HttpResponse:
    """GET: who is away when. POST: enter an absence, for oneself or, as a manager, for somebody."""
    if request.method != "POST":
        return _page(request)
    post = {name: request.POST.get(name, "").strip() for name in TYPED}
    try:
        entered = _enter(_user(request), post)
    except HitlError as error:
        return _page(request, typed=post, error=error)
    messages.success(request, _said(entered.user == request.user, str(entered.user), entered))
    return redirect("absence")


def _said(is_me: bool, name: str, entered: Any) -> str:
    who = "You are" if is_me else f"{name} is"
    stand_in = f" {entered.delegate} stands in." if entered.delegate else ""
    return f"{who} entered as away.{stand_in}"


def _enter(user: User, post: dict[str, str]) -> Any:
    person = user
    if post["person"]:
        found = [one for one in away.people_of(user) if str(one.pk) == post["person"]]
        if not found:
            raise _invalid("/person", "Choose a member of a team that you manage.")
        person = found[0]
    zone = ZoneInfo(zone_of(user))
    return away.add(
        person,
        by=user,
        start=_moment(post["start"], zone, "/start"),
        end=_moment(post["end"], zone, "/end"),
        delegate=_uuid(post["delegate"]),
        reason=post["reason"],
    )


def _moment(text: str, zone: ZoneInfo, place: str) -> dt.datetime | None:
    """What a field for date and time sends, as a moment in the person's zone."""
    if not text:
        return None
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise _invalid(place, "Write a date and a time.") from None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise _invalid("/delegate", "Choose somebody of the team who may decide.") from None


def _invalid(place: str, message: str) -> InvalidInput:
    return InvalidInput(message, [FieldError(place, message)])


def _page(
    request: HttpRequest,
    *,
    typed: dict[str, str] | None = None,
    error: HitlError | None = None,
) -> HttpResponse:
    user = _user(request)
    people = away.people_of(user)
    delegates = {one.pk: one for person in [user, *people] for one in away.delegates_for(person)}
    context = {
        "section": "me",
        "mine": away.of(user),
        "standing_in": away.stood_in_for(user),
        "managed": away.managed_by(user),
        "people": people,
        "delegates": sorted(delegates.values(), key=lambda one: str(one).casefold()),
        "zone": zone_of(user),
        "now": dt.datetime.now(dt.UTC),
        "typed": {k: v[:TYPED_LIMIT] for k, v in (typed or {}).items()},
        "error": error,
        "faults": _faults(error),
    }
    return render(request, "dashboard/absence.html", context, status=error.status if error else 200)


def _faults(error: HitlError | None) -> dict[str, str]:
    errors = error.errors if error else []
    return {one.pointer.strip("/").partition("/")[0]: one.message for one in errors}


@login_required
@require_http_methods(METHODS)
def end(request: HttpRequest, absence_id: UUID) -> HttpResponse:
    """Back again, or not away after all."""
    if request.method == "POST":
        try:
            away.end(absence_id, by=_user(request))
        except HitlError as error:
            messages.error(request, error.detail)
        else:
            messages.success(request, "Taken off the list: requests ask the person again.")
    return redirect("absence")


# --- Hours ---------------------------------------------------------------------------------------


@login_required
@require_http_methods(METHODS)
def hours(request: HttpRequest) -> HttpResponse:
    """When reminders are welcome: the zone, quiet hours, and days with working hours."""
    user = _user(request)
    if request.method != "POST":
        return _hours(request, _typed_hours(user))
    if request.POST.get("clear"):
        user.calendar = None
        user.save(update_fields=["calendar"])
        messages.success(request, "Reminders come at any hour.")
        return redirect("hours")
    typed = _posted_hours(request)
    calendar = _calendar(typed) | _kept(user)
    checks = Checks()
    calendars.check(calendar, "", checks)
    if checks.errors:
        return _hours(request, typed, checks.errors)
    user.calendar = calendar
    user.save(update_fields=["calendar"])
    messages.success(request, "Saved. Reminders wait for your hours; deadlines do not.")
    return redirect("hours")


def _typed_hours(user: User) -> dict[str, Any]:
    """The calendar as the form shows it."""
    calendar = user.calendar if isinstance(user.calendar, dict) else {}
    quiet = (calendar.get("quiet") or [["", ""]])[0]
    work = calendar.get("work") or {}
    spans = [span for day in work.values() for span in day] or [["", ""]]
    return {
        "zone": zone_of(user),
        "quiet_from": quiet[0],
        "quiet_to": quiet[1],
        "days": [day for day in WEEKDAYS if work.get(day)],
        "work_from": spans[0][0],
        "work_to": spans[0][1],
    }


def _posted_hours(request: HttpRequest) -> dict[str, Any]:
    names = ("zone", "quiet_from", "quiet_to", "work_from", "work_to")
    typed: dict[str, Any] = {name: request.POST.get(name, "").strip()[:64] for name in names}
    typed["days"] = [day for day in WEEKDAYS if day in request.POST.getlist("days")]
    return typed


def _calendar(typed: dict[str, Any]) -> dict[str, Any]:
    """The calendar of the form; what was left empty is not in it."""
    calendar: dict[str, Any] = {"zone": typed["zone"]}
    if typed["quiet_from"] or typed["quiet_to"]:
        calendar["quiet"] = [[typed["quiet_from"], typed["quiet_to"]]]
    if typed["days"]:
        # A browser's field for the time cannot say 24:00.
        until = typed["work_to"] if typed["work_to"] not in ("", "00:00") else "24:00"
        span = [typed["work_from"] or "00:00", until]
        calendar["work"] = {day: [span] for day in typed["days"]}
    return calendar


def _kept(user: User) -> dict[str, Any]:
    """What the form does not show."""
    calendar = user.calendar if isinstance(user.calendar, dict) else {}
    return {name: calendar[name] for name in ("holidays",) if name in calendar}


def _hours(
    request: HttpRequest, typed: dict[str, Any], errors: list[FieldError] | None = None
) -> HttpResponse:
    faults: dict[str, str] = {}
    for error in errors or []:
        faults.setdefault(error.pointer.strip("/").partition("/")[0], error.message)
    context = {
        "section": "me",
        "typed": typed,
        "weekdays": WEEKDAYS,
        "zones": sorted(available_timezones()),
        "faults": faults,
        "has_calendar": bool(_user(request).calendar),
    }
    return render(request, "dashboard/hours.html", context, status=400 if errors else 200)
