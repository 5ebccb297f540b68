"""The schedule of an open stage: reminders and steps of escalation, which are due, which is next.

Pure: the same stage, times and history give the same plan. Each item happens at most once, known
by its key; nothing is planned for the deadline or later, and an item planned there never was.
Reminders wait for the calendar; deadlines and escalations do not. Of several reminders that are
due together only the latest is sent, the others are skipped: a sweep that was down for a day does
not send a day's reminders at once.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from workflows.policies.calendars import Calendar, next_allowed
from workflows.policies.shape import Stage

REMINDER, ESCALATION = "reminder", "escalation"


@dataclass(frozen=True, order=True)
class Item:
    """One thing that time does. `turn` counts repetitions, 0 being the step itself.

    `planned` is when the policy says, `at` when it may happen: later where a calendar delays it.
    """

    at: dt.datetime
    kind: str
    number: int
    turn: int
    planned: dt.datetime

    @property
    def key(self) -> str:
        """What it is known by within a stage, like `escalation/0/2`."""
        return f"{self.kind}/{self.number}/{self.turn}"

    @property
    def is_delayed(self) -> bool:
        """Whether quiet or free hours have moved it."""
        return self.at > self.planned


@dataclass(frozen=True)
class Schedule:
    """What is to be done now, what is passed over for good, and what comes.

    `lost` are the reminders that quiet hours would move to the deadline or past it.
    """

    due: tuple[Item, ...] = ()
    skipped: tuple[Item, ...] = ()
    upcoming: tuple[Item, ...] = ()
    lost: tuple[Item, ...] = ()

    @property
    def next(self) -> Item | None:
        """What comes next, with its time."""
        return self.upcoming[0] if self.upcoming else None


def schedule(
    stage: Stage,
    *,
    opened_at: dt.datetime,
    deadline: dt.datetime | None,
    now: dt.datetime,
    done: Collection[str] = (),
    calendars: Sequence[Calendar] = (),
) -> Schedule:
    """The plan of a stage that is open now; nothing from the deadline on (see `silence`).

    `done` holds the keys of what happened or was skipped. `deadline` None: the request is held,
    there is none any more. Repetitions count from when their step was planned. Once there is a
    verdict there is no plan: do not ask.
    """
    if deadline is not None and now >= deadline:
        return Schedule()
    planned = [*_reminders(stage, opened_at, deadline, calendars), *_steps(stage, opened_at)]
    in_time = [item for item in planned if deadline is None or item.planned < deadline]
    left = sorted(item for item in in_time if item.key not in done)
    items = [item for item in left if deadline is None or item.at < deadline]
    due = [item for item in items if item.at <= now]
    latest = max((item for item in due if item.kind == REMINDER), default=None)
    skipped = [item for item in due if item.kind == REMINDER and item is not latest]
    return Schedule(
        due=tuple(item for item in due if item not in skipped),
        skipped=tuple(skipped),
        upcoming=tuple(item for item in items if item.at > now),
        lost=tuple(item for item in left if item not in items),
    )


def fired(stage: Stage, done: Collection[str]) -> frozenset[tuple[int, int]]:
    """The steps of the escalation that have taken place, as `Case` wants them."""
    numbers = range(len(stage.escalation))
    return frozenset((stage.index, n) for n in numbers if f"{ESCALATION}/{n}/0" in done)


def _reminders(
    stage: Stage,
    opened_at: dt.datetime,
    deadline: dt.datetime | None,
    calendars: Sequence[Calendar],
) -> Iterator[Item]:
    for number, reminder in enumerate(stage.reminders):
        seconds = dt.timedelta(seconds=reminder.seconds)
        if not reminder.before_deadline:
            planned = opened_at + seconds
        elif deadline is not None and deadline - seconds > opened_at:
            planned = deadline - seconds
        else:
            continue
        yield Item(next_allowed(planned, *calendars), REMINDER, number, 0, planned)


def _steps(stage: Stage, opened_at: dt.datetime) -> Iterator[Item]:
    for number, step in enumerate(stage.escalation):
        first = opened_at + dt.timedelta(seconds=step.after)
        for turn in range(step.repeat + 1):
            at = first + turn * dt.timedelta(seconds=step.every)
            yield Item(at, ESCALATION, number, turn, at)
