"""Thin tasks: execute one; sweep deadlines, due executions, lapsed leases, and statistics."""

import datetime as dt
from uuid import UUID

from celery import shared_task
from django.conf import settings

from hitl.lib.db import database_now
from hitl.lib.sweeps import each
from workflows import cases, deadlines, executions, pace, selectors
from workflows.models import IdempotencyKey, Status
from workflows.statistics import sweeping

BATCH = 500


@shared_task
def execute_workflow(workflow_id: str) -> None:
    """Carry out one approved action."""
    executions.execute(UUID(workflow_id))


@shared_task
def sweep_timeouts() -> None:
    """Let every passed deadline take effect."""
    deadlines.sweep()


@shared_task
def sweep_steps() -> None:
    """Send every reminder and take every step of an escalation that is due."""
    with cases.keeping_people():
        each(selectors.steps_due(database_now(), limit=BATCH), pace.take_steps)


@shared_task
def sweep_executions() -> None:
    """Wake up due executions whose poke got lost, and close attempts that fell silent."""
    now = database_now()
    each(selectors.leases_lapsed(now, limit=BATCH), executions.lapse)
    for workflow_id in selectors.executions_due(now, limit=BATCH):
        execute_workflow.delay(str(workflow_id))


@shared_task
def sweep_idempotency_keys() -> None:
    """Forget stored answers after their time, never while the workflow is open."""
    horizon = database_now() - dt.timedelta(hours=settings.IDEMPOTENCY_KEY_HOURS)
    IdempotencyKey.objects.filter(created_at__lt=horizon).exclude(
        workflow__status=Status.PENDING
    ).delete()


@shared_task
def sweep_statistics() -> None:
    """Count the days that have changed."""
    sweeping.sweep()
