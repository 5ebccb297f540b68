"""Adds days up: what pages and the API show of a period, without ever reading a request.

Totals are the whole team's. What a single person did is for that person and for the team's
managers.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import add, itemgetter
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from events.types import Source
from hitl.accounts.models import Agent, Membership, Role, User
from workflows.models import ApproverCount, CountedDay, CountMark, RequestCount
from workflows.statistics import spread
from workflows.statistics.spread import Spread

RULE, SILENCE = Source.RULE.value, Source.TIMEOUT_JOB.value
NOBODY = ""
LONGEST = 366  # days at once
GROUPS = ("day", "agent", "actionType", "channel", "approver")


@dataclass(frozen=True)
class Period:
    """Days (UTC), both included."""

    first: dt.date
    last: dt.date

    @property
    def days(self) -> list[dt.date]:
        count = (self.last - self.first).days + 1
        return [self.first + dt.timedelta(days=number) for number in range(count)]


@dataclass(frozen=True)
class Scope:
    """Whose requests somebody may see counted, and in which teams everybody's own numbers.

    `agent_id`: an agent sees what it asked itself, and of people nothing.
    """

    team_ids: frozenset[UUID]
    managed_ids: frozenset[UUID] = frozenset()
    user_id: UUID | None = None
    agent_id: UUID | None = None

    @classmethod
    def of(cls, caller: User | Agent) -> "Scope":
        if isinstance(caller, Agent):
            return cls(frozenset({caller.team_id}), agent_id=caller.pk)
        return cls.of_member(caller.pk, Membership.objects.filter(user=caller))

    @classmethod
    def of_member(cls, user_id: UUID, memberships: Iterable[Membership]) -> "Scope":
        rows = list(memberships)
        managed = {row.team_id for row in rows if row.role == Role.MANAGER}
        return cls(frozenset(row.team_id for row in rows), frozenset(managed), user_id)

    def only(self, team_ids: Iterable[UUID]) -> "Scope":
        """The same, within these teams."""
        kept = frozenset(team_ids)
        return replace(self, team_ids=self.team_ids & kept, managed_ids=self.managed_ids & kept)


@dataclass(frozen=True)
class Filters:
    """What a report is narrowed down to. The load of people knows no agents or action types."""

    agent_id: UUID | None = None
    action_type: str = ""

    @property
    def is_set(self) -> bool:
        return bool(self.agent_id or self.action_type)


@dataclass(frozen=True)
class Numbers:
    """Some requests. Each is in exactly one of `pending`, the verdicts, and the two after them.

    `approved`, `modified`, `rejected` are verdicts of people alone; rules and silence are counted
    apart. `verdict` spreads the time people took, `view` the time to anybody's first look.
    """

    pending: int = 0
    approved: int = 0
    modified: int = 0
    rejected: int = 0
    rule_approved: int = 0
    rule_rejected: int = 0
    silence_approved: int = 0
    timed_out: int = 0
    cancelled: int = 0
    completed: int = 0
    failed: int = 0
    unknown: int = 0
    view: Spread = spread.NONE
    verdict: Spread = spread.NONE

    @property
    def requests(self) -> int:
        return self.pending + self.decided + self.timed_out + self.cancelled

    @property
    def by_people(self) -> int:
        return self.approved + self.modified + self.rejected

    @property
    def by_rule(self) -> int:
        return self.rule_approved + self.rule_rejected

    @property
    def decided(self) -> int:
        return self.by_people + self.by_rule + self.silence_approved

    @property
    def approval_rate(self) -> float | None:
        return _rate(self.approved + self.modified, self.by_people)

    @property
    def edit_rate(self) -> float | None:
        return _rate(self.modified, self.approved + self.modified)

    @property
    def rejection_rate(self) -> float | None:
        return _rate(self.rejected, self.by_people)

    @property
    def timeout_rate(self) -> float | None:
        """Of what people were asked and is over, withdrawals aside: what nobody answered in time
        and therefore ended."""
        return _rate(self.timed_out, self.by_people + self.silence_approved + self.timed_out)

    @property
    def rule_rate(self) -> float | None:
        return _rate(self.by_rule, self.decided)

    def plus(self, other: "Numbers") -> "Numbers":
        return Numbers(**_sums(self, other))


@dataclass(frozen=True)
class Load:
    """What some requests meant for one person, or for everybody."""

    asked: int = 0
    viewed: int = 0
    answered: int = 0
    approved: int = 0
    modified: int = 0
    rejected: int = 0
    for_others: int = 0
    refused: int = 0
    answer: Spread = spread.NONE

    @property
    def answer_rate(self) -> float | None:
        return _rate(self.answered, self.asked)

    def plus(self, other: "Load") -> "Load":
        return Load(**_sums(self, other))


def _rate(part: int, whole: int) -> float | None:
    """A share between 0 and 1; None of nothing."""
    return part / whole if whole else None


def _sums(one: Any, other: Any) -> dict[str, Any]:
    values = {}
    for each in fields(one):
        left, right = getattr(one, each.name), getattr(other, each.name)
        values[each.name] = left.plus(right) if isinstance(left, Spread) else left + right
    return values


@dataclass(frozen=True)
class Group:
    """One line of a table: `key` as it is stored, `name` for a person."""

    key: str
    name: str
    numbers: Numbers | None = None
    load: Load | None = None


@dataclass(frozen=True)
class Report:
    """A period in numbers. `as_of`: changes up to then are in it; None before the first count.

    `load` is everybody's together; None where the report is narrowed down, or for agents.
    """

    period: Period
    total: Numbers
    load: Load | None
    groups: list[Group] = field(default_factory=list)
    as_of: dt.datetime | None = None


# --- Requests ------------------------------------------------------------------------------------

_COUNTERS = (
    "pending", "approved", "modified", "rejected", "timed_out", "cancelled", "completed", "failed",
    "unknown",
)  # fmt: skip
_SPREADS = ("view", "verdict")


def request_counts(scope: Scope, period: Period, filters: Filters) -> QuerySet[RequestCount]:
    """The stored rows a report is made of."""
    rows = RequestCount.objects.filter(
        team_id__in=scope.team_ids, day__gte=period.first, day__lte=period.last
    )
    if scope.agent_id:
        rows = rows.filter(agent_id=scope.agent_id)
    if filters.agent_id:
        rows = rows.filter(agent_id=filters.agent_id)
    if filters.action_type:
        rows = rows.filter(action_type=filters.action_type)
    return rows


def summed(
    rows: QuerySet[Any], keys: tuple[str, ...], names: Iterable[str]
) -> list[dict[str, Any]]:
    """Rows added up by `keys`, under the columns' own names."""
    sums = {f"sum_{name}": Sum(name) for name in names}
    found = rows.order_by().values(*keys).annotate(**sums)
    return [{name.removeprefix("sum_"): value for name, value in row.items()} for row in found]


