"""The Celery app. Tasks live in the apps; schedules in `settings.CELERY_BEAT_SCHEDULE`."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")

app = Celery("hitl")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def connect_plainly(**_: Any) -> None:
    """Let a worker's threads have connections of their own instead of a pool.

    Celery closes the pool before and after every task, also under the threads that send webhooks
    beside the tasks: they would wait for a pool that nobody opens any more.
    """
    for alias, database in connections.settings.items():
        connection: Any = connections[alias]
        connection.close()
        if database["OPTIONS"].get("pool"):
            connection.close_pool()
            del database["OPTIONS"]["pool"]
