"""Socket Mode: clicks come through a connection that we open, so no public address is needed.

Bolt keeps the connection; each payload takes the way of a signed post (verify, parse, acknowledge)
in the callable it is given. What that callable cannot do is not acknowledged: Slack then tells the
person, who presses again.
"""

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.adapter.socket_mode import SocketModeHandler

from deliveries.channels.base import Answer
from deliveries.channels.slack import api
from deliveries.channels.slack.inbound import SocketRequest
from hitl.lib import backoff

logger = logging.getLogger(__name__)

Take = Callable[[HttpRequest], Answer]
FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 60.0


class SocketMode(threading.Thread):
    """Keeps the connection until `stop`; `run` it in the foreground or `start` it as a thread.

    `take` acts on one request as the callback view does, and returns the acknowledgement.
    """

    def __init__(self, take: Take) -> None:
        super().__init__(name="slack-socket-mode", daemon=True)
        self._take = take
        self._stopping = threading.Event()
        self._handler: SocketModeHandler | None = None

    @staticmethod
    def is_configured() -> bool:
        """Whether there are both tokens: the app's opens the connection, the bot's answers."""
        return bool(settings.SLACK_APP_TOKEN and settings.SLACK_BOT_TOKEN)

    @property
    def is_connected(self) -> bool:
        """Whether Slack can reach us at this moment."""
        return self._handler is not None and bool(self._handler.client.is_connected())

    def run(self) -> None:
        """Connect, try again for as long as it takes, then stay until `stop`."""
        attempt = 0
        while not self._stopping.is_set() and not self._connect():
            attempt += 1
            pause = backoff.delay(attempt, first=FIRST_RETRY_SECONDS, maximum=MAX_RETRY_SECONDS)
            self._stopping.wait(pause.total_seconds())
        self._stopping.wait()
        self._close()

    def stop(self) -> None:
        """Hang up and let the thread end."""
        self._stopping.set()

    def _connect(self) -> bool:
        # A handler whose first try failed does not try again by itself: start over.
        self._close()
        handler = SocketModeHandler(_app(self._take), settings.SLACK_APP_TOKEN, logger=api.quiet)
        self._handler = handler
        try:
            cast(Any, handler).connect()
        except Exception as error:
            logger.warning("slack socket failed", extra={"error": type(error).__name__})
        return self.is_connected

    def _close(self) -> None:
        if self._handler is not None:
            _hang_up(self._handler.client)
            cast(Any, self._handler).close()
            self._handler = None


def _hang_up(client: Any) -> None:
    """End the read that is under way: the SDK's own close waits for it, up to three seconds."""
    client.auto_reconnect_enabled = False
    connection = getattr(client.current_session, "sock", None)
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _app(take: Take) -> App:
    """An app whose first middleware is everything: it answers before Bolt asks Slack who we are."""

    def pass_on(req: BoltRequest) -> BoltResponse:
        answer = _handled(take, req)
        return BoltResponse(
            status=answer.status,
            body=answer.body,
            headers={"content-type": answer.content_type},
        )

    return App(
        client=api.client(),
        signing_secret="unused",  # noqa: S106  # nothing is signed here, and Bolt checks nothing
        logger=api.quiet,
        process_before_response=True,
        request_verification_enabled=False,
        token_verification_enabled=False,
        ssl_check_enabled=False,
        before_authorize=pass_on,
    )


def _handled(take: Take, request: BoltRequest) -> Answer:
    close_old_connections()
    try:
        return take(SocketRequest(request.body))
    except Exception:
        logger.exception("slack payload failed", extra={"type": request.body.get("type")})
        return Answer(json.dumps({"error": "not handled"}), "application/json", 503)
    finally:
        close_old_connections()
