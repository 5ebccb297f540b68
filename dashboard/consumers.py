"""The live socket of a page: says "this request changed" for the person's teams, nothing else.

Hints carry ids only; the page reads the rest over HTTP, where permissions live. What the browser
sends is ignored.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import StopConsumer
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.utils import await_many_dispatch

from events.hub import get_hub
from hitl.accounts import standing
from hitl.accounts.authentication import by_session
from hitl.accounts.standing import Listener
from hitl.lib.limits import TooOften
from workflows import selectors
from workflows.api.inner import unless
from workflows.api.listening import Seat, get_room

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 64 * 1024

LOGGED_OUT = 4401
NOT_ALLOWED = 4403
TOO_MANY = 1008
TOO_BIG = 1009
BROKEN = 1011
RESTART = 1012


class LiveConsumer(AsyncWebsocketConsumer):
    """One browser tab. Closes with 4401 after logout and 4403 when its teams have changed."""

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Serve without a channel of its own: the process has one subscription, in the hub."""
        self.scope, self.base_send, self.channel_layer = scope, send, None
        self._task: asyncio.Task[None] | None = None
        try:
            await await_many_dispatch([receive], self.dispatch)
        except StopConsumer:
            pass
        finally:
            self._leave()

    async def connect(self) -> None:
        """Accept first: a refused handshake could not tell the page why."""
        await self.accept()
        listener = await _find(self.scope["session"].session_key)
        if listener is None:
            await self.close(LOGGED_OUT)
        elif not listener.teams:
            await self.close(NOT_ALLOWED)
        else:
            self._task = asyncio.create_task(self._serve(listener), name="live-socket")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing a browser says matters here; saying too much ends the talk."""
        if len(text_data or bytes_data or "") > MESSAGE_BYTES:
            await self.close(TOO_BIG)

    async def disconnect(self, code: int) -> None:
        """The browser has gone."""
        self._leave()

    def _leave(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, listener: Listener) -> None:
        """Pass hints on until the person may not hear them any more, or the server stops."""
        try:
            with get_room().seat(listener) as seat:
                await unless(self._pass_on(listener), seat.ended)
            await self.close(_code(seat))
        except TooOften:
            await self.close(TOO_MANY)
        except OSError:
            pass  # the browser went away in the middle of a word
        except Exception:
            logger.warning("live socket broke", exc_info=True)
            await self.close(BROKEN)

    async def _pass_on(self, listener: Listener) -> None:
        async with get_hub().subscribe(*(f"team:{id_}" for id_ in listener.teams)) as queue:
            await self._say({"type": "ready"})
            while True:
                await self._say(await queue.get())

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))


def _code(seat: Seat) -> int:
    """What to close with: the seat has ended."""
    objection = seat.ended.result()
    if objection is None:
        return RESTART
    return LOGGED_OUT if objection.is_unknown else NOT_ALLOWED


@database_sync_to_async
def _find(session_key: str | None) -> Listener | None:
    """The person behind a session and the teams they may hear; None where nobody is logged in."""
    known = by_session(session_key or "")
    if known is None:
        return None
    return standing.listener(*known, selectors.teams_of(known[0]))
