"""The feed: every event once, each workflow in order, whatever order transactions commit in."""

import contextlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction

from events import feed, services
from events.feed import START, Position
from events.models import Event, EventStream, FeedEpoch
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.actor import SYSTEM
from tests.accounts.factories import AgentFactory, TeamFactory
from tests.racing import ROUNDS, race
from tests.workflows.factories import decide, make_workflow
from workflows.models import Workflow

# A reader never sees events of a transaction that is still open, its own test's included.
committing = pytest.mark.django_db(transaction=True)


@transaction.atomic
def note(workflow_id: UUID) -> Event:
    return services.record(
        EventType.HUMAN_VIEWED, workflow_id=workflow_id, actor=SYSTEM, source=Source.SYSTEM
    )


def follow(team_id: UUID, after: Position = START, limit: int = 3) -> Iterator[Event]:
    """Everything there is now, in small pages."""
    while page := feed.read(after, limit=limit, teams=[team_id]):
        yield from page
        after = Position.of(page[-1])


@contextmanager
def held_open() -> Iterator[None]:
    """A transaction elsewhere that has written something and does not end before the block."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            begun.set()
            over.wait(30)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(10)
    try:
        yield
    finally:
        over.set()
        thread.join(10)


@committing
def test_pages_give_every_event_of_the_team_once_and_in_order(agent: Agent, approver: User) -> None:
    workflows = [make_workflow(agent) for _ in range(3)]
    for workflow in workflows:
        decide(workflow, approver)

    found = list(follow(agent.team_id))
    assert sorted(event.pk for event in found) == sorted(Event.objects.values_list("pk", flat=True))
    for workflow in workflows:
        numbers = [event.seq for event in found if event.workflow_id == workflow.pk]
        assert numbers == list(range(1, len(numbers) + 1))


@committing
def test_another_teams_events_are_not_in_it(agent: Agent) -> None:
    mine = make_workflow(agent)
    theirs = AgentFactory(team=TeamFactory(slug="others"))

    assert {event.workflow_id for event in follow(agent.team_id)} == {mine.pk}
    assert feed.read(START, limit=10, teams=[theirs.team_id]) == []
    assert feed.newest([theirs.team_id]) == START


@committing
def test_newest_is_behind_all_there_is(agent: Agent) -> None:
    workflow = make_workflow(agent)
    news = feed.newest([agent.team_id])
    assert feed.read(news, limit=10, teams=[agent.team_id]) == []

    last = note(workflow.pk)
    assert feed.read(news, limit=10, teams=[agent.team_id]) == [last]


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "01-2", "1-2-3", "1-2 ", "١-٢", "1_0-2", "9" * 19 + "-1", "a-b"]  # noqa: RUF001  # digits of another script
)  # fmt: skip
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        Position.parse(text)


def test_positions_survive_writing() -> None:
    assert Position.parse(str(Position(12, 34))) == Position(12, 34)


class TestOnPostgres:
    pytestmark = [pytest.mark.postgres, committing]

    def test_reader_stops_short_of_a_transaction_that_is_still_open(self, agent: Agent) -> None:
        before = make_workflow(agent)
        with held_open():
            after = make_workflow(agent)
            assert {event.workflow_id for event in follow(agent.team_id)} == {before.pk}

        found = {event.workflow_id for event in follow(agent.team_id)}
        assert found == {before.pk, after.pk}

    def test_reader_never_sees_what_its_own_transaction_may_take_back(self, agent: Agent) -> None:
        workflow = make_workflow(agent)
        news = feed.newest([agent.team_id])
        with transaction.atomic():
            note(workflow.pk)
            with held_open():
                pass  # a later transaction has ended: by its number alone ours would look settled
            assert feed.read(news, limit=10, teams=[agent.team_id]) == []
        assert len(feed.read(news, limit=10, teams=[agent.team_id])) == 1

    def test_transaction_in_another_database_holds_nobody_up(self, agent: Agent) -> None:
        elsewhere = psycopg.connect(**connection.get_connection_params() | {"dbname": "postgres"})
        with contextlib.closing(elsewhere), elsewhere.transaction():
            elsewhere.execute("SELECT pg_current_xact_id()")
            workflow = make_workflow(agent)
            assert {event.workflow_id for event in follow(agent.team_id)} == {workflow.pk}

    def test_event_that_commits_last_with_the_lowest_id_is_not_missed(self, agent: Agent) -> None:
        slow, quick = make_workflow(agent), make_workflow(agent)
        cursor = feed.newest([agent.team_id])
        written, may_commit = threading.Event(), threading.Event()

        def write_slowly() -> None:
            with transaction.atomic():
                note(slow.pk)
                written.set()
                may_commit.wait(10)
            connection.close()

        thread = threading.Thread(target=write_slowly)
        thread.start()
        written.wait(10)
        note(quick.pk)
        seen = list(follow(agent.team_id, cursor))
        if seen:
            cursor = Position.of(seen[-1])
        may_commit.set()
        thread.join(10)

        seen += follow(agent.team_id, cursor)
        assert [event.workflow_id for event in seen] == [slow.pk, quick.pk]

    def test_older_transaction_that_writes_later_keeps_the_workflows_order(
        self, agent: Agent
    ) -> None:
        workflow = make_workflow(agent)
        begun, may_go_on = threading.Event(), threading.Event()

        def begin_first_write_second() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
                begun.set()
                may_go_on.wait(10)
                note(workflow.pk)
            connection.close()

        thread = threading.Thread(target=begin_first_write_second)
        thread.start()
        begun.wait(10)
        note(workflow.pk)
        may_go_on.set()
        thread.join(10)

        assert [event.seq for event in follow(agent.team_id)] == [1, 2, 3]

    def test_followers_among_writers_miss_nothing_and_see_nothing_twice(self, agent: Agent) -> None:
        workflows = [make_workflow(agent).pk for _ in range(4)]
        over = threading.Event()
        seen: list[Event] = []

        def read() -> None:
            position, is_last = START, False
            while not is_last:
                is_last = over.is_set()
                while page := feed.read(position, limit=5, teams=[agent.team_id]):
                    seen.extend(page)
                    position = Position.of(page[-1])
            connection.close()

        def write(seed: int) -> None:
            dice = random.Random(seed)
            for _ in range(ROUNDS):
                with transaction.atomic(), connection.cursor() as cursor:
                    if dice.random() < 0.5:  # old by the time it writes
                        cursor.execute("SELECT pg_current_xact_id()")
                        cursor.execute("SELECT pg_sleep(%s)", [dice.random() / 50])
                    note(dice.choice(workflows))
                    if dice.random() < 0.2:
                        transaction.set_rollback(True)

        reader = threading.Thread(target=read)
        reader.start()
        race(*(lambda seed=seed: write(seed) for seed in range(4)))
        over.set()
        reader.join(30)

        assert len(seen) == len({event.pk for event in seen}) == Event.objects.count()
        for workflow in workflows:
            numbers = [event.seq for event in seen if event.workflow_id == workflow]
            assert numbers == list(range(1, len(numbers) + 1))

    def test_restored_database_goes_on_above_what_is_on_record(self, agent: Agent) -> None:
        workflow = make_workflow(agent)
        _as_if_restored(workflow, ahead=1_000_000)
        assert list(follow(agent.team_id)) == []  # beyond the horizon: that is the trouble

        raised = feed.mend_epoch()
        cursor = feed.newest([agent.team_id])
        last = note(workflow.pk)

        assert raised > 900_000
        assert feed.mend_epoch() == 0
        assert len(list(follow(agent.team_id))) == last.seq
        assert list(follow(agent.team_id, cursor)) == [last]

    def test_two_that_mend_at_once_raise_it_once(self, agent: Agent) -> None:
        _as_if_restored(make_workflow(agent), ahead=1_000_000)
        raised = race(feed.mend_epoch, feed.mend_epoch)
        assert sorted(raised)[0] == 0
        assert FeedEpoch.objects.get().shift == sum(raised)


def _as_if_restored(workflow: Workflow, *, ahead: int) -> None:
    """The rows as another cluster numbered them, which had seen many more transactions."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        Event.objects.update(xid=ahead)
        EventStream.objects.filter(pk=workflow.pk).update(last_xid=ahead)
