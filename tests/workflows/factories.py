"""Workflows in any state, made the way life makes them: through the services."""

import datetime as dt
from typing import Any

import factory
from factory.django import DjangoModelFactory

from events.types import Source
from hitl.accounts.models import Agent, User
from workflows import executions, rollback, services
from workflows.inputs import NewWorkflow
from workflows.models import ActionType, Verdict, Workflow

REFUND = {"amount": 120, "currency": "EUR", "orderId": "A-1009", "note": "Damaged in transit"}
REFUND_FORM = {
    "fields": [
        {"name": "amount", "type": "integer", "label": "Amount", "required": True},
        {"name": "currency", "type": "select", "label": "Currency", "options": ["EUR", "USD"]},
        {"name": "note", "type": "text", "label": "Note to the customer"},
        {"name": "orderId", "type": "string", "label": "Order", "readOnly": True},
    ]
}


class ActionTypeFactory(DjangoModelFactory[ActionType]):
    class Meta:
        model = ActionType

    name = factory.Sequence(lambda n: f"action.type{n}")


def make_workflow(agent: Agent, **changes: Any) -> Workflow:
    """A pending request to refund an order."""
    values: dict[str, Any] = {
        "action_type": "payments.refund",
        "action_data": REFUND,
        "name": "Refund order A-1009",
        "ui_schema": REFUND_FORM,
    }
    return services.create(agent, NewWorkflow(**(values | changes)))


def make_overdue(agent: Agent, **changes: Any) -> Workflow:
    """A pending request whose deadline passed a minute ago."""
    workflow = make_workflow(agent, **changes)
    workflow.expires_at = workflow.expires_at - dt.timedelta(days=2)
    workflow.save(update_fields=["expires_at"])
    return workflow


def decide(workflow: Workflow, user: User, verdict: str = "approved", **changes: Any) -> Any:
    """`user`'s answer on the dashboard, on the data as stored."""
    values: dict[str, Any] = {"fingerprint": workflow.fingerprint, "source": Source.DASHBOARD}
    return services.decide(workflow.pk, user=user, verdict=Verdict(verdict), **(values | changes))


def ask_again(workflow: Workflow, user: User) -> Workflow:
    """`user` rejects it and has it asked again: PENDING, in the next round."""
    decide(workflow, user, "rejected", comment="Not like this.", round=workflow.round)
    rolled = rollback.roll_back(
        workflow.pk, user=user, to_seq=1, reason="It was right after all.", source=Source.DASHBOARD
    )
    return rolled.workflow


def make_executing(agent: Agent, user: User, **changes: Any) -> Workflow:
    """An approved request that its agent has started to carry out."""
    workflow = make_workflow(agent, **changes)
    decide(workflow, user)
    return executions.start(workflow.pk, agent=agent)[0]
