"""The sweep of deadlines: many at once come to exactly what one by one would have come to."""

import datetime as dt
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
from celery import current_app
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries.models import Delivery
from events import live
from events import services as events
from events.models import Event, EventStream, WebhookMessage
from hitl.accounts.models import Agent, User
from hitl.lib.sweeps import each
from tests.deliveries.factories import make_message
from tests.events.webhooks.hooks import make_hook
from tests.workflows.factories import (
    ActionTypeFactory,
    ask_again,
    decide,
    make_overdue,
    make_workflow,
)
from workflows import deadlines, pace, selectors, services
from workflows.models import Status, Workflow

pytestmark = pytest.mark.django_db

CHANNELS = ("email", "slack", "telegram", "sms")
SENTENCE = "has timed out"
HOUR = dt.timedelta(hours=1)


class Undone(Exception):
    """Let the transaction be rolled back."""


@contextmanager
def undone() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
            raise Undone
    except Undone:
        pass


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What listeners are told."""
    found: list[dict[str, Any]] = []

    class Layer:
        async def group_send(self, _group: str, message: dict[str, Any]) -> None:
            found.extend(live.hints_in(message))

    monkeypatch.setattr(live, "get_channel_layer", Layer)
    yield found
    current_app.control.purge()  # workers were rung for: no other test is to find that


# --- The same as one by one ----------------------------------------------------------------------


def some_delivery(workflow: Workflow, dice: random.Random, number: int) -> Delivery:
    """A message in some state, also in such as no life of a request would bring about."""
    now = timezone.now() - dt.timedelta(minutes=5)
    status = dice.choice(Delivery.Status.values)
    is_sent = status in ("sent", "delivered") or dice.random() < 0.2
    return Delivery(
        workflow=workflow,
        team=workflow.team,
        round=workflow.round,
        kind=dice.choice(Delivery.Kind.values),
        channel=dice.choice(CHANNELS),
        recipient=f"somebody-{number}",
        message=make_message().as_dict(),
        status=status,
        max_attempts=8,
        next_retry_at=now if status == "pending" else None,
        claimed_at=dice.choice((None, now)),
        sent_at=now if is_sent else None,
        outcome=dice.choice(("", "", "The first stage has agreed.")),
        update_due_at=dice.choice((None, now)),
        update_attempts=dice.randrange(3),
    )


def some_request(agent: Agent, approver: User, dice: random.Random) -> Workflow:
    """A request that is overdue, most of the time, with some of a life behind it."""
    kind = dice.choice(("plain", "plain", "quiet", "held"))
    row = make_workflow(
        agent,
        action_type=f"{kind}.type",
        action_data={"amount": dice.randrange(9), "note": dice.choice(("ü\U0001f600", 'say "no"'))},
        ui_schema=None,
    )
    if dice.random() < 0.3:
        services.mark_viewed(row.pk, user=approver, source="dashboard")
    if dice.random() < 0.2:
        row = ask_again(row, approver)
    made = [some_delivery(row, dice, number) for number in range(dice.randrange(5))]
    Delivery.objects.bulk_create(made)
    if dice.random() < 0.3:  # the log is ahead of the row, as after a message went out
        events.record("approval.sent.email", workflow_id=row.pk, actor=agent.actor, source="system")
    if dice.random() < 0.1:
        decide(row, approver, "rejected", round=row.round)
    past = timezone.now() - dt.timedelta(minutes=dice.randrange(5))
    if dice.random() < 0.8:
        Workflow.objects.filter(pk=row.pk).update(expires_at=past)
    return row


def told(since: dt.datetime, queued: list[Any]) -> dict[str, Any]:
    """Everything that stands in the tables now, without ids and times of what is new, and what is
    to happen after the commit."""
    models: tuple[Any, ...] = (Workflow, Event, EventStream, Delivery, WebhookMessage)
    tables = {
        model.__name__: sorted((_plain(row, since) for row in model.objects.values()), key=str)
        for model in models
    }
    for _, after, *_ in queued:
        after()
    return tables


NEW = ("hash", "head_hash", "previous_hash", "xid", "last_xid", "id", "updated_at", "event_id")


def _plain(row: dict[str, Any], since: dt.datetime) -> dict[str, Any]:
    found = dict(row)
    if "event_id" in row:  # a message to the outside
        found["body"] = "…".join(row["body"].partition('"event":')[2].split('"hash"')[:1])
    kept = ("id",) if "recipient" in row else ()  # deliveries stay, and which they are matters
    return {
        name: _timeless(value, since)
        for name, value in found.items()
        if name not in NEW or name in kept
    }


def _timeless(value: Any, since: dt.datetime) -> Any:
    """The same without the moment at which the sweep took place."""
    if isinstance(value, dict):
        return {name: _timeless(each, since) for name, each in value.items()}
    if isinstance(value, str) and "T" in value[10:11]:
        with suppress(ValueError):
            value = dt.datetime.fromisoformat(value)
    return "now" if isinstance(value, dt.datetime) and since <= value < since + HOUR else value


@pytest.mark.parametrize("seed", range(4))
def test_many_at_once_is_the_same_as_one_by_one(
    agent: Agent, approver: User, hints: list[dict[str, Any]], seed: int
) -> None:
    dice = random.Random(seed)
    ActionTypeFactory(
        team=agent.team, name="quiet.type", timeout_action="approve", risk="low",
        allow_timeout_approval=True,
    )  # fmt: skip
    ActionTypeFactory(team=agent.team, name="held.type", timeout_action="hold")
    make_hook(agent.team, "https://example.com/hook", events=["workflow.*"])
    make_hook(agent.team, "https://example.com/other", events=["human.viewed"])
    for _ in range(10):
        some_request(agent, approver, dice)
    ids = [*Workflow.objects.values_list("pk", flat=True)]
    since = timezone.now()

    def play(act: Callable[[], object]) -> tuple[dict[str, Any], list[str]]:
        before = len(connection.run_on_commit)
        with undone():
            act()
            tables = told(since, connection.run_on_commit[before:])
        heard = sorted(f"{each['workflow_id']} {each['seq']} {each['status']}" for each in hints)
        hints.clear()
        return tables, heard

    one_by_one = play(lambda: each(ids, services.time_out))
    at_once = play(lambda: deadlines.sweep(batch=5))

    assert at_once == one_by_one
    assert any(row["status"] == Status.TIMEOUT for row in at_once[0]["Workflow"])
    assert any(row["status"] == Status.PENDING for row in at_once[0]["Workflow"])
    assert at_once[1]


def test_every_message_is_closed_as_its_state_wants(agent: Agent, approver: User) -> None:
    dice = random.Random(7)
    for _ in range(4):
        workflow = make_overdue(agent)
        made = [some_delivery(workflow, dice, number) for number in range(30)]
        Delivery.objects.bulk_create(made)
    before = {row.pk: row for row in Delivery.objects.all()}

    assert deadlines.sweep() == 4

    for row in Delivery.objects.all():
        was = before[row.pk]
        asks = was.kind != Delivery.Kind.OUTCOME
        gone = was.status in ("pending", "cancelled") and not (was.claimed_at or was.sent_at)
        drawn = asks and not gone and row.channel in ("slack", "telegram")
        assert row.status == ("cancelled" if asks and was.status == "pending" else was.status)
        assert (SENTENCE in row.outcome) == (asks and not gone)
        assert (row.update_due_at != was.update_due_at) == drawn
        assert row.update_attempts == (0 if drawn else was.update_attempts)


def test_logs_can_be_verified_afterwards(agent: Agent, approver: User) -> None:
    rows = [make_overdue(agent) for _ in range(3)]
    deadlines.sweep()
    for row in rows:
        first, second = Event.objects.filter(workflow=row).order_by("seq")
        assert (second.seq, second.previous_hash) == (2, first.hash)
        assert events.digest(second) == second.hash
        stream = EventStream.objects.get(pk=row.pk)
        assert (stream.last_seq, stream.head_hash) == (2, second.hash)
        assert Workflow.objects.get(pk=row.pk).event_seq == 2


# --- When something is in the way ----------------------------------------------------------------


def spoil(workflow: Workflow) -> None:
    """Let the number of its next event be taken."""
    EventStream.objects.filter(pk=workflow.pk).update(last_seq=0)


def statuses(rows: list[Workflow]) -> list[str]:
    found = dict(Workflow.objects.values_list("pk", "status"))
    return [found[row.pk] for row in rows]


def test_one_bad_row_keeps_no_other_waiting(
    agent: Agent, approver: User, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [make_overdue(agent) for _ in range(7)]
    spoil(rows[0])
    spoil(rows[4])

    assert deadlines.sweep(batch=3) == 5

    expected = ["PENDING", *["TIMEOUT"] * 3, "PENDING", *["TIMEOUT"] * 2]
    assert statuses(rows) == expected
    assert caplog.text.count("sweep failed for one row") == 2
    assert Event.objects.filter(type="workflow.timeout").count() == 5


def test_other_silences_are_judged_one_by_one(agent: Agent, approver: User) -> None:
    ActionTypeFactory(team=agent.team, name="payments.refund", timeout_action="hold")
    held, plain = make_overdue(agent), make_overdue(agent, action_type="other")
    assert deadlines.sweep() == 2
    held.refresh_from_db()
    assert held.held_at
    assert statuses([held, plain]) == [Status.PENDING, Status.TIMEOUT]


def test_a_sweep_that_may_not_take_longer_leaves_the_rest(agent: Agent, approver: User) -> None:
    rows = [make_overdue(agent) for _ in range(2)]
    assert deadlines.sweep(seconds=0) == 0
    assert deadlines.sweep() == 2
    assert statuses(rows) == [Status.TIMEOUT] * 2


def test_statements_do_not_grow_with_the_requests(agent: Agent, approver: User) -> None:
    def statements(number: int) -> int:
        for _ in range(number):
            make_overdue(agent)
        with CaptureQueriesContext(connection) as asked:
            assert len(pace.time_out_many(limit=100)) == number
        return len(asked)

    assert statements(20) == statements(2)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_what_is_busy_is_left_for_the_next_sweep(agent: Agent, approver: User) -> None:
    rows = [make_overdue(agent) for _ in range(3)]
    is_held, may_end = threading.Event(), threading.Event()

    def hold(workflow_id: UUID) -> None:
        with transaction.atomic():
            events.lock_stream(workflow_id)  # as who notes that a message went out
            is_held.set()
            may_end.wait(10)
        connection.close()

    holder = threading.Thread(target=hold, args=[rows[1].pk])
    holder.start()
    is_held.wait(10)
    try:
        assert deadlines.sweep() == 2
        assert statuses(rows) == ["TIMEOUT", "PENDING", "TIMEOUT"]
    finally:
        may_end.set()
        holder.join()
    assert deadlines.sweep() == 1


@pytest.mark.postgres
def test_what_is_due_is_found_by_its_index(agent: Agent) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = selectors.silence_rejects(timezone.now())[:500].explain()
    # Both hold nothing but open requests, by their deadline; on a table this small either will do.
    assert "workflow_timeout_due" in plan or "workflow_waiting" in plan
    assert "Sort" not in plan
