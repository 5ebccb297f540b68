"""Which days are counted anew, when, and that nothing is ever counted twice or forgotten."""

import datetime as dt
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from deliveries.models import Delivery
from events.models import Event
from events.types import Source
from hitl.accounts.models import Agent, Team, User
from tests.accounts.factories import AgentFactory, TeamFactory
from tests.racing import ROUNDS, race
from tests.workflows.factories import decide, make_overdue, make_workflow
from workflows import services
from workflows.models import (
    ApproverCount,
    CountedDay,
    CountMark,
    Decision,
    RequestCount,
    View,
    Workflow,
)
from workflows.statistics import counting, sweeping
from workflows.tasks import sweep_statistics

# On PostgreSQL a sweep reads what has been committed, and a test's own transaction never is.
pytestmark = pytest.mark.django_db(transaction=connection.vendor == "postgresql")


def created(workflow: Workflow, moment: dt.datetime) -> Workflow:
    """Move its creation; an event makes it known."""
    Workflow.objects.filter(pk=workflow.pk).update(created_at=moment)
    return workflow


def counts() -> list[dict[str, str]]:
    """Every stored count, without its own key."""
    tables: list[Any] = [RequestCount.objects, ApproverCount.objects]
    rows = [row for table in tables for row in table.values()]
    return sorted(
        ({name: str(value) for name, value in row.items() if name != "id"} for row in rows), key=str
    )


def total(**columns: Any) -> int:
    rows = RequestCount.objects.filter(**columns)
    return sum(row.pending + row.approved + row.rejected + row.timed_out for row in rows)


def test_a_request_is_counted_on_the_utc_day_it_was_created(agent: Agent) -> None:
    midnight = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    for offset in (-1, 0, 86_399_999_999, 86_400_000_000):  # microseconds
        created(make_workflow(agent), midnight + dt.timedelta(microseconds=offset))
    sweeping.sweep()
    found = RequestCount.objects.order_by("day").values_list("day", "pending")
    assert [(str(day), number) for day, number in found] == [
        ("2026-02-28", 1), ("2026-03-01", 2), ("2026-03-02", 1)
    ]  # fmt: skip