def numbers(row: dict[str, Any]) -> Numbers:
    """What a summed row says, seen by who or what decided: its `channel` tells."""
    channel = row["channel"]
    shared = {name: row[name] for name in ("pending", "timed_out", "cancelled")}
    shared |= {name: row[name] for name in ("completed", "failed", "unknown")}
    view = spread.read("view", row) if "view_seconds" in row else spread.NONE
    if channel == RULE:
        ours = {
            "rule_approved": row["approved"] + row["modified"],
            "rule_rejected": row["rejected"],
        }
        return Numbers(**shared, **ours, view=view)
    if channel == SILENCE:
        return Numbers(**shared, silence_approved=row["approved"] + row["modified"], view=view)
    people = {name: row[name] for name in ("approved", "modified", "rejected")}
    verdict = spread.read("verdict", row) if "verdict_seconds" in row else spread.NONE
    return Numbers(**shared, **people, view=view, verdict=verdict)


def added(rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> dict[Any, Numbers]:
    """Summed rows put together by what `key` says of each."""
    found: dict[Any, Numbers] = {}
    for (place, channel), row in _merged(rows, key).items():
        found[place] = found.get(place, Numbers()).plus(numbers(row | {"channel": channel}))
    return found


_KEYS = frozenset({"day", "agent_id", "action_type", "channel"})


def _merged(
    rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], Any]
) -> dict[tuple[Any, str], dict[str, Any]]:
    """Rows that only differ in what nobody asks for, as one: plain sums, since there are many."""
    if not rows:
        return {}
    names = [name for name in rows[0] if name not in _KEYS]
    take = itemgetter(*names)
    sums: dict[tuple[Any, str], Sequence[int]] = {}
    for row in rows:
        place, values = (key(row), row["channel"]), take(row)
        sums[place] = list(map(add, sums[place], values)) if place in sums else values
    return {place: dict(zip(names, values, strict=True)) for place, values in sums.items()}


def by(
    scope: Scope, period: Period, filters: Filters, *keys: str, with_times: bool = True
) -> list[dict[str, Any]]:
    """The period added up by columns of `RequestCount`; always apart by channel."""
    names = [*_COUNTERS]
    for prefix in _SPREADS if with_times else ():
        names += [f"{prefix}_seconds", *spread.columns(prefix)]
    return summed(request_counts(scope, period, filters), (*keys, "channel"), names)


# --- People --------------------------------------------------------------------------------------

_LOAD = (
    "asked", "viewed", "answered", "approved", "modified", "rejected", "for_others", "refused",
)  # fmt: skip


