"""The role web: answer HTTP and sockets. Worker and beat are processes of their own."""

from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.management.base import HitlCommand
from hitl.server import config

# A long poll or a socket is cut off after this time; its client asks again.
GRACE_SECONDS = 10


class Command(HitlCommand):
    """`manage.py serve [--port 4000] [--host 127.0.0.1]`."""

    help = "Answer HTTP and WebSocket requests."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--port", type=int, help="default: PORT, else 4000")
        parser.add_argument("--host", help="default: HOST, else 127.0.0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        web = uvicorn.Server(config(grace=GRACE_SECONDS, host=settings.HOST, port=settings.PORT))
        web.run()
        if not web.started:
            raise CommandError(
                f"Port {settings.PORT} on {settings.HOST} cannot be opened; see the log. "
                "Choose another with --port."
            )
