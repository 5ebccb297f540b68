"""The teams' requests and answers in numbers, as a page and as tables to take along.

The numbers were counted beforehand; nothing here reads a request.
"""

import csv
import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard import plots, selectors
from dashboard.context import circle_of
from dashboard.filters import InsightFilters
from dashboard.selectors import Circle
from workflows.models import doors
from workflows.statistics import reading
from workflows.statistics.reading import Filters, Group, Load, Numbers, Period, Scope
from workflows.statistics.spread import Spread

SHOWN = 25
PERIODS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"))
# Doors that no person comes through, and what is behind none.
DOORS = {
    reading.RULE: "A rule, without a person",
    reading.SILENCE: "Silence, without a person",
    reading.NOBODY: "No verdict",
}
# A spreadsheet takes what begins like this for a formula and runs it (OWASP, CSV injection).
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A period at a glance: what was asked, what people said, how long it took, and who."""
    who = circle_of(request)
    filters = InsightFilters.read(request.GET)
    found = reading.overview(_scope(who, filters), _period(filters), _narrowed(filters))
    offered = selectors.choices(who, (), filters)
    types = {group.key for group in found.types}
    context = {
        "section": "insights",
        "circle": who,
        "filters": filters,
        "periods": PERIODS,
        "chosen": "" if filters.is_custom else filters.days or "30",
        "agents": offered.agents,
        "types": sorted(types.union(offered.types)),
        "found": found,
        "channels": [_named(group) for group in found.channels],
        "tables": _tables(found),
        "plot": plots.stacked(found.days),
        "steps": _steps(found.total),
        "shown": SHOWN,
        "is_narrowed": bool(filters.agent or filters.type),
        "sees_all": any(row.role == "manager" for row in who.memberships),
    }
    return render(request, "dashboard/insights.html", context)


def _scope(who: Circle, filters: InsightFilters) -> Scope:
    scope = Scope.of_member(who.user.pk, who.memberships)
    if not filters.team:
        return scope
    return scope.only(row.team_id for row in who.memberships if row.team.slug == filters.team)


def _period(filters: InsightFilters) -> Period:
    return Period(*filters.period(dt.datetime.now(dt.UTC).date()))


def _narrowed(filters: InsightFilters) -> Filters:
    return Filters(filters.agent, filters.type)


def _named(group: Group) -> Group:
    """A door by its name for people."""
    label = str(dict(doors()).get(group.key, group.key))
    name = DOORS.get(group.key, f"{label[:1].upper()}{label[1:]}")
    return Group(group.key, name, group.numbers)


def _tables(found: reading.Overview) -> list[dict[str, Any]]:
    """The tables of requests, each with the longest bar there is in it."""
    parts = (
        ("agent", "By agent", "Agent", found.agents),
        ("actionType", "By action type", "Action type", found.types),
    )
    return [
        {"by": by, "title": title, "head": head, "rows": rows[:SHOWN], "more": len(rows) - SHOWN,
         "most": max((row.numbers.requests for row in rows if row.numbers), default=0)}
        for by, title, head, rows in parts
    ]  # fmt: skip


def _steps(total: Numbers) -> dict[str, Any]:
    """The distribution of both times, side by side, from the first bucket in use to the last."""
    pairs = list(zip(total.view.buckets, total.verdict.buckets, strict=True))
    used = [number for number, (one, two) in enumerate(pairs) if one.count or two.count]
    rows = pairs[used[0] : used[-1] + 1] if used else []
    return {"rows": rows, "most": max((max(a.count, b.count) for a, b in rows), default=0)}


# --- The table to take along ----------------------------------------------------------------------

_REQUESTS = (
    "Requests", "Open", "By people", "Approved", "Approved with edits", "Rejected", "By a rule",
    "Approved by silence", "Timed out", "Withdrawn", "Completed", "Failed", "Outcome unknown",
    "Approval rate", "Edit rate", "Rejection rate", "Timeout rate",
)  # fmt: skip
_LOAD = (
    "Asked", "Looked", "Answered", "Approved", "Approved with edits", "Rejected", "For others",
    "Refused", "Answer rate",
)  # fmt: skip


@login_required
@require_safe
def table(request: HttpRequest) -> HttpResponse:
    """One of the page's tables as CSV (RFC 4180): `by` is day, agent, actionType, channel or
    approver."""
    who = circle_of(request)
    filters, by = InsightFilters.read(request.GET), request.GET.get("by", "")
    by = by if by in reading.GROUPS else "day"
    report = reading.report(_scope(who, filters), _period(filters), _narrowed(filters), by)
    name = f"{by}-{report.period.first}-{report.period.last}.csv"
    answer = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    writer = csv.writer(answer)
    for line in _lines(report, by):
        writer.writerow([_harmless(cell) for cell in line])
    return answer


def _lines(report: reading.Report, by: str) -> Iterator[list[Any]]:
    if by == "approver":
        yield ["Person", *_LOAD, *_times("answer")]
        for group in report.groups:
            yield [group.name, *_load(group.load or Load())]
        return
    yield [by, *_REQUESTS, *_times("first look"), *_times("decision")]
    for group in report.groups:
        named = _named(group) if by == "channel" else group
        yield [named.name, *_numbers(group.numbers or Numbers())]
    yield ["Total", *_numbers(report.total)]


def _times(what: str) -> list[str]:
    return [f"Mean seconds to {what}", f"About half within seconds to {what}"]


def _numbers(of: Numbers) -> list[Any]:
    return [
        of.requests, of.pending, of.by_people, of.approved, of.modified, of.rejected, of.by_rule,
        of.silence_approved, of.timed_out, of.cancelled, of.completed, of.failed, of.unknown,
        *map(_rate, (of.approval_rate, of.edit_rate, of.rejection_rate, of.timeout_rate)),
        *_seconds(of.view), *_seconds(of.verdict),
    ]  # fmt: skip


def _load(of: Load) -> list[Any]:
    return [
        of.asked, of.viewed, of.answered, of.approved, of.modified, of.rejected, of.for_others,
        of.refused, _rate(of.answer_rate), *_seconds(of.answer),
    ]  # fmt: skip


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _seconds(of: Spread) -> list[Any]:
    half = of.quantile(0.5)
    return ["" if of.mean is None else of.mean, half.seconds if half else ""]


def _harmless(cell: Any) -> Any:
    """The cell, never a formula: names come from agents and from people."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
