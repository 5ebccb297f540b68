"""How gunicorn serves the role web: processes that are forked from this one, threads in each."""

import time
from collections.abc import Mapping
from signal import SIGCHLD
from typing import Any, NoReturn

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections
from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from hitl import draining
from hitl.front_door import WsgiDoor

# A request has this long when the server stops. Nothing that it answers takes longer.
GRACE_SECONDS = 25
# Longer than any sensible proxy keeps a connection that nobody uses: then the proxy closes it, and
# no request is on its way when it closes.
KEEP_ALIVE_SECONDS = 75


class Logger(glogging.Logger):  # type: ignore[misc]  # published without types
    """Leaves lines and their form to our own settings."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Web(BaseApplication):  # type: ignore[misc]
    """The server; `run()` comes back by SystemExit."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """What gunicorn asks for."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiDoor:
        """The application, in each process anew."""
        return WsgiDoor(get_wsgi_application())

    def run(self) -> NoReturn:
        """Serve until told to stop."""
        _let_go()
        Conductor(self).run()
        raise SystemExit(0)


class Conductor(Arbiter):  # type: ignore[misc]
    """Takes its leave before it stops: first the proxy is told, then the door is closed."""

    def handle_term(self) -> NoReturn:
        """Told to stop: go on for DRAIN_SECONDS, or until told again."""
        draining.begin()
        give_up = time.monotonic() + settings.DRAIN_SECONDS
        while (left := give_up - time.monotonic()) > 0:
            signals = self.wait_for_signals(timeout=min(left, 1.0))
            if any(number != SIGCHLD for number in signals):
                break
            self.reap_workers()
            self.murder_workers()
            self.manage_workers()
        raise StopIteration


def options(host: str, port: int) -> dict[str, Any]:
    """Gunicorn's settings."""
    return {
        "bind": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
        "worker_class": "gthread",
        "workers": settings.WEB_WORKERS,
        "threads": settings.WEB_THREADS,
        "keepalive": KEEP_ALIVE_SECONDS,
        "graceful_timeout": GRACE_SECONDS,
        "worker_connections": 1000,
        "logger_class": Logger,
        "loglevel": "info",
        "control_socket_disable": True,
        "proc_name": "hitl web",
        # Whose address and scheme are believed is up to TRUSTED_PROXIES and BEHIND_TLS_PROXY.
        "forwarded_allow_ips": "",
    }


def _let_go() -> None:
    """What the checks have opened must not be shared with the processes that are forked."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if connection.settings_dict["OPTIONS"].get("pool"):
            connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's have one
