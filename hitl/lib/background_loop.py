"""One event loop on a thread of its own, for synchronous code that calls asynchronous libraries.

`async_to_sync` makes a new loop for each call, and with it new connections: a Redis client keeps
one for each loop. Here they stay open. Each process has its own loop, also after a fork.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def call(coroutine: Coroutine[Any, Any, ResultT], *, seconds: float) -> ResultT:
    """The coroutine's result. Raises TimeoutError after so many seconds, and what it raises.

    Not for use on an event loop's own thread: it waits.
    """
    future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, seconds), _loop())
    # The loop's own limit comes first; the second one is for a loop that stands still.
    return future.result(seconds + 1)


def _start_anew() -> None:
    """After a fork: the lock may have been held by a thread that is not here."""
    global _lock  # there is one for the process
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_start_anew)


def _loop() -> asyncio.AbstractEventLoop:
    pid = os.getpid()
    with _lock:
        loop = _loops.get(pid)
        if loop is None:
            _loops.clear()  # a parent's loop has no thread here
            loop = _loops[pid] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="background-loop", daemon=True).start()
    return loop
