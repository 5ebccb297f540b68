"""Registered functions that ship with the server, for trying out and for tests."""

from typing import Any

from workflows.actions.base import Job
from workflows.actions.function import register


@register("echo")
def echo(job: Job) -> Any:
    """Answer with the approved data: shows what an executor gets."""
    return {"echo": job.data, "fingerprint": job.fingerprint, "key": job.key}
