"""Counts the statements of one operation, and strikes at one of them.

Armed only in the process that plays the operation. `before` the first statement is number 1.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BEFORE, AFTER = "before", "after"
LONGEST_WAIT_SECONDS = 10.0


@dataclass
class Plan:
    """Where to strike, and how; `seen` are the statements so far."""

    number: int
    when: str
    strike: Callable[[], None]
    seen: list[str] = field(default_factory=list)


_armed: list[Plan] = []


def arm(plan: Plan) -> None:
    """From now on statements are counted."""
    _armed[:] = [plan]


def disarm() -> None:
    """The operation is over."""
    _armed.clear()


@contextlib.contextmanager
def around(sql: str) -> Iterator[None]:
    """One statement."""
    if not _armed:
        yield
        return
    plan = _armed[0]
    plan.seen.append(sql)
    number = len(plan.seen)
    if (number, BEFORE) == (plan.number, plan.when):
        plan.strike()
    yield
    if (number, AFTER) == (plan.number, plan.when):
        plan.strike()


# --- What can happen there ------------------------------------------------------------------------


def kill_myself() -> None:
    """The process is gone without a word, as after an OOM kill."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop(pid: int, number: int, port: int) -> None:
    """Send a server a signal, and wait until nobody listens any more."""
    os.kill(pid, number)
    give_up = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.005)
    raise TimeoutError(f"process {pid} still listens on {port}")


def flush(port: int) -> None:
    """Redis forgets everything."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        connection.recv(64)
