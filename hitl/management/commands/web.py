"""The role web: answer the agent API, the pages and the admin, in processes with threads."""

import socket
from typing import Any

from django.conf import settings
from django.core.management import CommandError

from events.restores import noticing
from hitl import wsgi_server
from hitl.management.roles import ServerCommand


class Command(ServerCommand):
    """`manage.py web [--port 4000] [--host 127.0.0.1]`. As many as you like may run."""

    help = "Answer all requests but sockets, streams and long polls (those: manage.py live)."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError(
                "Without DATABASE_URL and REDIS_URL there is one process for everything: "
                "start it with manage.py up."
            )
        self.needs(_is_free(settings.HOST, settings.PORT))
        noticing.look_at_start()
        wsgi_server.Web(wsgi_server.options(settings.HOST, settings.PORT)).run()


def _is_free(host: str, port: int) -> bool:
    """Whether the port can be opened. Gunicorn itself would try for seconds and say less."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError):
        return False
    return True
