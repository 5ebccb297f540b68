"""Asynchronous calls from synchronous code: one loop, kept; failures and silence come back."""

import asyncio
import multiprocessing
import threading

import pytest

from hitl.lib import background_loop


async def loop_id() -> int:
    return id(asyncio.get_running_loop())


def test_the_loop_is_kept_over_calls_and_threads() -> None:
    first = background_loop.call(loop_id(), seconds=2)
    others: list[int] = []
    threads = [
        threading.Thread(target=lambda: others.append(background_loop.call(loop_id(), seconds=2)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {first, *others} == {first}


def test_failures_come_back() -> None:
    async def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        background_loop.call(fail(), seconds=2)


def test_silence_ends() -> None:
    with pytest.raises(TimeoutError):
        background_loop.call(asyncio.sleep(60), seconds=0.05)


def _in_a_child(queue: "multiprocessing.Queue[str]") -> None:
    queue.put(str(background_loop.call(asyncio.sleep(0, "done"), seconds=5)))


def test_a_fork_has_a_loop_of_its_own() -> None:
    background_loop.call(asyncio.sleep(0), seconds=2)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    assert queue.get(timeout=20) == "done"
    child.join(20)
    assert child.exitcode == 0
