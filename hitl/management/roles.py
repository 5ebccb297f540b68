"""What the roles have in common: those that answer, and those that Celery runs."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from events.restores import noticing
from hitl.management.base import HitlCommand


class ServerCommand(HitlCommand):
    """`manage.py ROLE [--port 4000] [--host 127.0.0.1]`."""

    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--port", type=int, help="default: PORT, else 4000")
        parser.add_argument("--host", help="default: HOST, else 127.0.0.1")

    def needs(self, opened: bool) -> None:
        """Say what to do where the port could not be opened."""
        if not opened:
            raise CommandError(
                f"Port {settings.PORT} on {settings.HOST} cannot be opened; see the log. "
                "Choose another with --port."
            )


class CeleryCommand(HitlCommand):
    """`manage.py ROLE [options of celery ROLE]`: this process becomes Celery's own command."""

    role = ""

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError(
                "Without DATABASE_URL and REDIS_URL there is one process for everything: "
                "start it with manage.py up."
            )
        noticing.look_at_start()
        celery = [sys.executable, "-m", "celery", "-A", "hitl", self.role]
        command = [*celery, f"--loglevel={settings.LOG_LEVEL}", *self.options(options)]
        os.execv(sys.executable, command)  # noqa: S606  # no shell wanted

    def options(self, options: dict[str, Any]) -> list[str]:
        """What this role adds to Celery's command line."""
        return []
