"""Reads of workflows: what is due, and what an agent or a person may see."""

import datetime as dt
from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Delivery
from hitl.accounts.models import Agent, User
from hitl.lib.errors import NotFound
from workflows.models import ExecutionAttempt, Status, Workflow

NO_MESSAGE = "There is no such message."


def timeouts_due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Pending requests whose deadline has passed, longest overdue first (partial index)."""
    return list(
        Workflow.objects.filter(status=Status.PENDING, held_at=None, expires_at__lte=now)
        .order_by("expires_at")
        .values_list("pk", flat=True)[:limit]
    )


def steps_due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Pending requests with a reminder or a step of an escalation due, longest overdue first."""
    return list(
        Workflow.objects.filter(status=Status.PENDING, next_step_at__lte=now)
        .order_by("next_step_at")
        .values_list("pk", flat=True)[:limit]
    )


def executions_due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Approved actions that the server should carry out now."""
    return list(
        Workflow.objects.filter(execution_due_at__lte=now)
        .order_by("execution_due_at")
        .values_list("pk", flat=True)[:limit]
    )


def leases_lapsed(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Running attempts whose lease ran out."""
    return list(
        ExecutionAttempt.objects.filter(status=ExecutionAttempt.Status.OPEN, lease_until__lte=now)
        .order_by("lease_until")
        .values_list("pk", flat=True)[:limit]
    )


def visible_to(principal: Agent | User) -> QuerySet[Workflow]:
    """Workflows of the agent's team, or of the person's teams."""
    rows = Workflow.objects.select_related("agent", "team", "responded_by", "claimed_by")
    if isinstance(principal, Agent):
        return rows.filter(team_id=principal.team_id)
    return rows.filter(team__memberships__user=principal)


def get(workflow_id: UUID, principal: Agent | User) -> Workflow:
    """One workflow, or NotFound where it is absent or belongs to another team."""
    workflow = visible_to(principal).filter(pk=workflow_id).first()
    if workflow is None:
        raise NotFound("There is no such workflow.")
    return workflow


def delivery(delivery_id: UUID, user: User) -> Delivery:
    """One message about a request of the person's teams, or NotFound."""
    rows = Delivery.objects.select_related("user", "team")
    found = rows.filter(pk=delivery_id, team__memberships__user=user).first()
    if found is None:
        raise NotFound(NO_MESSAGE)
    return found
