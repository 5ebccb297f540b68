"""Channel layer of the embedded mode: callers on any thread are moved to the server's loop.

Channels' in-memory layer completes another loop's futures from the caller's thread, which wakes
nobody. Hopping to the loop the sockets live on delivers in about a millisecond.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from channels.layers import InMemoryChannelLayer


class EmbeddedChannelLayer(InMemoryChannelLayer):  # type: ignore[misc]  # channels is untyped
    """In-memory layer for one process with worker threads; `home` is the web server's loop."""

    home: ClassVar[asyncio.AbstractEventLoop | None] = None

    async def _at_home(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        home = type(self).home
        if home is None or home is asyncio.get_running_loop():
            return await function(*args)

        async def call() -> Any:
            return await function(*args)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), home))

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        await self._at_home(super().send, channel, message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._at_home(super().group_send, group, message)
