"""What happened to the requests of one team and day, worked out from the rows themselves.

A request belongs to the UTC day on which it was created, for ever. What is told of it is its state
now; durations are those of the round that state comes from.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Min, QuerySet

from deliveries.models import Delivery
from events.models import Event
from events.types import EventType
from hitl.accounts.models import User
from workflows.models import ApproverCount, Decision, RequestCount, Status, Verdict, View, Workflow
from workflows.statistics.spread import between, bucket_of

Key = tuple[Any, ...]
Counts = dict[Key, Counter[str]]

_BY_STATUS = {
    Status.PENDING: "pending",
    Status.TIMEOUT: "timed_out",
    Status.CANCELLED: "cancelled",
}
_AFTERWARDS = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.UNKNOWN: "unknown",
}


@dataclass(frozen=True)
class Request:
    """What counts of one request. `round` is the one in which people were last asked."""

    id: UUID
    agent_id: UUID
    action_type: str
    status: str
    decision: str
    channel: str
    responded_at: dt.datetime | None
    round: int
    began: dt.datetime


@dataclass(frozen=True)
class Day:
    """The requests of one team and UTC day, and since when each of their rounds has run."""

    team_id: UUID
    day: dt.date
    requests: tuple[Request, ...]
    rounds: dict[tuple[UUID, int], dt.datetime]

    @classmethod
    def read(cls, team_id: UUID, day: dt.date) -> "Day":
        columns = (
            "pk", "agent_id", "action_type", "status", "decision", "responded_via", "responded_at",
            "asked_round", "created_at",
        )  # fmt: skip
        rows = list(_of_day(Workflow.objects.order_by(), "", team_id, day).values_list(*columns))
        again = [row[0] for row in rows if row[7] > 1]
        rounds = {(row[0], 1): row[8] for row in rows} | _rounds(again)
        return cls(team_id, day, tuple(_request(row, rounds) for row in rows), rounds)

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Of rows that belong to workflows, those of this day's requests."""
        return _of_day(rows.order_by(), "workflow__", self.team_id, self.day)


def _of_day(rows: QuerySet[Any], to: str, team_id: UUID, day: dt.date) -> QuerySet[Any]:
    start = dt.datetime.combine(day, dt.time.min, tzinfo=dt.UTC)
    wanted = {
        f"{to}team_id": team_id,
        f"{to}created_at__gte": start,
        f"{to}created_at__lt": start + dt.timedelta(days=1),
    }
    return rows.filter(**wanted)


def _rounds(workflow_ids: list[UUID]) -> dict[tuple[UUID, int], dt.datetime]:
    """When each later round began, of the few requests that have any: with its first event."""
    if not workflow_ids:
        return {}
    rows = Event.objects.filter(workflow__in=workflow_ids, round__gt=1).order_by()
    found = rows.values_list("workflow_id", "round").annotate(began=Min("timestamp"))
    return {(workflow_id, number): began for workflow_id, number, began in found}


def _request(row: tuple[Any, ...], rounds: dict[tuple[UUID, int], dt.datetime]) -> Request:
    *known, created_at = row
    known.append(rounds.get((row[0], row[7]), created_at))
    return Request(*known)


# --- Requests ------------------------------------------------------------------------------------


def requests(day: Day) -> list[RequestCount]:
    """The day's requests by agent, action type and the door of the verdict."""
    counts: Counts = defaultdict(Counter)
    looks = _first_looks(day)
    for request in day.requests:
        counted = counts[request.agent_id, request.action_type, request.channel]
        counted[_BY_STATUS.get(Status(request.status)) or request.decision] += 1
        if request.status in _AFTERWARDS:
            counted[_AFTERWARDS[Status(request.status)]] += 1
        if request.responded_at is not None:
            _add(counted, "verdict", between(request.began, request.responded_at))
        if (seen_at := looks.get((request.id, request.round))) is not None:
            _add(counted, "view", between(request.began, seen_at))
    return [
        RequestCount(
            team_id=day.team_id,
            day=day.day,
            agent_id=agent_id,
            action_type=action_type,
            channel=channel,
            **_whole(counted),
        )
        for (agent_id, action_type, channel), counted in counts.items()
    ]


