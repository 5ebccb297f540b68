"""Receipts under haste, on real PostgreSQL, hundreds of rounds: one use an approval, never two."""

from collections import Counter
from functools import partial

import pytest

from events.models import Event
from hitl.accounts.models import Agent, Team, User
from tests.accounts.factories import AgentFactory
from tests.racing import ROUNDS, count, race
from tests.workflows.factories import decide, make_executing, make_workflow
from workflows import executions, receipts
from workflows.errors import ReceiptConsumed, ReceiptInvalid
from workflows.models import Receipt, Workflow
from workflows.receipts import Found, Issued, Presented

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]


def types(workflow: Workflow) -> Counter[str]:
    rows = Event.objects.filter(workflow=workflow).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return Counter(str(row.type) for row in rows)


def test_two_executors_with_one_receipt(agent: Agent, approver: User, team: Team) -> None:
    other = AgentFactory(team=team, name="billing")
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        decide(workflow, approver)
        shown = Presented(receipts.issue(workflow.pk, agent=agent).token)
        outcomes = race(
            partial(receipts.consume, shown, agent=agent, consumer="one"),
            partial(receipts.consume, shown, agent=other, consumer="two"),
        )
        assert (count(outcomes, Found), count(outcomes, ReceiptConsumed)) == (1, 1), outcomes
        winner = ("one", "two")[isinstance(outcomes[1], Found)]
        assert Receipt.objects.get(workflow=workflow).consumed_by == winner
        assert types(workflow)["receipt.consumed"] == 1


def test_using_the_old_one_while_a_new_one_is_fetched(agent: Agent, approver: User) -> None:
    """Either the old one is used and there is no new one, or the new one alone is good."""
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        decide(workflow, approver)
        old = Presented(receipts.issue(workflow.pk, agent=agent).token)
        used, fetched = race(
            partial(receipts.consume, old, agent=agent),
            partial(receipts.issue, workflow.pk, agent=agent),
        )
        seen[type(used).__name__] += 1
        if isinstance(used, Found):
            assert isinstance(fetched, ReceiptConsumed), fetched
        else:
            assert isinstance(used, ReceiptInvalid), used
            assert isinstance(fetched, Issued), fetched
            receipts.consume(Presented(fetched.token), agent=agent)
        assert types(workflow)["receipt.consumed"] == 1
    assert len(seen) == 2, seen


def test_fetching_two_at_once_leaves_one_that_is_good(agent: Agent, approver: User) -> None:
    for _ in range(ROUNDS):
        workflow = make_workflow(agent)
        decide(workflow, approver)
        outcomes = race(*[partial(receipts.issue, workflow.pk, agent=agent)] * 2)
        assert count(outcomes, Issued) == 2, outcomes
        looks = [receipts.verify(Presented(one.token), caller=agent) for one in outcomes]
        assert sorted(look.reason for look in looks) == ["", "replaced"]


def test_using_it_against_the_report_of_failure(agent: Agent, approver: User) -> None:
    """Used before the end, or not at all: nobody is told to act on a request that has failed."""
    for _ in range(ROUNDS):
        workflow = make_executing(agent, approver)
        shown = Presented(receipts.issue(workflow.pk, agent=agent).token)
        used, _ = race(
            partial(receipts.consume, shown, agent=agent),
            partial(executions.fail, workflow.pk, agent=agent, attempt=1, error={"code": "x"}),
        )
        assert isinstance(used, Found | ReceiptInvalid), used
        order = list(Event.objects.filter(workflow=workflow).values_list("type", flat=True))
        assert ("receipt.consumed" in order) == isinstance(used, Found)
        assert order[-1] == "workflow.failed"
