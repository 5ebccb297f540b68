"""The role live: answer what keeps a connection open. It needs no thread for those who wait."""

from typing import Any

from django.conf import settings

from events.restores import noticing
from hitl.management.roles import ServerCommand
from hitl.server import DrainingServer, config, run

# A request gets this long when the server stops; long polls are answered at once.
GRACE_SECONDS = 10


class Command(ServerCommand):
    """`manage.py live [--port 4000] [--host 127.0.0.1]`. As many as you like may run."""

    help = "Answer sockets, streams and long polls, which a proxy sends here."

    def handle(self, *args: Any, **options: Any) -> None:
        noticing.look_at_start()
        asked = config(grace=GRACE_SECONDS, host=settings.HOST, port=settings.PORT)
        self.needs(run(DrainingServer(asked, settings.DRAIN_SECONDS)))
