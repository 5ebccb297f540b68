"""The embedded default: web server, Celery worker and beat as threads of one process.

With Slack's app token in the settings, Socket Mode is one more of them.

Queue messages live in this process' memory and die with it; nothing is lost by that, because they
are wake-ups only: every sweep runs once at the start and then on its schedule.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn
from celery import beat
from celery.worker import state
from django.conf import settings

from deliveries.channels.slack import SlackChannel
from deliveries.channels.slack.socket_mode import SocketMode
from hitl import server
from hitl.celery import app
from hitl.lib.layers import EmbeddedChannelLayer
from workflows.webhooks import respond

logger = logging.getLogger(__name__)

WORKER_THREADS = 4
# Requests get this long to end when the server stops; long polls and sockets are then cut off.
REQUEST_GRACE_SECONDS = 2
# A task gets this long. Its row is still claimed, so the sweep of the next start takes it up.
TASK_GRACE_SECONDS = 2.5
RESTART_SECONDS = 1.0


class Background:
    """Worker, beat and Slack's socket, each kept running in a thread of its own until the stop."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._beat: Any = None
        self._slack = SocketMode(partial(respond, SlackChannel()))
        runs = {"worker": self._run_worker, "beat": self._run_beat}
        if SocketMode.is_configured():
            runs["slack"] = self._slack.run
        self._threads = [
            threading.Thread(target=self._keep_running, args=(run,), name=name, daemon=True)
            for name, run in runs.items()
        ]

    def start(self) -> None:
        """Start all of them, and let every sweep look for what fell due while nothing ran."""
        app.autodiscover_tasks(force=True)
        for entry in settings.CELERY_BEAT_SCHEDULE.values():
            app.send_task(entry["task"])
        for thread in self._threads:
            thread.start()

    def ask_to_stop(self) -> None:
        """Take nothing new, finish what runs; returns at once."""
        self._stopping.set()
        self._slack.stop()
        state.should_stop = 0
        if self._beat is not None:
            self._beat.stop(wait=False)
        # The worker waits up to two seconds for a message, sees that it shall stop, and waits once
        # more: two messages end both waits.
        for _ in range(2):
            app.control.broadcast("ping")

    def wait(self, seconds: float) -> bool:
        """Whether all have ended within that time."""
        give_up = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, give_up - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _keep_running(self, run: Callable[[], None]) -> None:
        """A full disk or the like may end it; come back when the trouble is over."""
        while not self._stopping.is_set():
            try:
                run()
            except Exception:
                logger.exception("the background stopped unexpectedly")
            self._stopping.wait(RESTART_SECONDS)

    def _run_worker(self) -> None:
        # Not `app.Worker`: that one installs signal handlers, so it cannot live in a thread.
        worker = app.WorkController(
            pool="threads",
            concurrency=WORKER_THREADS,
            hostname="embedded@localhost",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        worker.start()

    def _run_beat(self) -> None:
        # The class is named: a beat outside Celery's own command ignores the setting.
        self._beat = beat.Service(
            app, max_interval=1, scheduler_cls=settings.CELERY_BEAT_SCHEDULER, remote_control=False
        )
        self._beat.start()


class Server(server.Server):
    """Starts the background once requests are answered, and stops it with the requests."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.background = Background()
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        EmbeddedChannelLayer.home = asyncio.get_running_loop()
        self.background.start()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.background.ask_to_stop()
        # A task that announces something from now on must not wait for a loop that is ending.
        EmbeddedChannelLayer.home = None
        await super().shutdown(sockets)


def serve(listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Run everything on this socket until SIGINT or SIGTERM; returns when all has ended.

    Where a task does not end in time the process ends here, with code 0: the interpreter would
    otherwise wait for the task's thread.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the banner says it better
    web = Server(server.config(grace=REQUEST_GRACE_SECONDS), on_ready)
    with _signals_ignored():
        web.run(sockets=[listener])
        ended = web.background.wait(TASK_GRACE_SECONDS)
    if not ended:
        logger.warning("a task was cut off; the next start takes it up again")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Uvicorn sets handlers of its own, and when it is done raises what it caught once more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
