"""One subscription per process, fanned out in memory to everybody who waits in it.

A waiter costs a queue and nothing else: no thread, no Redis subscription, no database polling.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from events.live import GROUP

logger = logging.getLogger(__name__)

RESYNC: dict[str, Any] = {"type": "resync"}
RETRY_SECONDS = 1.0
QUEUE_SIZE = 1000


class Hub:
    """Receives every hint once and hands it to the local queues that asked for it."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[dict[str, Any]]]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def _start(self) -> None:
        if self._task is None or self._task.done():
            self._ready.clear()
            self._task = asyncio.create_task(self._listen(), name="live-hub")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), 2.0)

    @contextlib.asynccontextmanager
    async def subscribe(self, *keys: str) -> AsyncIterator[asyncio.Queue[dict[str, Any]]]:
        """A queue of hints for `team:<id>` and `workflow:<id>` keys; RESYNC means "read again"."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE_SIZE)
        for key in keys:
            self._queues[key].add(queue)
        try:
            await self._start()
            yield queue
        finally:
            for key in keys:
                self._queues[key].discard(queue)
                if not self._queues[key]:
                    del self._queues[key]

    def dispatch(self, message: dict[str, Any]) -> None:
        """Put a hint into the queues that want it; a full queue gets one RESYNC instead."""
        keys = (f"team:{message.get('team_id')}", f"workflow:{message.get('workflow_id')}")
        for key in keys:
            for queue in tuple(self._queues.get(key, ())):
                _offer(queue, message)

    def resync(self) -> None:
        """Hints may have been lost: everybody reads again."""
        for queue in tuple(self._all_queues()):
            _offer(queue, RESYNC)

    def _all_queues(self) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        seen: set[int] = set()
        for queues in tuple(self._queues.values()):
            for queue in queues:
                if id(queue) not in seen:
                    seen.add(id(queue))
                    yield queue

    async def _listen(self) -> None:
        while True:
            try:
                await self._receive_forever()
            except asyncio.CancelledError:
                raise
            except Exception:
                logger.warning("live subscription lost, trying again", exc_info=True)
                self.resync()
                await asyncio.sleep(RETRY_SECONDS)

    async def _receive_forever(self) -> None:
        layer = get_channel_layer()
        if layer is None:
            raise RuntimeError("CHANNEL_LAYERS is not configured")
        channel = await layer.new_channel("hub")
        await layer.group_add(GROUP, channel)
        try:
            self._ready.set()
            self.resync()  # whatever happened while nobody listened
            while True:
                self.dispatch(await layer.receive(channel))
        finally:
            with contextlib.suppress(Exception):
                await layer.group_discard(GROUP, channel)


def _offer(queue: asyncio.Queue[dict[str, Any]], message: dict[str, Any]) -> None:
    try:
        queue.put_nowait(message)
    except asyncio.QueueFull:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(RESYNC)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def get_hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
