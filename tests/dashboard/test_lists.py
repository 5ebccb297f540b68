"""Inbox and history: whose requests, in which order, found by what, in how many queries."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import selectors
from dashboard.filters import HistoryFilters, InboxFilters
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from tests.accounts.factories import AgentFactory
from tests.dashboard.browser import logged_in, text
from tests.dashboard.screens import words
from tests.workflows.factories import ActionTypeFactory, decide, make_overdue, make_workflow
from tests.workflows.test_ruling import rules, small
from workflows import services
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


def names(user: User, **filters: Any) -> list[str]:
    page = selectors.inbox(selectors.circle(user), InboxFilters(**filters))
    return [row.workflow.name for row in page.rows]


def due_in(workflow: Workflow, **delta: int) -> None:
    workflow.expires_at = timezone.now() + dt.timedelta(**delta)
    workflow.save(update_fields=["expires_at"])


def test_the_inbox_is_sorted_by_deadline_then_risk(
    approver: User, agent: Agent, team: Team
) -> None:
    ActionTypeFactory(team=team, name="risky", risk="high")
    ActionTypeFactory(team=team, name="harmless", risk="low")
    late = make_workflow(agent, name="late")
    harmless = make_workflow(agent, name="harmless", action_type="harmless", ui_schema=None)
    risky = make_workflow(agent, name="risky", action_type="risky", ui_schema=None)
    moment = timezone.now() + dt.timedelta(hours=1)
    Workflow.objects.filter(pk__in=[harmless.pk, risky.pk]).update(expires_at=moment)
    due_in(late, hours=2)
    assert names(approver) == ["risky", "harmless", "late"]


def test_pages_continue_where_the_last_one_ended(
    approver: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE", 2)
    rows = [make_workflow(agent, name=f"n{number}") for number in range(5)]
    moment = timezone.now() + dt.timedelta(hours=1)
    Workflow.objects.filter(pk__in=[row.pk for row in rows]).update(expires_at=moment)
    who, seen, after = selectors.circle(approver), [], None
    while True:
        page = selectors.inbox(who, InboxFilters(after=after))
        seen += [row.workflow.name for row in page.rows]
        after = page.next
        if after is None:
            break
    assert seen == ["n0", "n1", "n2", "n3", "n4"]


def test_mine_is_what_asks_me(approver: User, colleague: User, agent: Agent) -> None:
    make_workflow(agent, name="anybody")
    make_workflow(agent, name="me", approvers=[approver.email])
    make_workflow(agent, name="not me", approvers=[colleague.email])
    assert names(approver) == ["anybody", "me"]
    assert names(approver, show="all") == ["anybody", "me", "not me"]


def test_a_viewer_is_asked_nothing_but_sees_all(viewer: User, agent: Agent) -> None:
    make_workflow(agent, name="anybody")
    assert names(viewer) == []
    assert names(viewer, show="all") == ["anybody"]


def test_the_owner_of_the_agent_is_not_asked(approver: User, colleague: User, agent: Agent) -> None:
    agent.owner = approver
    agent.save()
    make_workflow(agent, name="own")
    assert names(approver) == []
    assert names(colleague) == ["own"]


def test_other_teams_do_not_exist(stranger: User, approver: User, agent: Agent) -> None:
    make_workflow(agent, name="secret")
    assert names(stranger, show="all") == []
    assert names(stranger, show="all", q="secret", agent=agent.pk, team="payments") == []
    history = selectors.history(selectors.circle(stranger), HistoryFilters())
    assert list(history.rows) == []


def test_decided_requests_leave_the_inbox_for_the_history(approver: User, agent: Agent) -> None:
    decide(make_workflow(agent, name="done"), approver)
    assert names(approver, show="all") == []
    rows = selectors.history(selectors.circle(approver), HistoryFilters(verdict="approved")).rows
    assert [row.name for row in rows] == ["done"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"q": "REFUND"}, True),
        ({"q": "payments.ref"}, True),
        ({"q": "refund-bot"}, True),
        ({"q": "nothing like it"}, False),
        ({"q": "%"}, False),
        ({"type": "payments.refund"}, True),
        ({"type": "payments"}, False),
        ({"risk": "medium"}, True),
        ({"risk": "high"}, False),
        ({"team": "payments"}, True),
        ({"team": "elsewhere"}, False),
    ],
)
def test_the_inbox_is_found_by(
    approver: User, agent: Agent, filters: dict[str, str], found: bool
) -> None:
    make_workflow(agent)
    assert bool(names(approver, **filters)) is found


def test_a_request_is_found_by_its_id(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    make_workflow(agent, name="another")
    assert names(approver, q=str(workflow.pk)) == [workflow.name]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"status": "APPROVED"}, True),
        ({"status": "PENDING"}, False),
        ({"verdict": "rejected"}, False),
        ({"since": timezone.now().date()}, True),
        ({"since": dt.date(2999, 1, 1)}, False),
        ({"until": dt.date(2000, 1, 1)}, False),
        ({"until": dt.date.max}, True),
    ],
)
def test_the_history_is_found_by(
    approver: User, agent: Agent, filters: dict[str, Any], found: bool
) -> None:
    decide(make_workflow(agent), approver)
    rows = selectors.history(selectors.circle(approver), HistoryFilters(**filters)).rows
    assert bool(rows) is found


def test_the_history_is_found_by_who_decided(
    approver: User, colleague: User, agent: Agent, team: Team
) -> None:
    rules(team, small(count=1))
    make_workflow(agent, name="rule's")
    decide(make_workflow(agent, name="Ann's"), approver)
    decide(make_workflow(agent, name="Carl's"), colleague, "rejected", comment="no")
    ActionTypeFactory(
        team=team, name="quiet", risk="low", allow_timeout_approval=True, timeout_action="approve"
    )
    services.time_out(make_overdue(agent, name="nobody's", action_type="quiet").pk)
    services.time_out(make_overdue(agent, name="late").pk)
    make_workflow(agent, name="open")

    def found(by: str) -> list[str]:
        filters = HistoryFilters.read(QueryDict(f"by={by}"))
        rows = selectors.history(selectors.circle(approver), filters).rows
        return [row.name for row in rows]

    assert found("me") == ["Ann's"]
    assert found(str(colleague.pk)) == ["Carl's"]
    assert found("rule") == ["rule's"]
    assert found("silence") == ["nobody's"]
    assert len(found("")) == len(found("nonsense")) == 6


def test_the_history_says_who_or_what_decided(approver: User, agent: Agent, team: Team) -> None:
    rules(team, small(count=1))
    make_workflow(agent)
    decide(make_workflow(agent), approver)
    page = words(text(logged_in(approver).get("/history/")))
    assert "Approved by a rule" in page
    assert "Approved by Ann Approver" in page
    assert "silence" not in page.replace("By silence", "")


def test_the_history_offers_the_people_of_my_teams(
    approver: User, colleague: User, agent: Agent, stranger: User
) -> None:
    decide(make_workflow(agent), colleague)
    page = text(logged_in(approver).get("/history/?by=me"))
    assert '<option value="me" selected>Decided by me</option>' in page
    assert "Carl Colleague" in page
    assert "Sue Stranger" not in page


def test_counts_of_no_team_are_nought(db: None) -> None:
    lonely = selectors.circle(User.objects.create_user("lonely@example.com", "x"))
    counted = selectors.counted(selectors.asking(lonely), selectors.waiting(lonely))
    assert [count.total for count in counted] == [0, 0]


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "workflow_newest"),
        ("by=me", "workflow_decided_by"),
        ("by=rule", "workflow_by_nobody"),
        ("by=silence", "workflow_by_nobody"),
    ],
)
def test_the_history_goes_by_an_index_in_its_order(
    approver: User, agent: Agent, query: str, index: str
) -> None:
    """Nothing is sorted, so that a page costs a page."""
    add_member(Team.objects.create(name="Far", slug="far"), approver, Role.VIEWER)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    with CaptureQueriesContext(connection) as captured:
        selectors.history(selectors.circle(approver), HistoryFilters.read(QueryDict(query)))
    listed = next(one["sql"] for one in captured if '"workflows_workflow"."name"' in one["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {listed}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan, plan
    assert "Sort" not in plan, plan


def test_counts_stop_counting(
    approver: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "COUNT_LIMIT", 2)
    for _ in range(4):
        make_workflow(agent)
    count = selectors.count(selectors.asking(selectors.circle(approver)))
    assert str(count) == "2+"


def test_overdue_and_held_requests_come_first_and_say_so(approver: User, agent: Agent) -> None:
    make_workflow(agent)
    make_overdue(agent, name="late", timeout_action="hold")
    page = text(logged_in(approver).get("/"))
    assert page.index("late") < page.index("Refund order A-1009")
    assert "Overdue" in page


def test_the_inbox_takes_few_queries(
    approver: User, colleague: User, agent: Agent, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_workflow(agent, name=f"n{number}", approvers=[approver.email, colleague.email])
    client = logged_in(approver)
    with django_assert_max_num_queries(9):
        page = text(client.get("/"))
    assert page.count("you and Carl Colleague") == 20


def test_the_tab_says_how_many_wait(approver: User, agent: Agent) -> None:
    make_workflow(agent)
    page = text(logged_in(approver).get("/"))
    assert "(1)" in page[: page.index("</title>")]


def test_the_row_tells_facts_from_the_data(approver: User, agent: Agent) -> None:
    make_workflow(agent, name="Nothing to see here")
    page = text(logged_in(approver).get("/fragments/inbox/"))
    assert "<dt>Amount</dt>" in page
    assert "<dd>120</dd>" in page


@pytest.mark.parametrize("path", ["/", "/?show=all", "/history/"])
def test_an_empty_list_teaches_the_first_request(approver: User, path: str) -> None:
    page = text(logged_in(approver).get(path))
    assert "/api/v1/workflows" in page
    assert "data-copy-from" in page


def test_an_empty_inbox_tells_what_asks_others(
    approver: User, colleague: User, agent: Agent
) -> None:
    make_workflow(agent, approvers=[colleague.email])
    assert "Nothing waits for you" in text(logged_in(approver).get("/"))


def test_a_search_without_result_offers_the_way_back(approver: User, agent: Agent) -> None:
    make_workflow(agent)
    page = text(logged_in(approver).get("/?q=zzz"))
    assert "Nothing matches" in page
    assert "Clear the filters" in page


def test_somebody_without_a_team_learns_what_is_missing(db: None) -> None:
    lonely = User.objects.create_user("lonely@example.com", "x")
    assert "You are in no team yet" in text(logged_in(lonely).get("/"))


def test_filters_offer_only_what_my_teams_have(approver: User, agent: Agent) -> None:
    foreign = AgentFactory(name="foreign-bot")
    page = text(logged_in(approver).get("/history/"))
    assert agent.name in page
    assert foreign.name not in page


def test_in_several_teams_each_row_names_its_team(
    approver: User, agent: Agent, stranger: User
) -> None:
    add_member(Team.objects.get(slug="elsewhere"), approver, Role.VIEWER)
    make_workflow(agent)
    assert "Elsewhere" in text(logged_in(approver).get("/"))


@pytest.mark.parametrize("path", ["/", "/history/", "/fragments/inbox/"])
def test_strangers_to_the_server_are_sent_to_the_login(db: None, path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={path}"


@pytest.mark.parametrize("path", ["/", "/history/", "/fragments/inbox/"])
def test_lists_are_only_read(approver: User, path: str) -> None:
    assert logged_in(approver).post(path).status_code == 405
