"""What Celery tells us: beat hands over a pulse, a sign of its own life; a task begins and ends."""

import asyncio
import logging
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun
from django.db import Error, close_old_connections

from hitl.operate import pulses
from hitl.operate.metrics.tasks import SUMS

logger = logging.getLogger(__name__)


@before_task_publish.connect(sender=pulses.TASK)
def beat_is_alive(**_: Any) -> None:
    """Written before the message is sent: with Redis gone, beat is not what is missing."""
    if _is_in_a_loop():
        return  # the start of an embedded server, which rings for everything once
    try:
        pulses.note(pulses.BEAT)
    except Error:
        logger.warning("beat's sign of life could not be written", exc_info=True)
        close_old_connections()


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@task_prerun.connect
def task_begins(task_id: str, **_: Any) -> None:
    """Every task, in whichever process runs it."""
    SUMS.begin(task_id)


@task_postrun.connect
def task_ends(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    """Counted, whatever came of it."""
    SUMS.end(task_id, task.name, failed=state == "FAILURE")
