"""The watchdog: who is silent, and what is late. Asked whenever somebody looks, so it cannot die.

`alarms` is for pages; it is worked out once every few seconds in each process.
"""

import datetime as dt
import threading
import time
from dataclasses import dataclass

from deliveries import silence
from deliveries.channels import CHANNELS
from hitl.lib.db import database_now
from hitl.operate import obligations, pulses

KEPT_SECONDS = 5.0
STANDS_STILL = {
    "deliveries": "Messages to people are not sent.",
    "webhooks": "Nobody outside is told what happens.",
    "actions": "Approved actions do not begin.",
    "sweeps": "Deadlines, reminders and second tries do not take effect.",
}


@dataclass(frozen=True)
class Alarm:
    """What is wrong, and what it means for people."""

    says: str
    means: str


def look(now: dt.datetime) -> list[Alarm]:
    """Every alarm, worst first. Parts that were never seen are not missed here: a server that is
    just being set up owes nothing yet, and what it owes is told as late."""
    signs = [each for each in pulses.signs(now) if each.is_silent and each.age is not None]
    late = [(kind, kind.oldest(now)) for kind in obligations.KINDS]
    limit = obligations.PATIENCE.total_seconds()
    return [
        *(_part(each.name, _since(now, each.age or 0)) for each in signs),
        *(_channel(name, _since(now, age)) for name, age in silence.silent(now).items()),
        *(_late(kind, _since(now, age)) for kind, age in late if age > limit),
    ]


def _part(name: str, since: str) -> Alarm:
    if name == pulses.BEAT:
        says = f"Beat has been silent since {since}."
        return Alarm(says, "Deadlines, reminders and second tries do not take effect.")
    queue = name.removeprefix("worker ")
    says = f"No worker has taken up {queue} since {since}."
    return Alarm(says, STANDS_STILL.get(queue, "Work waits until one does."))


def _channel(name: str, since: str) -> Alarm:
    label = CHANNELS[name].label if name in CHANNELS else name
    says = f"Nothing gets out over {label}, and messages have waited since {since}."
    return Alarm(says, "People may not know of requests that wait for them.")


def _late(kind: obligations.Kind, since: str) -> Alarm:
    says = f"{kind.says}: the oldest was due at {since}."
    return Alarm(says, "It is done as soon as worker and beat catch up; nothing is lost.")


def _since(now: dt.datetime, age: float) -> str:
    """An instant, not an age: a sentence that stays the same is read aloud once."""
    began = now - dt.timedelta(seconds=round(age))
    return began.strftime("%H:%M UTC" if age < 43_200 else "%d %B, %H:%M UTC")


class Kept:
    """What was seen last, for KEPT_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alarms: list[Alarm] = []
        self._until = 0.0

    def alarms(self) -> list[Alarm]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._alarms = look(database_now())
                self._until = time.monotonic() + KEPT_SECONDS
            return self._alarms

    def forget(self) -> None:
        """Look again the next time."""
        self._until = 0.0


_kept = Kept()
alarms = _kept.alarms
forget = _kept.forget
