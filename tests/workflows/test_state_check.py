"""`check_state`: silent about every real life, and loud about anything written past the log."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from events.models import Event, EventStream
from hitl.accounts.models import Agent, User
from tests.workflows.factories import ask_again, decide, make_workflow
from tests.workflows.test_rollback import MAKE
from workflows import state_check
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


def run(**options: Any) -> str:
    out = io.StringIO()
    call_command("check_state", stdout=out, stderr=out, **options)
    return out.getvalue()


def test_every_state_life_leads_to_is_clean(agent: Agent, approver: User) -> None:
    for make in MAKE.values():
        make(agent, approver)
    ask_again(make_workflow(agent), approver)
    assert "10 requests are as their logs say" in run()


TAMPERED: list[tuple[dict[str, Any], str]] = [
    ({"action_data": {"amount": 1_000_000}}, "actionData"),
    ({"fingerprint": "sha256:0"}, "fingerprint"),
    ({"timeout_action": "approve"}, "timeoutAction"),
    ({"feedback": "Sure!"}, "feedback"),
    ({"event_seq": 99}, "eventSeq"),
    ({"wave": 7}, "wave"),
]


@pytest.mark.parametrize(("changes", "field"), TAMPERED)
def test_row_that_was_written_past_the_log_is_named(
    agent: Agent, changes: dict[str, Any], field: str
) -> None:
    workflow, other = make_workflow(agent), make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(**changes)
    faults = state_check.check([workflow.pk, other.pk])
    assert field in {fault.field for fault in faults}
    assert {fault.workflow_id for fault in faults} == {workflow.pk}
    with pytest.raises(CommandError, match="1 of 2 requests"):
        run()


def test_values_are_not_told(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(action_data={"secret": "hunter2"})
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("check_state", stdout=out, stderr=out)
    assert f"{workflow.pk} actionData: " in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_log_with_an_illegal_step_is_named(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "rejected", comment="no")
    steps = list(
        Event.objects.filter(workflow=workflow)
        .order_by("seq")
        .values_list("workflow_id", "seq", "type", "status", "round")
    )
    assert state_check._Way(steps).faults == []
    back = (workflow.pk, len(steps) + 1, "workflow.rolled_back", "PENDING", 2)
    assert state_check._Way([*steps, back]).faults == []
    for wrong in (
        (*back[:2], "human.responded", "PENDING", 2),
        (*back[:4], 3),
        (*back[:4], 1),
        (*back[:3], "COMPLETED", 2),
        (back[0], back[1] + 1, *back[2:]),
    ):
        assert state_check._Way([*steps, wrong]).faults, wrong
    assert state_check._Way(steps[1:]).faults


def test_head_that_lags_behind_is_named(agent: Agent) -> None:
    workflow = make_workflow(agent)
    EventStream.objects.filter(pk=workflow.pk).update(last_seq=5)
    assert {fault.field for fault in state_check.check([workflow.pk])} == {"lastSeq"}
    EventStream.objects.filter(pk=workflow.pk).delete()
    assert {fault.field for fault in state_check.check([workflow.pk])} == {"log"}


def test_one_request_can_be_looked_at(agent: Agent) -> None:
    workflow, other = make_workflow(agent), make_workflow(agent)
    Workflow.objects.filter(pk=other.pk).update(feedback="x")
    assert "1 requests are" in run(workflow=workflow.pk)
    with pytest.raises(CommandError, match="no request"):
        run(workflow=agent.pk)
