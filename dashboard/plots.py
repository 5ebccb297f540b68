"""Numbers as shapes: where the rectangles of a plot stand. Colours are the style sheet's.

Heights and widths are attributes, since the content policy allows no styles in the page.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from workflows.statistics.reading import Numbers

HEIGHT, STEP, GAP = 160, 10, 2
WEEKLY_FROM = 100  # days


class Series(NamedTuple):
    """One layer of the stack: a word for the style sheet, words for people, what it counts."""

    name: str
    label: str
    value: Callable[[Numbers], int]


# From the bottom up. What needed nobody is apart from what people did.
SERIES = (
    Series("approved", "Approved", lambda of: of.approved),
    Series("modified", "Approved with edits", lambda of: of.modified),
    Series("rejected", "Rejected", lambda of: of.rejected),
    Series("rule", "Decided by a rule", lambda of: of.by_rule),
    Series("silence", "Approved by silence", lambda of: of.silence_approved),
    Series("timeout", "Timed out", lambda of: of.timed_out),
    Series("cancelled", "Withdrawn", lambda of: of.cancelled),
    Series("pending", "Open", lambda of: of.pending),
)


@dataclass(frozen=True)
class Block:
    """One rectangle of a bar."""

    name: str
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """One day, or one week; `says` is its tooltip, `counts` its line in the table."""

    label: str
    x: int
    width: int
    blocks: list[Block]
    says: str
    counts: list[int]
    total: int


@dataclass(frozen=True)
class Stack:
    """Bars side by side. `top` is the number at the upper edge."""

    bars: list[Bar]
    top: int
    width: int
    unit: str
    series: tuple[Series, ...]

    @property
    def half(self) -> str:
        return f"{self.top // 2:,}" if self.top % 2 == 0 else ""


def stacked(days: Mapping[dt.date, Numbers]) -> Stack:
    """Requests by the day they were created, what became of them on top of each other."""
    unit = "week" if len(days) > WEEKLY_FROM else "day"
    parts = _weeks(days) if unit == "week" else [(_name(day), of) for day, of in days.items()]
    shown = tuple(each for each in SERIES if any(each.value(of) for of in days.values()))
    top = ceiling(max((of.requests for _, of in parts), default=0))
    bars = [_bar(number, label, of, top, shown) for number, (label, of) in enumerate(parts)]
    return Stack(bars, top, max(1, len(bars)) * STEP, unit, shown)


def _name(day: dt.date) -> str:
    return f"{day.day} {day:%b %Y}"


def _weeks(days: Mapping[dt.date, Numbers]) -> list[tuple[str, Numbers]]:
    """Seven days at a time, from the first; the last may be shorter."""
    names, numbers = list(days), list(days.values())
    found = []
    for start in range(0, len(names), 7):
        total = Numbers()
        for each in numbers[start : start + 7]:
            total = total.plus(each)
        last = names[min(start + 6, len(names) - 1)]
        found.append((f"{_name(names[start])} to {_name(last)}", total))
    return found


def _bar(number: int, label: str, of: Numbers, top: int, shown: Iterable[Series]) -> Bar:
    blocks, y, words, counts = [], float(HEIGHT), [], []
    for series in shown:
        value = series.value(of)
        counts.append(value)
        if value:
            height = HEIGHT * value / top
            y -= height
            blocks.append(Block(series.name, round(y, 2), round(height, 2)))
            words.append(f"{value:,} {series.label.lower()}")
    says = f"{label}: {', '.join(words)}" if words else f"{label}: nothing"
    return Bar(label, number * STEP + GAP // 2, STEP - GAP, blocks, says, counts, of.requests)


def ceiling(number: int) -> int:
    """The next round number: 1, 2 or 5 with noughts, at least 2."""
    size = 1
    while True:
        for step in (2, 5, 10):
            if step * size >= number:
                return step * size
        size *= 10
