"""Places in a list, as they stand in a URL: where the next page begins.

A cursor is a position and no permission: a forged one only moves within what the person may see.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Cursor:
    """The sort key of the last row shown: its time, its rank among equals, its id."""

    moment: dt.datetime
    rank: int
    id: UUID

    def __str__(self) -> str:
        return f"{(self.moment - EPOCH) // MICROSECOND}-{self.rank}-{self.id.hex}"


def load(text: str) -> Cursor | None:
    """The cursor a URL carries, or None for anything we did not write."""
    try:
        micros, rank, id_ = text.split("-")
        return Cursor(EPOCH + int(micros) * MICROSECOND, int(rank), UUID(hex=id_))
    except (ValueError, OverflowError):
        return None
