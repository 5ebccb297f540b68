"""The caches, with what limits need beside them: counting in one step.

Django's `add` and `incr` are several commands: a key that runs out between them would come back
without an end, and hold somebody off for ever.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

from django.core.cache.backends import locmem, redis

# Counts at a time in one process. Strangers make them by changing their address.
MOST_WINDOWS = 20_000

_COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
_UNCOUNT = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end
"""


class Counting(Protocol):
    """What counts in windows of fixed length, each beginning with the first that is counted."""

    def count(self, key: str, *, seconds: int) -> tuple[int, float]:
        """Count one more: how many in this window, and how many seconds it still lasts."""

    def uncount(self, key: str) -> None:
        """Take one back, if there is one."""


class Windows:
    """Counts of one process, for as many keys as there is room for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}

    def count(self, key: str, *, seconds: int) -> tuple[int, float]:
        """As Counting has it."""
        with self._lock:
            now = self._clock()
            count, end = self._windows.get(key, (0, 0.0))
            if end <= now:
                self._make_room(now)
                count, end = 0, now + seconds
            self._windows[key] = (count + 1, end)
            return count + 1, end - now

    def uncount(self, key: str) -> None:
        """As Counting has it."""
        with self._lock:
            count, end = self._windows.get(key, (0, 0.0))
            if count:
                self._windows[key] = (count - 1, end)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._windows.clear()

    def _make_room(self, now: float) -> None:
        if len(self._windows) < MOST_WINDOWS:
            return
        self._windows = {key: each for key, each in self._windows.items() if each[1] > now}
        # Still full: those that began first make room, a tenth of them, so that this is rare.
        if len(self._windows) >= MOST_WINDOWS:
            for key in sorted(self._windows, key=lambda each: self._windows[each][1])[
                : MOST_WINDOWS // 10
            ]:
                del self._windows[key]


class LocMemCache(locmem.LocMemCache):
    """The cache of a server that is one process."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, params)
        self._counted = _windows.setdefault(name, Windows())

    def count(self, key: str, *, seconds: int) -> tuple[int, float]:
        """As Counting has it."""
        return self._counted.count(self.make_key(key), seconds=seconds)

    def uncount(self, key: str) -> None:
        """As Counting has it."""
        self._counted.uncount(self.make_key(key))

    def clear(self) -> None:
        """Forget what is cached and what is counted."""
        super().clear()
        self._counted.clear()


class _Client(redis.RedisCacheClient):
    """Runs the scripts: each is one step for Redis, whoever else is counting."""

    def count(self, key: str, milliseconds: int) -> tuple[int, int]:
        count, left = self.get_client(key, write=True).eval(_COUNT, 1, key, milliseconds)
        return count, left

    def uncount(self, key: str) -> None:
        self.get_client(key, write=True).eval(_UNCOUNT, 1, key)


class RedisCache(redis.RedisCache):
    """The cache that all processes share."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client

    def count(self, key: str, *, seconds: int) -> tuple[int, float]:
        """As Counting has it."""
        client = cast(_Client, self._cache)
        count, left = client.count(self.make_key(key), seconds * 1000)
        return count, max(left, 0) / 1000

    def uncount(self, key: str) -> None:
        """As Counting has it."""
        client = cast(_Client, self._cache)
        client.uncount(self.make_key(key))


_windows: dict[str, Windows] = {}
