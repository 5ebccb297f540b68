"""A registered action that takes longer than any server waits for when it stops."""

import time
from typing import Any

from workflows.actions.base import Job
from workflows.actions.function import register


@register("slow")
def slow(job: Job) -> Any:
    """Sleep through the stop."""
    time.sleep(60)
    return {}
