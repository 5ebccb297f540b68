"""Beat and the workers leave a sign of life every few seconds; who leaves none is silent.

Beat's is written where it hands the task over, the worker's where the task runs: the two are told
apart. A worker that is far behind is as silent as one that is not there.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

from hitl.lib.db import database_now
from hitl.operate.models import Pulse

TASK = "hitl.operate.tasks.pulse"
BEAT = "beat"
# Pulses come every 10 seconds: three may get lost. Together with a page's asking every 20 seconds
# that makes less than a minute.
SILENT_AFTER = dt.timedelta(seconds=35)


@dataclass(frozen=True)
class Sign:
    """One part's last sign of life; `age` is None where there never was one.

    `is_known` is False for a worker while beat is silent: nobody asks it for signs then.
    """

    name: str
    age: float | None
    is_known: bool = True

    @property
    def is_silent(self) -> bool:
        return self.is_known and (self.age is None or self.age > SILENT_AFTER.total_seconds())


def note(name: str) -> None:
    """This part is alive now."""
    Pulse.objects.bulk_create(
        [Pulse(name=name, at=database_now())],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["at"],
    )


def expected() -> Iterator[str]:
    """Who is to leave signs: beat, and some worker of each queue."""
    yield BEAT
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        if entry["task"] == TASK:
            yield entry["args"][0]


def signs(now: dt.datetime) -> list[Sign]:
    """The last sign of each part that is expected to leave some, beat's first."""
    seen = dict(Pulse.objects.values_list("name", "at"))
    ages = {
        name: max((now - seen[name]).total_seconds(), 0.0) if name in seen else None
        for name in expected()
    }
    beat = Sign(BEAT, ages.pop(BEAT))
    return [beat, *(Sign(name, age, _is_known(age, beat)) for name, age in ages.items())]


def _is_known(age: float | None, beat: Sign) -> bool:
    """Beat runs; or it fell silent after the worker had, or while the worker still was young."""
    if not beat.is_silent or beat.age is None or age is None:
        return not beat.is_silent
    limit = SILENT_AFTER.total_seconds()
    return age <= limit or age > beat.age + limit
