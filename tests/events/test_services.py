"""The log: gapless, in order, chained, and never without its transaction."""

import datetime as dt
from typing import Any

import pytest

from events import services
from events.models import Event, EventStream
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.actor import SYSTEM
from hitl.lib.db import TransactionRequired, database_now
from tests.workflows.factories import decide, make_workflow
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


def note(workflow: Workflow, **changes: Any) -> Event:
    """One more event that changes nothing."""
    return services.record(
        EventType.HUMAN_VIEWED, workflow_id=workflow.pk, actor=SYSTEM, source=Source.SYSTEM,
        **changes,
    )  # fmt: skip


def test_numbers_have_no_gaps_and_hashes_chain(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    for _ in range(5):
        note(workflow)
    decide(workflow, approver)

    events = list(Event.objects.filter(workflow=workflow).order_by("seq"))
    assert [event.seq for event in events] == list(range(1, 8))
    assert [event.previous_hash for event in events] == ["", *(e.hash for e in events[:-1])]
    assert all(services.digest(event) == event.hash for event in events)


def test_stream_remembers_the_head(agent: Agent) -> None:
    workflow = make_workflow(agent)
    last = note(workflow)

    stream = EventStream.objects.get(pk=workflow.pk)
    assert (stream.last_seq, stream.head_hash) == (last.seq, last.hash)


def test_time_never_runs_backwards_within_a_workflow(agent: Agent) -> None:
    workflow = make_workflow(agent)
    ahead = note(workflow, now=database_now() + dt.timedelta(hours=1))

    assert note(workflow).timestamp == ahead.timestamp


def test_event_without_a_snapshot_repeats_the_state(agent: Agent) -> None:
    workflow = make_workflow(agent)

    assert note(workflow).state_snapshot["status"] == "PENDING"


@pytest.mark.parametrize("field", ["data", "actor", "type", "timestamp", "state_snapshot"])
def test_any_change_of_an_event_breaks_its_hash(agent: Agent, field: str) -> None:
    event = note(make_workflow(agent))
    other = {"timestamp": event.timestamp + dt.timedelta(microseconds=1), "type": "human.viewedx"}

    setattr(event, field, other.get(field, {"changed": True}))

    assert services.digest(event) != event.hash


@pytest.mark.django_db(transaction=True)
def test_record_needs_a_transaction(agent: Agent) -> None:
    workflow = make_workflow(agent)

    with pytest.raises(TransactionRequired):
        note(workflow)
