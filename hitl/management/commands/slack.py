"""The role slack: take Slack's clicks through a connection that we open (Socket Mode).

An embedded server (`manage.py up`) does this by itself.
"""

import signal
from functools import partial
from types import FrameType
from typing import Any

from django.core.management import CommandError

from deliveries.channels.slack import SlackChannel
from deliveries.channels.slack.socket_mode import SocketMode
from hitl.management.base import HitlCommand
from workflows.webhooks import respond


class Command(HitlCommand):
    """`manage.py slack`: one such process is enough; a second one is harmless."""

    help = "Take clicks from Slack without a public address (Socket Mode)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not SocketMode.is_configured():
            raise CommandError(
                "Socket Mode needs SLACK_APP_TOKEN (xapp-…) and SLACK_BOT_TOKEN (xoxb-…). With a "
                "public address, set SLACK_SIGNING_SECRET instead: then no such process is needed."
            )
        socket = SocketMode(partial(respond, SlackChannel()))

        def stop(number: int, frame: FrameType | None) -> None:
            socket.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        self.say("Listening to Slack through a socket; Ctrl-C stops.")
        socket.start()
        socket.join()
