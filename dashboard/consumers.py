"""The live socket of a page: says "this request changed" for the person's teams, nothing else.

Hints carry ids only; the page reads the rest over HTTP, where permissions live. What the browser
sends is ignored.
"""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from channels.consumer import StopConsumer
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.utils import await_many_dispatch

from dashboard import viewers
from dashboard.viewers import Viewer
from events.hub import get_hub

logger = logging.getLogger(__name__)

RECHECK_SECONDS = 60.0
SOCKETS_PER_USER = 10  # in each process
MESSAGE_BYTES = 64 * 1024

LOGGED_OUT = 4401
NOT_ALLOWED = 4403
TOO_MANY = 1008
TOO_BIG = 1009
BROKEN = 1011

_open: Counter[UUID] = Counter()


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
        self._viewer: Viewer | None = None
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
        viewer = await self._look()
        if viewer is None:
            await self.close(LOGGED_OUT)
        elif not viewer.team_ids:
            await self.close(NOT_ALLOWED)
        elif _open[viewer.user_id] >= SOCKETS_PER_USER:
            await self.close(TOO_MANY)
        else:
            _open[viewer.user_id] += 1
            self._viewer = viewer
            self._task = asyncio.create_task(self._serve(viewer), name="live-socket")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing a browser says matters here; saying too much ends the talk."""
        if len(text_data or bytes_data or "") > MESSAGE_BYTES:
            await self.close(TOO_BIG)

    async def disconnect(self, code: int) -> None:
        """The browser has gone."""
        self._leave()

    def _leave(self) -> None:
        if self._viewer is not None:
            _open[self._viewer.user_id] -= 1
            if not _open[self._viewer.user_id]:
                del _open[self._viewer.user_id]
            self._viewer = None
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, viewer: Viewer) -> None:
        """Pass hints on until the person may not hear them any more."""
        try:
            async with get_hub().subscribe(*(f"team:{id_}" for id_ in viewer.team_ids)) as queue:
                await self._say({"type": "ready"})
                code = await self._pass_on(queue, viewer)
            await self.close(code)
        except OSError:
            pass  # the browser went away in the middle of a word
        except Exception:
            logger.warning("live socket broke", exc_info=True)
            await self.close(BROKEN)

    async def _pass_on(self, queue: asyncio.Queue[dict[str, Any]], viewer: Viewer) -> int:
        """Hints from the queue to the browser; returns the code to close with."""
        clock = asyncio.get_running_loop().time
        check_at = clock() + RECHECK_SECONDS
        while True:
            if clock() >= check_at:
                code = self._objection(viewer, await self._look())
                if code:
                    return code
                check_at = clock() + RECHECK_SECONDS
            with contextlib.suppress(TimeoutError):
                await self._say(await asyncio.wait_for(queue.get(), check_at - clock()))

    @staticmethod
    def _objection(was: Viewer, now: Viewer | None) -> int:
        """The code to close with when the person may not hear these teams any more, else 0."""
        if now is None or now.user_id != was.user_id:
            return LOGGED_OUT
        return NOT_ALLOWED if now.team_ids != was.team_ids else 0

    async def _look(self) -> Viewer | None:
        key: str | None = self.scope["session"].session_key
        viewer: Viewer | None = await database_sync_to_async(viewers.find)(key)
        return viewer

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))
