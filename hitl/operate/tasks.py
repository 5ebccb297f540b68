"""Thin tasks: a worker's sign of life."""

from celery import shared_task

from hitl.operate import pulses


@shared_task
def pulse(name: str = "worker sweeps") -> None:
    """Some worker takes messages of the queue it is named after, and reaches the database."""
    pulses.note(name)
