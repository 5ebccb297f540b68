"""How uvicorn serves us: in one process with everything else, or as a role of its own."""

import asyncio
import signal
import socket
import warnings
from types import FrameType

import uvicorn

from hitl import draining
from hitl.heads import BoundedHttp
from workflows.api.listening import get_room

LONGEST_SOCKET_MESSAGE = 64 * 1024


class Server(uvicorn.Server):
    """Sends those who listen away when it stops: their streams would not end by themselves."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        get_room().close()
        await super().shutdown(sockets)


class DrainingServer(Server):
    """Takes its leave before it stops: first the proxy is told, then the door is closed."""

    def __init__(self, config: uvicorn.Config, seconds: float) -> None:
        super().__init__(config)
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: go on for a while, or until told again. Ctrl-C is a person, who waits."""
        if sig == signal.SIGTERM and self._loop and self.started and not draining.has_begun():
            draining.begin()
            stop = super().handle_exit
            self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, stop, sig, None)
        else:
            super().handle_exit(sig, frame)


def config(*, grace: int, host: str = "", port: int = 0) -> uvicorn.Config:
    """Uvicorn's settings. At a stop, requests get `grace` seconds; then long polls are cut off."""
    # WhiteNoise reads files the synchronous way. They are small, and Django warns at every start.
    warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")
    return uvicorn.Config(
        "hitl.asgi:application",
        host=host,
        port=port,
        http=BoundedHttp,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Whose address and scheme are believed is up to TRUSTED_PROXIES and BEHIND_TLS_PROXY.
        proxy_headers=False,
        ws_max_size=LONGEST_SOCKET_MESSAGE,
        # A compressor for each socket costs more memory than the socket itself.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=grace,
    )


def run(server: uvicorn.Server) -> bool:
    """Serve until told to stop; False where the port could not be opened."""
    # Uvicorn sets handlers of its own, and when it is done raises what it caught once more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run()
    return server.started
