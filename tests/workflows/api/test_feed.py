"""`GET /api/v1/events`: everything once, for the caller's team only, from any cursor."""

from typing import Any

import pytest

from hitl.accounts.models import Agent, User
from tests.accounts.factories import AgentFactory, TeamFactory
from tests.workflows.api.callers import Caller, as_agent, as_user, code
from tests.workflows.factories import decide, make_workflow

# A reader never sees events of a transaction that is still open, its own test's included.
pytestmark = pytest.mark.django_db(transaction=True)
FEED = "/api/v1/events"


def follow(caller: Caller, **params: Any) -> list[dict[str, Any]]:
    """Everything there is, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = caller.get(FEED, params | cursor).json()
        if not page["items"]:
            return found
        found += page["items"]
        cursor = {"after": page["next"]}


def test_pages_tell_every_life_in_order(bot: Caller, agent: Agent, approver: User) -> None:
    for _ in range(3):
        decide(make_workflow(agent), approver)

    found = follow(bot, limit=2)
    assert len({event["cursor"] for event in found}) == len(found)
    for one in {event["workflowId"] for event in found}:
        told = bot.get(f"/api/v1/workflows/{one}/events").json()["items"]
        assert [event["hash"] for event in found if event["workflowId"] == one] == [
            event["hash"] for event in told
        ]


def test_an_empty_page_keeps_the_place(bot: Caller, agent: Agent) -> None:
    make_workflow(agent)
    end = bot.get(FEED).json()["next"]
    again = bot.get(FEED, {"after": end}).json()
    assert again == {"items": [], "next": end}

    later = make_workflow(agent)
    news = bot.get(FEED, {"after": end}).json()["items"]
    assert [event["workflowId"] for event in news] == [str(later.pk)]


def test_latest_gives_the_cursor_for_news(bot: Caller, agent: Agent) -> None:
    make_workflow(agent)
    start = bot.get(FEED, {"after": "latest"}).json()
    later = make_workflow(agent)

    assert start["items"] == []
    news = bot.get(FEED, {"after": start["next"]}).json()["items"]
    assert [event["workflowId"] for event in news] == [str(later.pk)]


def test_every_event_is_a_cursor(bot: Caller, agent: Agent, approver: User) -> None:
    decide(make_workflow(agent), approver)
    found = follow(bot)
    for place, event in enumerate(found):
        rest = bot.get(FEED, {"after": event["cursor"]}).json()["items"]
        assert rest == found[place + 1 :]


def test_filters_leave_out_the_rest(bot: Caller, agent: Agent, approver: User) -> None:
    mine, other = make_workflow(agent), make_workflow(agent)
    decide(mine, approver)

    created = follow(bot, type="workflow.created")
    assert {event["workflowId"] for event in created} == {str(mine.pk), str(other.pk)}
    answered = follow(bot, workflowId=str(mine.pk), type=["human.responded", "workflow.created"])
    assert [event["type"] for event in answered] == ["workflow.created", "human.responded"]


def test_filtered_follower_is_moved_past_what_is_not_for_it(bot: Caller, agent: Agent) -> None:
    make_workflow(agent)
    page = bot.get(FEED, {"type": "workflow.timeout"}).json()
    assert page == {"items": [], "next": bot.get(FEED, {"after": "latest"}).json()["next"]}


def test_people_read_the_feed_of_their_teams(agent: Agent, approver: User, stranger: User) -> None:
    workflow = make_workflow(agent)
    assert {event["workflowId"] for event in follow(as_user(approver))} == {str(workflow.pk)}
    assert follow(as_user(stranger)) == []


def test_other_teams_stay_unseen(bot: Caller, agent: Agent) -> None:
    workflow = make_workflow(agent)
    theirs = as_agent(AgentFactory(team=TeamFactory(slug="others")))

    cursor = bot.get(FEED).json()["items"][0]["cursor"]
    assert follow(theirs) == []
    assert follow(theirs, workflowId=str(workflow.pk)) == []
    assert theirs.get(FEED, {"after": cursor}).json()["items"] == []
    assert theirs.get(FEED, {"after": "latest"}).json()["next"] == "0-0"


@pytest.mark.parametrize("cursor", ["", "7", "-1-2", "1-2-3", "last", "9" * 40 + "-1"])
def test_what_is_no_cursor_is_named(bot: Caller, cursor: str) -> None:
    answer = bot.get(FEED, {"after": cursor})
    assert code(answer) == (400, "validation")
    assert answer.json()["errors"][0]["pointer"] == "?after"


def test_key_without_the_scope_reads_nothing(agent: Agent) -> None:
    assert code(as_agent(agent, "execute").get(FEED)) == (403, "forbidden")
    assert code(Caller().get(FEED)) == (401, "unauthenticated")
