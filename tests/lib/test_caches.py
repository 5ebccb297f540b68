"""Counting in one step: whole windows, no key without an end, exact with many at once."""

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any, cast

import pytest
from django.conf import settings
from django.core.cache import cache

from hitl.lib import caches
from hitl.lib.caches import Counting, RedisCache, Windows

Counter = Windows | RedisCache


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_ends() -> None:
    clock = Clock()
    windows = Windows(clock)
    assert windows.count("a", seconds=60) == (1, 60)
    clock.now += 59
    assert windows.count("a", seconds=60) == (2, 1)
    clock.now += 1
    assert windows.count("a", seconds=60) == (1, 60)


def test_nothing_is_taken_back_that_was_not_given() -> None:
    windows = Windows()
    windows.uncount("a")
    windows.count("a", seconds=60)
    windows.uncount("a")
    windows.uncount("a")
    assert windows.count("a", seconds=60)[0] == 1


def test_strangers_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MOST_WINDOWS", 100)
    clock = Clock()
    windows = Windows(clock)
    for number in range(1000):
        clock.now += 0.001
        windows.count(f"address {number}", seconds=60)
        assert len(windows._windows) <= 100
    # Those that came last are still counted; what has ended makes room first.
    assert windows.count("address 999", seconds=60)[0] == 2
    clock.now += 61
    windows.count("new", seconds=60)
    assert len(windows._windows) <= 100


def test_the_servers_cache_counts() -> None:
    counting = cast(Counting, cache)
    assert [counting.count("k", seconds=60)[0] for _ in range(3)] == [1, 2, 3]
    counting.uncount("k")
    assert counting.count("k", seconds=60)[0] == 3
    cache.clear()
    number, left = counting.count("k", seconds=60)
    assert number == 1
    assert 59 < left <= 60


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture
def redis(db: None) -> Iterator[RedisCache]:
    yield cast(RedisCache, cache._connections["default"])  # type: ignore[attr-defined]
    cache.clear()


@pytest.mark.postgres
@pytest.mark.django_db
def test_no_count_is_without_an_end(redis: RedisCache) -> None:
    client = redis._cache.get_client(write=True)
    redis.count("k", seconds=60)
    redis.count("k", seconds=60)
    assert 0 < client.pttl(redis.make_key("k")) <= 60_000
    client.pexpire(redis.make_key("k"), 1)
    while client.exists(redis.make_key("k")):
        pass
    redis.uncount("k")
    assert not client.exists(redis.make_key("k"))
    assert redis.count("k", seconds=60)[0] == 1


@pytest.mark.postgres
@pytest.mark.django_db
def test_four_processes_worth_of_counting_is_exact(redis: RedisCache) -> None:
    """D-01: 500 at once, by four connections of their own, and 60 get through."""
    place: dict[str, Any] = settings.CACHES["default"]
    let_through = count()
    start = threading.Barrier(4)

    def ask() -> None:
        own = RedisCache(place["LOCATION"], {"OPTIONS": {}})
        start.wait()
        for _ in range(125):
            if own.count("one key", seconds=60)[0] <= 60:
                next(let_through)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert next(let_through) == 60
