"""The embedded default: web, worker and beat in one process on one data folder."""

import os
import signal
import socket
import sys
import threading
from functools import partial
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.utils import autoreload

from events.restores import noticing
from hitl import banner, bootstrap, data_folder, embedded
from hitl.lib import local_names
from hitl.lib.urls import absolute
from hitl.management.base import HitlCommand

BACKLOG = 1024


class Command(HitlCommand):
    """`manage.py up [--port 4000] [--host 127.0.0.1] [--data FOLDER] [--reload]`."""

    help = "Start everything on this machine: web, worker and beat in one process on SQLite."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--port", type=int, help="default: PORT, else 4000")
        parser.add_argument("--host", help="default: HOST, else 127.0.0.1; 0.0.0.0 for everybody")
        parser.add_argument("--reload", action="store_true", help="start again when code changes")

    def handle(self, *args: Any, reload: bool, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError(
                "DATABASE_URL is set, so this is not an embedded server. Run its roles instead: "
                "manage.py serve, manage.py worker and manage.py beat."
            )
        if reload:
            autoreload.run_with_reloader(self.run)
        else:
            self.run()

    def run(self) -> None:
        """Claim the folder and the port, prepare the database, serve until told to stop."""
        _leave_on_signals()
        _reach_ourselves()
        bootstrap.check()
        with data_folder.claimed(settings.DATA_DIR, absolute("/")), _listen() as listener:
            if data_folder.migrate():
                self.say("The database is up to date.")
            if noticing.look():
                self.say("The database is a restored one: see manage.py reconcile --list.")
            welcome = bootstrap.ensure()
            embedded.serve(listener, on_ready=partial(banner.show, welcome))
        self.say("Stopped; everything is kept.")


def _listen() -> socket.socket:
    """Our port. Taken before anything else is done, so that a clash costs and changes nothing."""
    host, port = settings.HOST, settings.PORT
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"Port {port} on {host} cannot be opened ({error}). "
            f"Choose another: make run PORT={port + 1}"
        ) from None


def _reach_ourselves() -> None:
    """Calls to the sandbox's providers stay on this machine, also where a proxy is the way out."""
    if settings.SANDBOX_ACCOUNTS:
        host = urlsplit(local_names.myself(settings.HOST, settings.PORT)).hostname
        known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        os.environ["no_proxy"] = f"{known},{host}".lstrip(",")


def _leave_on_signals() -> None:
    """Until the server takes over the signals, both end us at once."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