def _first_looks(day: Day) -> dict[tuple[UUID, int], dt.datetime]:
    rows = day.related(View.objects.filter(certain=True))
    found = rows.values_list("workflow_id", "round").annotate(first=Min("viewed_at"))
    return {(workflow_id, number): first for workflow_id, number, first in found}


def _add(counted: Counter[str], prefix: str, seconds: float) -> None:
    """Put one duration into a spread; milliseconds, until the day is done."""
    counted[f"{prefix}_seconds"] += round(seconds * 1000)
    counted[f"{prefix}_{bucket_of(seconds)}"] += 1


def _whole(counted: Counter[str]) -> dict[str, int]:
    return {
        name: round(number / 1000) if name.endswith("_seconds") else number
        for name, number in counted.items()
    }


# --- Approvers -----------------------------------------------------------------------------------


def approvers(day: Day) -> list[ApproverCount]:
    """What the day's requests meant for each person who was asked or answered."""
    counts: Counts = defaultdict(Counter)
    asked = _asked(day)
    firsts: dict[tuple[UUID, UUID], str] = {}
    for answer in _answers(day):
        firsts.setdefault((answer["workflow_id"], answer["user_id"]), answer["channel"])
        counted = counts[answer["user_id"], answer["channel"]]
        counted[Verdict(answer["verdict"]).value] += 1
        counted["for_others"] += answer["behalf_id"] is not None
        _add(counted, "answer", between(_asked_at(answer, asked, day), answer["decided_at"]))
    for pair in {*((workflow_id, user_id) for workflow_id, user_id, *_ in asked), *firsts}:
        counts[pair[1], firsts.get(pair, "")]["asked"] += 1
    for pair in _looks(day):
        counts[pair[1], firsts.get(pair, "")]["viewed"] += 1
    for (_, user_id), channel in firsts.items():
        counts[user_id, channel]["answered"] += 1
    for user_id, channel in _refusals(day):
        counts[user_id, channel]["refused"] += 1
    return [
        ApproverCount(
            team_id=day.team_id, day=day.day, user_id=user_id, channel=channel, **_whole(counted)
        )
        for (user_id, channel), counted in counts.items()
    ]


Asked = dict[tuple[UUID, UUID, int, int], dt.datetime]


def _asked(day: Day) -> Asked:
    """When each person was first written to, by request, person, round and stage."""
    kinds = (Delivery.Kind.APPROVAL, Delivery.Kind.REMINDER)
    rows = day.related(Delivery.objects.filter(kind__in=kinds, user__isnull=False))
    columns = ("workflow_id", "user_id", "round", "stage")
    return {row[:4]: row[4] for row in rows.values_list(*columns).annotate(Min("created_at"))}


def _answers(day: Day) -> Iterable[dict[str, Any]]:
    """Answers of people that they have not taken back, oldest first."""
    rows = day.related(Decision.objects.filter(user__isnull=False, withdrawal=None))
    return rows.order_by("decided_at", "seq").values(
        "workflow_id", "user_id", "round", "stage", "channel", "verdict", "behalf_id", "decided_at"
    )


def _asked_at(answer: dict[str, Any], asked: Asked, day: Day) -> dt.datetime:
    """Since when the question stood: since their first message about it, else since the round."""
    place = (answer["workflow_id"], answer["user_id"], answer["round"], answer["stage"])
    began = day.rounds.get((answer["workflow_id"], answer["round"]))
    return asked.get(place) or began or answer["decided_at"]


def _looks(day: Day) -> set[tuple[UUID, UUID]]:
    rows = day.related(View.objects.filter(certain=True))
    return set(rows.values_list("workflow_id", "user_id"))


def _refusals(day: Day) -> list[tuple[UUID, str]]:
    """Who was refused, and at which door; people without an account have no row to count in."""
    rows = day.related(Event.objects.filter(type=EventType.HUMAN_REFUSED))
    found = [
        (UUID(actor["id"]), source)
        for actor, source in rows.values_list("actor", "source")
        if actor["kind"] == "user"
    ]
    known = set(User.objects.filter(pk__in={id_ for id_, _ in found}).values_list("pk", flat=True))
    return [each for each in found if each[0] in known]
