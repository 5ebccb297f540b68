"""The project package: wires the floors together, holds no rule of its own.

The Celery app is loaded here so that `shared_task` in the apps finds it.
"""

from hitl.celery import app as celery_app

__all__ = ("celery_app",)
