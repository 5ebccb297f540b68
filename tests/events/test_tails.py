"""Followers get every event once and in order, whatever gets lost on the way to them."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import connection, connections, transaction

from events import feed, live, services, tails
from events.feed import START, Position
from events.hub import get_hub
from events.models import Event
from events.tails import EVERYTHING, Follower, Tails, Wanted
from events.types import EventType, Source
from hitl.accounts.models import Agent
from hitl.lib.actor import SYSTEM
from hitl.lib.layers import EmbeddedChannelLayer
from tests.accounts.factories import AgentFactory, TeamFactory
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db(transaction=True)


@transaction.atomic
def _note(workflow_id: UUID) -> Event:
    return services.record(
        EventType.HUMAN_VIEWED, workflow_id=workflow_id, actor=SYSTEM, source=Source.SYSTEM
    )


note = sync_to_async(_note)
make = sync_to_async(make_workflow)


@pytest.fixture
async def followed() -> AsyncIterator[Tails]:
    """Tails of this test's loop, on the layer that the settings name."""
    EmbeddedChannelLayer.home = asyncio.get_running_loop()
    yield Tails()
    await get_hub().close()
    await get_channel_layer().flush()
    EmbeddedChannelLayer.home = None
    await sync_to_async(connections.close_all)()  # those of the thread that did the work


class Listener:
    """Collects what one follower hears."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.seen: list[Event] = []

    async def hear(self, count: int, seconds: float = 20) -> list[Event]:
        """Everything heard, once it is so many."""
        async with asyncio.timeout(seconds):
            while len(self.seen) < count:
                self.seen += [entry.event for entry in await self._follower.next()]
        return self.seen


@contextlib.asynccontextmanager
async def follower(
    followed: Tails, *teams: UUID, after: Position | None = None, wanted: Wanted = EVERYTHING
) -> AsyncIterator[Listener]:
    async with followed.follow(teams, after, wanted) as found:
        yield Listener(found)


async def test_news_arrive_once_and_in_order(followed: Tails, agent: Agent) -> None:
    old = await make(agent)
    async with follower(followed, agent.team_id) as ann:
        sent = [await note(old.pk) for _ in range(3)]
        assert await ann.hear(3) == sent


async def test_cursor_gives_the_past_before_the_news(followed: Tails, agent: Agent) -> None:
    workflow = await make(agent)
    async with follower(followed, agent.team_id, after=START) as ann:
        await ann.hear(1)
        last = await note(workflow.pk)
        heard = await ann.hear(2)
    assert [event.seq for event in heard] == [1, last.seq]


async def test_followers_with_other_cursors_hear_the_rest(
    followed: Tails, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "PAGE", 2)
    workflow = await make(agent)
    for _ in range(4):
        await note(workflow.pk)
    past = await sync_to_async(lambda: list(Event.objects.order_by("id")))()
    async with contextlib.AsyncExitStack() as stack:
        everybody = [
            await stack.enter_async_context(
                follower(followed, agent.team_id, after=Position.of(event))
            )
            for event in past
        ]
        for _ in range(4):
            await note(workflow.pk)
        heard = [
            await each.hear(9 - event.seq) for event, each in zip(past, everybody, strict=True)
        ]
    assert [[event.seq for event in each] for each in heard] == [
        list(range(event.seq + 1, 10)) for event in past
    ]


@pytest.mark.parametrize("page", [1, 2, 200])
async def test_what_is_not_wanted_is_passed_by(
    followed: Tails, agent: Agent, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """In the past and among the news alike; the cursor moves on with it."""
    monkeypatch.setattr(tails, "PAGE", page)
    mine, other = await make(agent), await make(agent)
    for workflow in (other, mine, other):
        await note(workflow.pk)
    wanted = Wanted(frozenset({"human.viewed"}), mine.pk)
    async with followed.follow([agent.team_id], START, wanted) as found:
        ann = Listener(found)
        await ann.hear(1)
        for workflow in (other, mine, other):
            last = await note(workflow.pk)
        assert [event.seq for event in await ann.hear(2)] == [2, 3]
        assert {event.workflow_id for event in ann.seen} == {mine.pk}
        async with asyncio.timeout(20):
            while found.position < Position.of(last):
                assert await found.next_within(0.1) == []


async def test_giving_up_waiting_loses_nothing(followed: Tails, agent: Agent) -> None:
    workflow = await make(agent)
    async with followed.follow([agent.team_id], None) as found:
        assert await found.next_within(0.05) == []
        sent = [await note(workflow.pk) for _ in range(3)]
        heard: list[Event] = []
        async with asyncio.timeout(20):
            while len(heard) < 3:
                heard += [entry.event for entry in await found.next_within(0.001)]
    assert heard == sent


async def test_slow_follower_catches_up_from_the_log(
    followed: Tails, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "QUEUE_SIZE", 2)
    workflow = await make(agent)
    async with follower(followed, agent.team_id) as slow, follower(followed, agent.team_id) as ann:
        for number in range(1, 9):
            await note(workflow.pk)
            await ann.hear(number)  # so that each event is a page of its own
        numbers = [event.seq for event in await slow.hear(8)]
    assert numbers == list(range(2, 10))


async def test_lost_hints_cost_time_only(
    followed: Tails, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "RECHECK_SECONDS", 0.1)
    workflow = await make(agent)
    async with follower(followed, agent.team_id) as ann:
        monkeypatch.setattr(live, "publish", lambda _: None)
        sent = await note(workflow.pk)
        assert await ann.hear(1) == [sent]


async def test_nobody_hears_another_team(followed: Tails, agent: Agent) -> None:
    theirs = await sync_to_async(lambda: AgentFactory(team=TeamFactory(slug="others")))()
    mine = await make(agent)
    async with (
        follower(followed, theirs.team_id) as stranger,
        follower(followed, agent.team_id) as ann,
    ):
        await note(mine.pk)
        await ann.hear(1)
        with pytest.raises(TimeoutError):
            await stranger.hear(1, seconds=0.3)


async def test_last_follower_stops_the_reading(followed: Tails, agent: Agent) -> None:
    async with follower(followed, agent.team_id):
        assert [task for task in asyncio.all_tasks() if task.get_name() == "feed-tail"]
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "feed-tail"]


async def test_database_that_fails_is_asked_again(
    followed: Tails, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await make(agent)
    async with follower(followed, agent.team_id) as ann:
        failures = iter([RuntimeError("gone"), RuntimeError("gone")])
        monkeypatch.setattr(feed, "read", _failing(feed.read, failures))
        sent = await note(workflow.pk)
        assert await ann.hear(1) == [sent]


def _failing(function: Callable[..., Any], failures: Any) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return function(*args, **options)

    return call


@pytest.mark.postgres
async def test_event_waits_for_older_transactions_and_then_comes_at_once(
    followed: Tails, agent: Agent
) -> None:
    workflow = await make(agent)
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            begun.set()
            over.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    async with follower(followed, agent.team_id) as ann:
        thread.start()
        await asyncio.to_thread(begun.wait, 10)
        sent = await note(workflow.pk)
        with pytest.raises(TimeoutError):
            await ann.hear(1, seconds=0.3)
        over.set()
        assert await ann.hear(1) == [sent]
    thread.join(10)
