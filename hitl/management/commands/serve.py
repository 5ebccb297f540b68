"""The role serve: everything that is asked, in one ASGI process. Worker and beat run beside it."""

from typing import Any

from django.conf import settings

from events.restores import noticing
from hitl.management.roles import ServerCommand
from hitl.server import Server, config, run

# A request gets this long when the server stops.
GRACE_SECONDS = 10


class Command(ServerCommand):
    """`manage.py serve [--port 4000] [--host 127.0.0.1]`."""

    help = "Answer all HTTP and WebSocket requests in one process, where no proxy splits them up."

    def handle(self, *args: Any, **options: Any) -> None:
        noticing.look_at_start()
        asked = config(grace=GRACE_SECONDS, host=settings.HOST, port=settings.PORT)
        self.needs(run(Server(asked)))