def test_an_answer_weeks_later_lands_on_the_day_of_creation(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    created(workflow, timezone.now() - dt.timedelta(days=24))
    sweeping.sweep()
    decide(workflow, approver)
    sweeping.sweep()
    row: Any = RequestCount.objects.get()
    assert row.day == (timezone.now() - dt.timedelta(days=24)).date()
    assert (row.approved, row.pending, row.verdict_14) == (1, 0, 1)
    assert abs(row.verdict_seconds - 24 * 86_400) < 60


def test_what_has_changed_is_counted_again_and_nothing_else(agent: Agent, approver: User) -> None:
    old = created(make_workflow(agent), timezone.now() - dt.timedelta(days=3))
    make_workflow(agent)
    sweeping.sweep()
    before = dict(CountedDay.objects.values_list("day", "counted_at"))
    assert sweeping.sweep() == 0
    decide(old, approver)
    assert sweeping.sweep() == 1
    after = dict(CountedDay.objects.values_list("day", "counted_at"))
    changed = [day for day in after if after[day] != before[day]]
    assert changed == [(timezone.now() - dt.timedelta(days=3)).date()]


def test_counting_again_changes_nothing(agent: Agent, approver: User) -> None:
    services.mark_viewed(make_workflow(agent).pk, user=approver, source=Source.SLACK)
    decide(make_workflow(agent), approver)
    services.time_out(make_overdue(agent).pk)
    sweeping.sweep()
    before = counts()
    assert before
    sweeping.mark_all()
    assert sweeping.sweep() == 1
    assert counts() == before


@pytest.mark.parametrize("model", [RequestCount, ApproverCount])
def test_a_lost_count_comes_back_within_the_week(agent: Agent, approver: User, model: Any) -> None:
    decide(make_workflow(agent), approver)
    sweeping.sweep()
    before = counts()
    model.objects.all().delete()
    assert sweeping.sweep() == 0
    CountedDay.objects.update(counted_at=timezone.now() - dt.timedelta(days=8))
    assert sweeping.sweep() == 1
    assert counts() == before


def test_a_wrong_count_is_put_right_by_the_next_change(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    sweeping.sweep()
    RequestCount.objects.update(pending=7, rejected=3)
    decide(workflow, approver)
    sweeping.sweep()
    assert (total(), RequestCount.objects.get().approved) == (1, 1)


def test_everything_can_be_counted_anew_at_will(agent: Agent) -> None:
    make_workflow(agent)
    sweeping.sweep()
    RequestCount.objects.all().delete()
    CountedDay.objects.all().delete()
    assert sweeping.mark_all() == 1
    sweeping.sweep()
    assert total() == 1


def test_the_first_sweep_counts_what_was_there_before(agent: Agent) -> None:
    for days in range(4):
        created(make_workflow(agent), timezone.now() - dt.timedelta(days=days))
    assert not CountMark.objects.exists()
    sweep_statistics()
    assert (total(), CountedDay.objects.count()) == (4, 4)


def test_teams_never_mix(agent: Agent) -> None:
    far = AgentFactory(team=TeamFactory())
    far.team.allow_guests = True
    far.team.save()
    make_workflow(agent)
    make_workflow(far, approvers=["gia@partner.example"])
    sweeping.sweep()
    assert {(row.team_id, row.agent_id) for row in RequestCount.objects.all()} == {
        (agent.team_id, agent.pk), (far.team_id, far.pk)
    }  # fmt: skip
    guests = ApproverCount.objects.filter(team=far.team)
    assert [row.user.email for row in guests] == ["gia@partner.example"]


def test_a_day_that_takes_long_rests_between_counts(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LONG_SECONDS", -1.0)
    monkeypatch.setattr(sweeping, "REST", 10_000)
    make_workflow(agent)
    assert sweeping.sweep() == 1
    make_workflow(agent)
    assert sweeping.sweep() == 0
    CountedDay.objects.update(rests_until=timezone.now())
    assert sweeping.sweep() == 1
    assert total() == 2


def test_a_sweep_ends_in_time_and_the_next_goes_on(agent: Agent) -> None:
    for days in range(3):
        created(make_workflow(agent), timezone.now() - dt.timedelta(days=days))
    sweeping.note_changes()
    assert sweeping.count_due(seconds=0) == 0
    assert sweeping.count_due() == 3


def test_a_lot_is_read_in_parts(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping.sweep()
    monkeypatch.setattr(sweeping, "READ_AT_ONCE", 2)
    for days in range(7):
        created(make_workflow(agent), timezone.now() - dt.timedelta(days=days))
    assert sweeping.sweep() == 7


def test_looks_that_were_no_looks_are_not_counted(agent: Agent, approver: User) -> None:
    """A scanner opens a link; a minute later a person does."""
    workflow = make_workflow(agent)
    services.mark_viewed(workflow.pk, user=approver, source=Source.EMAIL, certain=False)
    sweeping.sweep()
    assert sum(row.viewed for row in ApproverCount.objects.all()) == 0
    workflow.views.update(viewed_at=timezone.now() - dt.timedelta(days=1))
    services.mark_viewed(workflow.pk, user=approver, source=Source.EMAIL)
    sweeping.sweep()
    assert ApproverCount.objects.get(user=approver).viewed == 1
    assert timezone.now() - workflow.views.get().viewed_at < dt.timedelta(minutes=1)


@pytest.mark.postgres
class TestTogether:
    def test_two_sweeps_at_once_count_everything_once(self, agent: Agent, approver: User) -> None:
        for number in range(ROUNDS):
            workflow = make_workflow(agent)
            created(workflow, timezone.now() - dt.timedelta(days=number % 5))
            decide(workflow, approver)
            outcomes = race(sweeping.sweep, sweeping.sweep, sweeping.sweep)
            assert not [one for one in outcomes if isinstance(one, Exception)], outcomes
        sweeping.sweep()
        assert (total(), total(pending__gt=0)) == (ROUNDS, 0)
        assert ApproverCount.objects.filter(user=approver).count() == min(5, ROUNDS)

    def test_what_happens_during_a_count_is_counted_after_it(
        self, agent: Agent, approver: User
    ) -> None:
        for _ in range(ROUNDS):
            workflow = make_workflow(agent)
            outcomes = race(sweeping.sweep, partial(decide, workflow, approver))
            assert not [one for one in outcomes if isinstance(one, Exception)], outcomes
        sweeping.sweep()
        assert sum(row.approved for row in RequestCount.objects.all()) == ROUNDS

    def test_a_transaction_that_stays_open_is_waited_for(
        self, agent: Agent, approver: User
    ) -> None:
        """A decision's event gets its number, another is read, and only then the first commits."""
        workflow = make_workflow(agent)
        sweeping.sweep()
        with transaction.atomic():
            decide(workflow, approver)
            assert race(lambda: make_workflow(agent, name="other"), sweeping.sweep)
            race(sweeping.sweep)
        sweeping.sweep()
        row = RequestCount.objects.get(channel="dashboard")
        assert (row.approved, total()) == (1, 2)


@pytest.mark.postgres
def test_reading_a_year_and_counting_a_day_go_by_indexes(agent: Agent, team: Team) -> None:
    make_workflow(agent)
    sweeping.sweep()
    year = (dt.date(2026, 1, 1), dt.date(2026, 12, 31))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plans = [
            RequestCount.objects.filter(team=team, day__range=year).explain(),
            ApproverCount.objects.filter(team=team, day__range=year).explain(),
            CountedDay.objects.filter(due_at__isnull=False).order_by("-day").explain(),
            Event.objects.filter(type="human.refused", workflow__team=team).explain(),
        ]
        day = counting.Day(team.pk, dt.date(2026, 1, 1), (), {})
        tables: list[Any] = [View.objects, Decision.objects, Delivery.objects]
        plans += [day.related(table.all()).explain() for table in tables]
    found = ("one_request_count", "one_approver_count", "day_due", "event_refused")
    for plan, index in zip(plans, (*found, *("workflow_",) * 3), strict=True):
        assert index in plan, plan
        assert "Seq Scan" not in plan, plan
