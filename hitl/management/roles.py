"""The roles that Celery runs: this process becomes Celery's own command, signals and all."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import CommandError

from hitl.management.base import HitlCommand


class CeleryCommand(HitlCommand):
    """`manage.py ROLE [options of celery ROLE]`."""

    role = ""

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError(
                "Without DATABASE_URL and REDIS_URL there is one process for everything: "
                "start it with manage.py up."
            )
        celery = [sys.executable, "-m", "celery", "-A", "hitl", self.role]
        command = [*celery, f"--loglevel={settings.LOG_LEVEL}", *self.options(options)]
        os.execv(sys.executable, command)  # noqa: S606  # no shell wanted

    def options(self, options: dict[str, Any]) -> list[str]:
        """What this role adds to Celery's command line."""
        return []
