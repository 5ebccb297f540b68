"""What is due, and which link belongs to what."""

import datetime as dt

import pytest

from deliveries import selectors, services
from deliveries.models import Delivery
from hitl.accounts.models import Agent, User
from hitl.lib.db import database_now
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db


def move(delivery: Delivery, minutes: int) -> None:
    when = database_now() + dt.timedelta(minutes=minutes)
    Delivery.objects.filter(pk=delivery.pk).update(next_retry_at=when)


def test_due_are_the_pending_whose_time_has_come_oldest_first(agent: Agent) -> None:
    late, later, future, sent = (
        Delivery.objects.get(workflow=make_workflow(agent)) for _ in range(4)
    )
    for delivery, minutes in ((late, -5), (later, -9), (future, 1), (sent, -1)):
        move(delivery, minutes)
    Delivery.objects.filter(pk=sent.pk).update(status="sent", sent_at=database_now())
    assert selectors.due(database_now(), limit=10) == [later.pk, late.pk]
    assert selectors.due(database_now(), limit=1) == [later.pk]


def test_messages_of_one_workflow_only(agent: Agent, colleague: User) -> None:
    workflow, _ = make_workflow(agent), make_workflow(agent)
    rows = selectors.of_workflow(workflow.pk)
    assert {row.recipient for row in rows} == {"ann@example.com", "carl@example.com"}


def test_link_is_found_by_token_and_by_id_of_its_own_delivery(agent: Agent) -> None:
    mine, other = (Delivery.objects.get(workflow=make_workflow(agent)) for _ in range(2))
    token = services.make_link(mine).rstrip("/").rpartition("/")[2]
    link = selectors.link(token)
    assert link is not None
    assert link.delivery == mine
    assert selectors.link_by_id(link.pk, delivery_id=mine.pk) == link
    assert selectors.link_by_id(link.pk, delivery_id=other.pk) is None


@pytest.mark.parametrize("token", ["", "x", "\0", "é" * 400, "\udcff", "a" * 43])
def test_tokens_we_never_made_are_unknown(token: str) -> None:
    assert selectors.link(token) is None
