"""`/api/v1/statistics`: how long people take, and what they answer."""

import datetime as dt
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from hitl.accounts.models import Agent
from hitl.accounts.permissions import MayRead
from hitl.lib.errors import FieldError, Forbidden, InvalidInput, NotFound
from workflows.api import statistics_examples
from workflows.api import statistics_serializers as shapes
from workflows.api.operations import Endpoint, operation
from workflows.api.serializers import moment
from workflows.statistics import reading
from workflows.statistics.reading import Filters, Group, Load, Numbers, Period, Report, Scope
from workflows.statistics.spread import Quantile, Spread

SHOWN = 500
USUAL = dt.timedelta(days=29)


class Statistics(Endpoint):
    """`/api/v1/statistics`."""

    @operation(
        id="getStatistics",
        summary="Requests and answers in numbers",
        tag="Statistics",
        permission=MayRead,
        query=shapes.StatisticsQuery,
        answer=shapes.StatisticsSerializer,
        answer_says="The period, its total and its groups.",
        problems=("not-found",),
        answer_examples={"By agent": statistics_examples.BY_AGENT},
    )
    def get(self, request: Request) -> Response:
        """What was asked on these days (UTC), at most 366, and what became of it up to now.

        A request counts on the day it was created, whenever it is decided. Every member of a team
        sees its totals; what single people did is shown to managers, and to each of themselves.
        Agents see what they asked themselves. `docs/statistics.md` says what each number means.
        """
        params = self.params
        period, filters, group_by = _period(params), _filters(params), params["groupBy"]
        if group_by == "approver" and isinstance(self.caller, Agent):
            raise Forbidden("What single people did is not for agents.")
        if group_by == "approver" and filters.is_set:
            message = "What single people did is counted for all agents and action types together."
            raise InvalidInput(message, [FieldError("?groupBy", message)])
        report = reading.report(_scope(self.caller, params), period, filters, group_by)
        return Response(represent(report, group_by))


def _scope(caller: Any, params: dict[str, Any]) -> Scope:
    scope = Scope.of(caller)
    if "teamId" not in params:
        return scope
    if params["teamId"] not in scope.team_ids:
        raise NotFound("You are in no such team.")
    return scope.only([params["teamId"]])


def _period(params: dict[str, Any]) -> Period:
    last = params.get("to") or dt.datetime.now(dt.UTC).date()
    first = params.get("from") or max(dt.date.min + USUAL, last) - USUAL
    if first > last:
        message = "The first day has to come before the last."
        raise InvalidInput(message, [FieldError("?from", message)])
    if (last - first).days >= reading.LONGEST:
        message = f"Ask for at most {reading.LONGEST} days at once."
        raise InvalidInput(message, [FieldError("?from", message)])
    return Period(first, last)


def _filters(params: dict[str, Any]) -> Filters:
    return Filters(params.get("agentId"), params.get("actionType", ""))


# --- Shapes --------------------------------------------------------------------------------------


def represent(report: Report, group_by: str) -> dict[str, Any]:
    """The report on the wire."""
    return {
        "from": report.period.first.isoformat(),
        "to": report.period.last.isoformat(),
        "groupBy": group_by,
        "total": _numbers(report.total),
        "load": _load(report.load) if report.load else None,
        "items": [_group(group) for group in report.groups[:SHOWN]],
        "more": max(0, len(report.groups) - SHOWN),
        "asOf": moment(report.as_of) if report.as_of else None,
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "key": group.key,
        "name": group.name,
        "requests": _numbers(group.numbers) if group.numbers else None,
        "load": _load(group.load) if group.load else None,
    }


def _numbers(of: Numbers) -> dict[str, Any]:
    return {
        "requests": of.requests,
        "pending": of.pending,
        "byPeople": of.by_people,
        "approved": of.approved,
        "modified": of.modified,
        "rejected": of.rejected,
        "byRule": of.by_rule,
        "ruleApproved": of.rule_approved,
        "ruleRejected": of.rule_rejected,
        "bySilence": of.silence_approved,
        "timedOut": of.timed_out,
        "cancelled": of.cancelled,
        "completed": of.completed,
        "failed": of.failed,
        "unknown": of.unknown,
        "approvalRate": of.approval_rate,
        "editRate": of.edit_rate,
        "rejectionRate": of.rejection_rate,
        "timeoutRate": of.timeout_rate,
        "ruleRate": of.rule_rate,
        "timeToFirstView": _durations(of.view),
        "timeToDecision": _durations(of.verdict),
    }


def _load(of: Load) -> dict[str, Any]:
    return {
        "asked": of.asked,
        "viewed": of.viewed,
        "answered": of.answered,
        "approved": of.approved,
        "modified": of.modified,
        "rejected": of.rejected,
        "forOthers": of.for_others,
        "refused": of.refused,
        "answerRate": of.answer_rate,
        "timeToAnswer": _durations(of.answer),
    }


def _durations(of: Spread) -> dict[str, Any]:
    return {
        "count": of.count,
        "meanSeconds": of.mean,
        "p50": _quantile(of.quantile(0.5)),
        "p90": _quantile(of.quantile(0.9)),
        "histogram": [
            {"from": each.low, "to": each.high, "count": each.count} for each in of.buckets
        ],
    }


def _quantile(of: Quantile | None) -> dict[str, Any] | None:
    return None if of is None else {"seconds": of.seconds, "from": of.low, "to": of.high}
