"""The page of numbers and its tables to take along: what it shows, to whom, and harmlessly."""

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import plots
from dashboard.filters import InsightFilters
from dashboard.templatetags import insights as tags
from events.types import Source
from hitl.accounts.models import Agent, Team, User
from hitl.operate import watch
from tests.dashboard.browser import logged_in, text
from tests.dashboard.screens import words
from tests.workflows.factories import decide, make_workflow
from tests.workflows.test_ruling import rules, small
from workflows import services
from workflows.models import Workflow
from workflows.statistics import sweeping
from workflows.statistics.reading import Numbers
from workflows.statistics.spread import BOUNDS, Spread

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 11, 23)


@pytest.fixture
def decided(agent: Agent, approver: User) -> Workflow:
    workflow = make_workflow(agent)
    services.mark_viewed(workflow.pk, user=approver, source=Source.DASHBOARD)
    decide(workflow, approver)
    sweeping.sweep()
    return workflow


def seen(user: User, query: str = "") -> str:
    response = logged_in(user).get(f"/insights/{query}")
    assert response.status_code == 200
    return words(text(response))


def rows(user: User, query: str) -> list[list[str]]:
    response = logged_in(user).get(f"/insights/table.csv{query}")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(text(response))))


def test_an_empty_page_says_what_will_be_here(approver: User) -> None:
    page = seen(approver)
    assert "No numbers yet" in page
    assert "how long people take" in page


def test_the_page_tells_what_became_of_requests(decided: Workflow, approver: User) -> None:
    page = seen(approver)
    assert "Decided by people 1" in page
    assert "Approved 100 %" in page
    assert "refund-bot" in page
    assert "payments.refund" in page
    assert "Ann Approver 1 1 1" in page


def test_the_plot_says_in_words_what_it_draws(decided: Workflow, approver: User) -> None:
    page = text(logged_in(approver).get("/insights/?days=7"))
    day = f"{decided.created_at.day} {decided.created_at:%b %Y}"
    assert f"<title>{day}: 1 approved</title>" in page
    assert page.count('class="plot-touch"') == 7
    assert 'style="' not in page


def test_filters_narrow_it_down(decided: Workflow, approver: User, team: Team) -> None:
    other = Agent.objects.create(team=team, name="idle-bot")
    assert "Nothing in these days" in seen(approver, f"?agent={other.pk}")
    assert "Nothing in these days" in seen(approver, "?type=other")
    assert "Nothing in these days" in seen(approver, "?since=2020-01-01&until=2020-02-01")
    assert "Nothing in these days" in seen(approver, "?team=elsewhere")
    narrowed = seen(approver, "?type=payments.refund")
    assert "Decided by people 1" in narrowed
    assert "counted for all agents and action types together" in narrowed


def test_other_teams_numbers_are_nowhere(decided: Workflow, stranger: User) -> None:
    for query in ("", f"?agent={decided.agent_id}", "?team=payments"):
        page = seen(stranger, query)
        assert "Decided by people" not in page
        assert "refund-bot" not in page
    assert len(rows(stranger, "?by=agent")) == 2  # the heads and the total
    assert len(rows(stranger, "?by=approver")) == 1


def test_approvers_see_their_own_load_and_managers_everybodys(
    decided: Workflow, approver: User, colleague: User, manager: User
) -> None:
    make_workflow(decided.agent)
    sweeping.mark_all()  # a sweep reads what has been committed, and this has not
    sweeping.sweep()
    mine, all_ = seen(colleague), seen(manager)
    assert "Carl Colleague 1" in mine
    assert "Ann Approver" not in mine
    assert "Those of colleagues are for managers" in mine
    assert "Ann Approver 2" in all_
    assert "Carl Colleague 1" in all_
    people = [row[0] for row in rows(colleague, "?by=approver")]
    assert people == ["Person", "Carl Colleague"]


def test_what_rules_decided_is_told_apart(agent: Agent, team: Team, approver: User) -> None:
    rules(team, small())
    make_workflow(agent)
    sweeping.sweep()
    page = seen(approver)
    assert "Decided by people 0 1 by a rule, 0 by silence" in page
    assert "A rule, without a person 1 approved, 0 rejected" in page
    assert "by a rule" in seen_history(approver)


def seen_history(user: User) -> str:
    return words(text(logged_in(user).get("/history/")))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])  # noqa: RUF001
