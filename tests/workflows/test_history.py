"""States and what lies between them: folded, the differences come to every state there was."""

from itertools import pairwise
from typing import Any

import jsonpatch
import pytest

from events.models import Event
from hitl.accounts.models import Agent, User
from hitl.lib import canonical
from hitl.lib.errors import NotFound
from tests.workflows.factories import REFUND, ask_again, decide, make_workflow
from tests.workflows.test_rollback import MAKE, roll
from workflows import history
from workflows.models import Workflow
from workflows.snapshot import UNTOLD, snapshot, whole

pytestmark = pytest.mark.django_db


def life(agent: Agent, approver: User, manager: User) -> Workflow:
    """Three rounds: edited, failed and run again, asked again, rejected."""
    workflow = make_workflow(agent)
    decide(workflow, approver, "modified", response_data=REFUND | {"amount": 3})
    roll(workflow, approver)
    decide(workflow, approver, round=2)
    return ask_again(roll(workflow, approver).workflow, manager)


@pytest.mark.parametrize("status", sorted(MAKE))
def test_folded_events_are_every_state(
    agent: Agent, approver: User, manager: User, status: str
) -> None:
    """L-04: what lies between neighbours, applied one after the other, is each state in turn."""
    make = MAKE[status]
    workflow = life(agent, approver, manager) if status == "PENDING" else make(agent, approver)
    events = list(Event.objects.filter(workflow=workflow).order_by("seq"))
    folded: Any = events[0].state_snapshot
    for one, other in pairwise(events):
        found = history.difference(workflow.pk, one.seq, other.seq)
        folded = jsonpatch.apply_patch(folded, found.operations)
        assert canonical.dumps(folded) == canonical.dumps(other.state_snapshot)
        assert bool(found.rows) == bool(found.operations)
    assert folded == snapshot(Workflow.objects.get(pk=workflow.pk))


def test_difference_is_told_in_words(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "rejected", comment="Too much")
    last = Event.objects.filter(workflow=workflow).count()
    rows = {row.label: (row.old, row.new) for row in history.difference(workflow.pk, 1, last).rows}
    assert rows["Status"] == ("PENDING", "REJECTED")
    assert rows["Comment"] == ("", "Too much")
    assert rows["Decided by"] == (None, "Ann Approver")
    assert "Data" not in rows
    back = {row.label: (row.old, row.new) for row in history.difference(workflow.pk, last, 1).rows}
    assert back["Status"] == ("REJECTED", "PENDING")
    assert history.difference(workflow.pk, 1, 1).operations == []


@pytest.mark.parametrize("pair", [(1, 99), (0, 1), (-1, 1)])
def test_states_that_never_were(agent: Agent, pair: tuple[int, int]) -> None:
    workflow = make_workflow(agent)
    with pytest.raises(NotFound, match="no state"):
        history.difference(workflow.pk, *pair)


def test_states_of_older_releases_are_read_as_they_were_meant(agent: Agent) -> None:
    state = snapshot(make_workflow(agent))
    older = {name: value for name, value in state.items() if name not in UNTOLD}
    assert whole(older) == state
    assert whole(state | {"askedRound": 3})["askedRound"] == 3
