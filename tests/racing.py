"""Run callables at the same instant on threads of their own, each with its own connection."""

import os
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

# How often each race is run: enough to notice what is broken; `make races` runs hundreds.
ROUNDS = int(os.environ.get("RACE_ROUNDS", "25"))


def race(*runners: Callable[[], Any]) -> list[Any]:
    """Start all behind one barrier; returns what each returned, or the exception it raised."""
    barrier = threading.Barrier(len(runners))
    outcomes: list[Any] = [None] * len(runners)

    def run(index: int, runner: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            outcomes[index] = runner()
        except Exception as error:
            outcomes[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(runners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def count(outcomes: list[Any], kind: type) -> int:
    """How many outcomes are of that type."""
    return sum(isinstance(outcome, kind) for outcome in outcomes)
