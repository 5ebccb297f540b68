"""Reads of workflows: what is due, and what an agent or a person may see."""

import datetime as dt
from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Delivery
from events.proof.streams import Standing
from events.restores import gate
from hitl.accounts.models import Agent, User
from hitl.lib.errors import NotFound
from workflows.models import ExecutionAttempt, Status, TimeoutAction, Workflow

NO_MESSAGE = "There is no such message."


def timeouts_due(now: dt.datetime) -> QuerySet[Workflow]:
    """Pending requests whose deadline has passed, longest overdue first (partial index); after a
    restore, those that people have looked at."""
    rows = Workflow.objects.filter(status=Status.PENDING, held_at=None, expires_at__lte=now)
    return gate.unheld(rows.order_by("expires_at"), "pk")


def silence_rejects(now: dt.datetime) -> QuerySet[Workflow]:
    """Of those, the ones that time out whatever else is known of them."""
    return timeouts_due(now).filter(timeout_action=TimeoutAction.REJECT)


def steps_due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Pending requests with a reminder or a step of an escalation due, longest overdue first."""
    rows = Workflow.objects.filter(status=Status.PENDING, next_step_at__lte=now)
    return _first(rows.order_by("next_step_at"), limit)


def executions_due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Approved actions that the server should carry out now."""
    rows = Workflow.objects.filter(execution_due_at__lte=now)
    return _first(rows.order_by("execution_due_at"), limit)


def _first(rows: QuerySet[Workflow], limit: int) -> list[UUID]:
    """The first that may move: after a restore time does nothing before people have looked."""
    return list(gate.unheld(rows, "pk").values_list("pk", flat=True)[:limit])


def leases_lapsed(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Running attempts whose lease ran out."""
    rows = ExecutionAttempt.objects.filter(
        status=ExecutionAttempt.Status.OPEN, lease_until__lte=now
    ).order_by("lease_until")
    return list(gate.unheld(rows).values_list("pk", flat=True)[:limit])


def visible_to(principal: Agent | User) -> QuerySet[Workflow]:
    """Workflows of the agent's team, or of the person's teams."""
    rows = Workflow.objects.select_related("agent", "team", "responded_by", "claimed_by")
    if isinstance(principal, Agent):
        return rows.filter(team_id=principal.team_id)
    return rows.filter(team__memberships__user=principal)


def teams_of(principal: Agent | User) -> frozenset[UUID]:
    """The teams whose requests and events the caller may see."""
    if isinstance(principal, Agent):
        return frozenset({principal.team_id})
    return frozenset(principal.memberships.values_list("team_id", flat=True))


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


def standings(first: str | None, end: str | None) -> dict[str, Standing]:
    """How the rows from one id up to another (None: open) stand, for whoever verifies the log."""
    rows = Workflow.objects.order_by()
    if first is not None:
        rows = rows.filter(pk__gte=first)
    if end is not None:
        rows = rows.filter(pk__lt=end)
    values = rows.values_list("pk", "team_id", "status", "round", "event_seq")
    return {
        str(pk): Standing(str(team_id), status, round_, seq)
        for pk, team_id, status, round_, seq in values.iterator()
    }
