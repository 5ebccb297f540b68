"""One subscription per process, fanned out in memory to everybody who waits in it.

A waiter costs a queue and nothing else: no thread, no Redis subscription, no database polling.
The layer below may go deaf without saying so; the hub talks to itself to notice, and then tells
everybody to read again.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from events.live import GROUP, hints_in

logger = logging.getLogger(__name__)

Hints = asyncio.Queue[dict[str, Any]]
RESYNC: dict[str, Any] = {"type": "resync"}
PING = "hub.ping"
PING_SECONDS = 5.0
START_SECONDS = 1.0
RETRY_SECONDS = 1.0
QUEUE_SIZE = 1000


class Hub:
    """Receives every hint once and hands it to the local queues that asked for it."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, set[Hints]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._unanswered = 0
        self._is_deaf = False

    async def _start(self) -> None:
        if self._task is None or self._task.done():
            self._ready.clear()
            self._task = asyncio.create_task(self._listen(), name="live-hub")
        # Not `wait_for`, which in Python 3.11 can swallow a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._ready.wait()

    async def close(self) -> None:
        """Stop listening; the next subscription starts anew."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @contextlib.asynccontextmanager
    async def subscribe(self, *keys: str) -> AsyncIterator[Hints]:
        """A queue of hints for `team:<id>` and `workflow:<id>` keys; RESYNC means "read again"."""
        queue: Hints = asyncio.Queue(QUEUE_SIZE)
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
        found: set[Hints] = set().union(*(self._queues.get(key, ()) for key in keys))
        for queue in found:
            _offer(queue, message)

    def resync(self) -> None:
        """Hints may have been lost: everybody reads again."""
        everybody: set[Hints] = set().union(*self._queues.values())
        for queue in everybody:
            _offer(queue, RESYNC)

    async def _listen(self) -> None:
        is_known = False
        while True:
            try:
                await self._receive_forever()
            except Exception:
                # One line an outage: the layer is tried every second.
                logger.log(
                    logging.DEBUG if is_known and not self._ready.is_set() else logging.WARNING,
                    "live subscription lost, trying again",
                    exc_info=True,
                )
                is_known = True
                self._ready.clear()
                self.resync()
                _leave_if_cancelled()
                await asyncio.sleep(RETRY_SECONDS)

    async def _receive_forever(self) -> None:
        layer = get_channel_layer()
        if layer is None:
            raise RuntimeError("CHANNEL_LAYERS is not configured")
        channel = await layer.new_channel("hub")
        await layer.group_add(GROUP, channel)
        _leave_if_cancelled()
        keeper = asyncio.create_task(self._keep(layer, channel), name="live-hub keeper")
        try:
            self._ready.set()
            self.resync()  # whatever happened while nobody listened
            while True:
                self._hear(await layer.receive(channel))
        finally:
            keeper.cancel()
            with contextlib.suppress(Exception):
                await layer.group_discard(GROUP, channel)

    def _hear(self, message: dict[str, Any]) -> None:
        self._unanswered = 0
        if self._is_deaf:
            self._is_deaf = False
            self.resync()  # hints sent meanwhile are gone
        if message.get("type") != PING:
            for hint in hints_in(message):
                self.dispatch(hint)

    async def _keep(self, layer: Any, channel: str) -> None:
        """Renew the membership, which layers let expire, and notice when nothing arrives.

        Neither layer reports that it dropped messages: Redis' reconnects by itself, the in-memory
        one throws out members that read too late.
        """
        while True:
            await asyncio.sleep(PING_SECONDS)
            self._is_deaf = self._is_deaf or self._unanswered > 0
            self._unanswered += 1
            with contextlib.suppress(Exception):
                async with asyncio.timeout(PING_SECONDS):
                    await layer.group_add(GROUP, channel)
                    await layer.send(channel, {"type": PING})


def _leave_if_cancelled() -> None:
    """The Redis client swallows a cancellation that comes while it connects; act on it here."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _offer(queue: Hints, message: dict[str, Any]) -> None:
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
