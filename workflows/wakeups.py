"""Pokes a worker about one workflow after commit. Losing a poke costs seconds: a sweep follows."""

from uuid import UUID

from celery import current_app
from django.db import transaction


def poke_execution(workflow_id: UUID) -> None:
    """After commit, ask a worker to carry out the approved action."""
    transaction.on_commit(
        lambda: current_app.send_task("workflows.tasks.execute_workflow", [str(workflow_id)]),
        robust=True,
    )
