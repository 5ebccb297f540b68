"""Settling against deciding on real PostgreSQL, hundreds of rounds: no deadlock, one event."""

import datetime as dt
from collections import Counter
from functools import partial

import pytest
from django.db import transaction

from deliveries import services
from deliveries.channels.base import ChannelError, Receipt
from deliveries.models import Delivery
from events.models import Event
from events.types import EventType, approval_sent
from hitl.accounts.models import Agent, User
from hitl.lib.db import database_now
from tests.racing import count, race
from tests.workflows.factories import decide, make_workflow
from workflows import services as workflows
from workflows.models import Workflow
from workflows.transitions import lock

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]
ROUNDS = 200
RECEIPT = Receipt({"messageId": "<1@example.com>"})
GONE = ChannelError("no such mailbox", permanent=True)


def ask(agent: Agent) -> tuple[Workflow, Delivery]:
    """A request and its one delivery, claimed by a worker."""
    workflow = make_workflow(agent)
    claimed = services.claim(Delivery.objects.get(workflow=workflow).pk)
    assert claimed is not None
    return workflow, claimed


def types(workflow: Workflow) -> Counter[str]:
    rows = Event.objects.filter(workflow=workflow).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return Counter(str(row.type) for row in rows)


def test_settling_against_deciding(agent: Agent, approver: User) -> None:
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        workflow, delivery = ask(agent)
        outcomes = race(
            partial(services.settle_success, delivery, RECEIPT),
            partial(decide, workflow, approver),
        )
        assert count(outcomes, Exception) == 0, outcomes
        delivery.refresh_from_db()
        seen[delivery.status] += 1
        assert types(workflow)[approval_sent("email")] == 1
        assert delivery.sent_at is not None
        assert delivery.claimed_at is None
    assert set(seen) <= {"sent", "cancelled"}


def test_failing_against_deciding(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS):
        workflow, delivery = ask(agent)
        outcomes = race(
            partial(services.settle_failure, delivery, GONE),
            partial(decide, workflow, approver, "rejected"),
        )
        assert count(outcomes, Exception) == 0, outcomes
        delivery.refresh_from_db()
        failed = types(workflow)[EventType.DELIVERY_FAILED]
        assert (delivery.status, failed) in (("failed", 1), ("cancelled", 0))


def test_two_workers_settling_the_same_message_while_it_is_withdrawn(agent: Agent) -> None:
    for _ in range(ROUNDS):
        workflow, first = ask(agent)
        long_ago = database_now() - dt.timedelta(hours=1)
        Delivery.objects.filter(pk=first.pk).update(claimed_at=long_ago)
        second = services.claim(first.pk)
        assert second is not None
        outcomes = race(
            partial(services.settle_success, first, RECEIPT),
            partial(services.settle_success, second, RECEIPT),
            partial(workflows.cancel, workflow.pk, agent=agent),
        )
        assert count(outcomes, Exception) == 0, outcomes
        assert types(workflow)[approval_sent("email")] == 1


def test_many_workers_claiming_one_delivery(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS // 4):
        row = Delivery.objects.get(workflow=make_workflow(agent))
        outcomes = race(*[partial(services.claim, row.pk)] * 4)
        assert count(outcomes, Delivery) == 1, outcomes


def test_sending_again_against_deciding(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS):
        workflow, delivery = ask(agent)
        services.settle_failure(delivery, GONE)
        outcomes = race(
            partial(services.retry_now, delivery.pk),
            partial(decide, workflow, approver),
        )
        assert count(outcomes, Exception) in (0, 1), outcomes
        assert not isinstance(outcomes[1], Exception), outcomes
        delivery.refresh_from_db()
        assert delivery.status in ("failed", "cancelled")


def test_settling_waits_for_a_decision_that_holds_the_workflow(
    agent: Agent, approver: User
) -> None:
    """The event's foreign key asks for the workflow's row: that must not close a circle."""
    workflow, delivery = ask(agent)

    def decide_slowly() -> None:
        with transaction.atomic():
            lock(workflow.pk)
            race(partial(services.settle_success, delivery, RECEIPT))
            decide(workflow, approver)

    [outcome] = race(decide_slowly)
    assert outcome is None
    assert types(workflow)[approval_sent("email")] == 1
