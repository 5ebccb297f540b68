"""The same numbers the slow way: one request after the other, in a few lines that share nothing
with the code under test."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.models import Team, User
from workflows.models import Decision, Status, View, Withdrawal, Workflow


@dataclass
class Tally:
    """Counts by name, and durations in seconds by name."""

    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, start: dt.datetime, end: dt.datetime) -> None:
        self.times.setdefault(name, []).append(max(0.0, (end - start).total_seconds()))


def requests(rows: list[Workflow]) -> Tally:
    """What became of these requests (each in its first round)."""
    tally = Tally()
    for row in rows:
        tally.counts["requests"] += 1
        tally.counts[_fate(row)] += 1
        if row.status in (Status.COMPLETED, Status.FAILED, Status.UNKNOWN):
            tally.counts[row.status.lower()] += 1
        looks = [one.viewed_at for one in View.objects.filter(workflow=row) if one.certain]
        if looks:
            tally.time("view", row.created_at, min(looks))
        if row.responded_by is not None and row.responded_at is not None:
            tally.time("verdict", row.created_at, row.responded_at)
    return tally


def _fate(row: Workflow) -> str:
    if row.status in (Status.PENDING, Status.CANCELLED):
        return row.status.lower()
    if row.status == Status.TIMEOUT:
        return "timedOut"
    if row.responded_by is not None:
        return row.decision
    if row.responded_via == "rule":
        return "ruleRejected" if row.decision == "rejected" else "ruleApproved"
    return "bySilence"


def load(person: User, rows: list[Workflow]) -> Tally:
    """What these requests meant for the person."""
    tally = Tally()
    for row in rows:
        answers = list(Decision.objects.filter(workflow=row, user=person).order_by("seq"))
        taken = {each.decision_id for each in Withdrawal.objects.filter(workflow=row)}
        standing = [one for one in answers if one.pk not in taken]
        messages = [
            one
            for one in Delivery.objects.filter(workflow=row, user=person)
            if one.kind != Delivery.Kind.OUTCOME
        ]
        tally.counts["asked"] += bool(messages or standing)
        tally.counts["answered"] += bool(standing)
        seen = View.objects.filter(workflow=row, user=person, certain=True)
        tally.counts["viewed"] += seen.exists()
        refused = Event.objects.filter(workflow=row, type="human.refused")
        tally.counts["refused"] += sum(one.actor["id"] == str(person.pk) for one in refused)
        for one in standing:
            tally.counts[one.verdict] += 1
            tally.counts["forOthers"] += one.behalf is not None
            asked = [each.created_at for each in messages if each.stage == one.stage]
            tally.time("answer", min(asked, default=row.created_at), one.decided_at)
    return tally


def of(team: Team, **filters: Any) -> list[Workflow]:
    """The team's requests."""
    return list(Workflow.objects.filter(team=team, **filters))


def on(rows: list[Workflow], day: dt.date) -> list[Workflow]:
    """Those created on a day."""
    return [row for row in rows if row.created_at.astimezone(dt.UTC).date() == day]