def loads(scope: Scope, period: Period) -> dict[UUID | None, Load]:
    """What the period meant for each person whom the scope may see; None is everybody."""
    rows = ApproverCount.objects.filter(
        team_id__in=scope.team_ids, day__gte=period.first, day__lte=period.last
    )
    names = (*_LOAD, "answer_seconds", *spread.columns("answer"))
    found: dict[UUID | None, Load] = {None: Load()}
    for row in summed(rows, ("user_id", "team_id"), names):
        load = Load(**{name: row[name] for name in _LOAD}, answer=spread.read("answer", row))
        found[None] = found[None].plus(load)
        if row["user_id"] == scope.user_id or row["team_id"] in scope.managed_ids:
            found[row["user_id"]] = found.get(row["user_id"], Load()).plus(load)
    return found


# --- Reports -------------------------------------------------------------------------------------


def report(scope: Scope, period: Period, filters: Filters, group_by: str) -> Report:
    """The period, its total and one line a group, the busiest first (days in order).

    `group_by` is one of GROUPS.
    """
    if group_by == "approver":
        return _of_people(scope, period, filters)
    column = {"actionType": "action_type", "agent": "agent_id"}.get(group_by, group_by)
    rows = by(scope, period, filters, *(() if column == "channel" else (column,)))
    found = added(rows, lambda row: row[column])
    total = Numbers()
    for each in found.values():
        total = total.plus(each)
    if group_by == "day":
        groups = [
            Group(day.isoformat(), day.isoformat(), found.get(day, Numbers()))
            for day in period.days
        ]
    else:
        groups = _groups(found, agent_names(found) if group_by == "agent" else None)
    is_whole = not (scope.agent_id or filters.is_set)
    load = loads(scope, period)[None] if is_whole else None
    return Report(period, total, load, groups, as_of(scope))


@dataclass(frozen=True)
class Overview:
    """A period from all sides at once. `people` and `load` are empty where it is narrowed down."""

    period: Period
    total: Numbers
    days: dict[dt.date, Numbers]
    agents: list[Group]
    types: list[Group]
    channels: list[Group]
    people: list[Group]
    load: Load | None
    as_of: dt.datetime | None


def overview(scope: Scope, period: Period, filters: Filters) -> Overview:
    """Everything that the page shows, in a handful of queries."""
    rows = by(scope, period, filters, "agent_id", "action_type")
    days = added(by(scope, period, filters, "day", with_times=False), itemgetter("day"))
    agents = added(rows, itemgetter("agent_id"))
    channels = added(rows, itemgetter("channel"))
    total = Numbers()
    for each in channels.values():
        total = total.plus(each)
    found: dict[UUID | None, Load] = {} if filters.is_set else loads(scope, period)
    return Overview(
        period,
        total,
        {day: days.get(day, Numbers()) for day in period.days},
        _groups(agents, agent_names(agents)),
        _groups(added(rows, itemgetter("action_type"))),
        _groups(channels),
        people(found),
        found.get(None),
        as_of(scope),
    )


def _groups(found: dict[Any, Numbers], names: Mapping[Any, str] | None = None) -> list[Group]:
    """The busiest first, by their names where they have any."""
    groups = [
        Group(str(key), (names or {}).get(key, str(key)), each) for key, each in found.items()
    ]
    return sorted(groups, key=lambda one: (-one.numbers.requests if one.numbers else 0, one.name))


def _of_people(scope: Scope, period: Period, filters: Filters) -> Report:
    found = loads(scope, period)
    total = Numbers()
    for row in by(scope, period, filters):
        total = total.plus(numbers(row))
    return Report(period, total, found[None], people(found), as_of(scope))


def people(found: dict[UUID | None, Load]) -> list[Group]:
    """Everybody with a load, by name of course, those who were asked most first."""
    users = User.objects.in_bulk([id_ for id_ in found if id_ is not None])
    groups = [
        Group(str(id_), str(users[id_]), load=load)
        for id_, load in found.items()
        if id_ is not None
    ]
    return sorted(groups, key=lambda group: (-group.load.asked if group.load else 0, group.name))


def agent_names(ids: Iterable[UUID]) -> dict[UUID, str]:
    """What agents are called."""
    return dict(Agent.objects.filter(pk__in=list(ids)).values_list("pk", "name"))


def as_of(scope: Scope) -> dt.datetime | None:
    """Up to when changes are counted: the last look at the log, or what still waits from before."""
    swept = CountMark.objects.values_list("swept_at", flat=True).first()
    late = (
        CountedDay.objects.filter(team_id__in=scope.team_ids, due_at__isnull=False)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
    )
    return min(filter(None, (swept, late)), default=None)