def test_a_table_carries_no_formulas(agent: Agent, approver: User, start: str) -> None:
    """X-08: a spreadsheet would run what an agent called itself or its action."""
    evil = f'{start}HYPERLINK("http://evil.example","x")'
    Agent.objects.filter(pk=agent.pk).update(name=evil)
    workflow = make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(action_type=evil)
    User.objects.filter(pk=approver.pk).update(name=evil)
    sweeping.sweep()
    for by in ("agent", "actionType", "approver"):
        names = [row[0] for row in rows(approver, f"?by={by}")]
        assert f"'{evil}" in names
        assert evil not in names


@pytest.mark.parametrize("by", ["day", "agent", "actionType", "channel", "approver", "nonsense"])
def test_every_line_of_a_table_has_all_its_columns(
    decided: Workflow, approver: User, by: str
) -> None:
    table = rows(approver, f"?by={by}&days=7")
    assert {len(line) for line in table} == {len(table[0])}
    assert len(table) > 1


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({}, "2026-10-25", "2026-11-23"),
        ({"days": "7"}, "2026-11-17", "2026-11-23"),
        ({"since": dt.date(2026, 11, 1)}, "2026-11-01", "2026-11-23"),
        ({"until": dt.date(2026, 11, 1)}, "2026-10-03", "2026-11-01"),
        ({"since": dt.date(2020, 1, 1)}, "2025-11-23", "2026-11-23"),
        ({"since": dt.date(2026, 3, 1), "until": dt.date(2026, 2, 1)}, "2026-02-01", "2026-02-01"),
        ({"since": dt.date(2030, 1, 1)}, "2030-01-01", "2030-01-01"),
        ({"until": dt.date.min}, "0001-01-01", "0001-01-01"),
        ({"until": dt.date.max, "since": dt.date.max}, "9999-12-31", "9999-12-31"),
    ],
)
def test_the_period_is_what_was_chosen_and_never_longer_than_a_year(
    query: dict[str, Any], first: str, last: str
) -> None:
    found = InsightFilters(**query).period(TODAY)
    assert tuple(map(str, found)) == (first, last)


def test_the_longest_period_is_drawn_by_weeks(approver: User, decided: Workflow) -> None:
    since = timezone.now().date() - dt.timedelta(days=365)
    page = text(logged_in(approver).get(f"/insights/?since={since}"))
    assert "Requests by week" in page
    assert page.count('class="plot-touch"') == 53


def test_bars_stand_on_each_other_and_reach_no_higher_than_the_plot() -> None:
    numbers = Numbers(approved=3, rejected=2, rule_approved=1, pending=7)
    plot = plots.stacked({TODAY: numbers, TODAY + dt.timedelta(days=1): Numbers()})
    full, empty = plot.bars
    assert (plot.top, full.total, empty.blocks) == (20, 13, [])
    assert sum(block.height for block in full.blocks) == pytest.approx(160 * 13 / 20, abs=0.1)
    for lower, upper in zip(full.blocks, full.blocks[1:], strict=False):
        assert upper.y + upper.height == pytest.approx(lower.y, abs=0.02)
    assert [series.name for series in plot.series] == ["approved", "rejected", "rule", "pending"]


@pytest.mark.parametrize(
    ("number", "top"), [(0, 2), (1, 2), (2, 2), (3, 5), (6, 10), (11, 20), (999_999, 1_000_000)]
)
def test_the_scale_ends_with_a_round_number(number: int, top: int) -> None:
    assert plots.ceiling(number) == top


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        (0, "under 10 s"), (1, "10 to 30 s"), (2, "30 s to 1 min"), (3, "1 to 2 min"),
        (6, "10 to 30 min"), (8, "1 to 2 h"), (11, "8 h to 1 day"), (12, "1 to 2 days"),
        (13, "2 to 7 days"), (14, "over 7 days"),
    ],
)  # fmt: skip
def test_durations_are_told_as_people_say_them(bucket: int, said: str) -> None:
    counts = [0] * (len(BOUNDS) + 1)
    counts[bucket] = 1
    assert tags.reach(Spread(0, tuple(counts)).buckets[bucket]) == said


@pytest.mark.parametrize("path", ["/insights/", "/insights/table.csv"])
def test_it_is_for_people_who_are_logged_in_and_only_read(approver: User, path: str) -> None:
    assert Client().get(path).status_code == 302
    assert logged_in(approver).post(path).status_code == 405


def test_somebody_without_a_team_gets_an_empty_page(db: None) -> None:
    lonely = User.objects.create_user("lonely@example.com", "x")
    assert "No numbers yet" in seen(lonely)


def test_the_page_takes_few_queries(
    decided: Workflow, manager: User, django_assert_max_num_queries: Any
) -> None:
    client = logged_in(manager)
    watch.alarms()  # looked at once in a few seconds, whoever asks
    with django_assert_max_num_queries(15):  # one of them asks whether a backup was restored
        client.get("/insights/")
