"""When reminders are welcome, as the form shows it: quiet hours, working days, holidays."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboard.drafts.nodes import Node, Written
from dashboard.drafts.posts import Posted, text, texts, ticked
from hitl.lib import pointer
from workflows.policies.request import WEEKDAYS

_HOURS = ("09:00", "17:00")
_NIGHT = ("22:00", "07:00")


@dataclass
class Calendar(Node):
    """A calendar with one span of quiet hours, and the same working hours on every working day."""

    is_on: bool = False
    zone: str = "UTC"
    quiet_from: str = ""
    quiet_until: str = ""
    days: list[str] = field(default_factory=list)
    work_from: str = _HOURS[0]
    work_until: str = _HOURS[1]
    holidays: str = ""

    @classmethod
    def read(cls, posted: Posted) -> "Calendar":
        """As it was posted."""
        names = ("zone", "quiet_from", "quiet_until")
        zone, quiet_from, quiet_until = (text(posted, name) for name in names)
        return cls(
            ticked(posted, "is_on"),
            zone or "UTC",
            quiet_from,
            quiet_until,
            texts(posted, "days"),
            text(posted, "work_from", _HOURS[0]),
            text(posted, "work_until", _HOURS[1]),
            text(posted, "holidays"),
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Calendar":
        """Of stored data, as far as it can be shown."""
        if stored is None:
            return cls(quiet_from=_NIGHT[0], quiet_until=_NIGHT[1])
        quiet = (stored.get("quiet") or [["", ""]])[0]
        work = stored.get("work") or {}
        hours = next(iter(work.values()), [list(_HOURS)])[0]
        return cls(
            True,
            str(stored.get("zone", "UTC")),
            quiet[0],
            quiet[1],
            [day for day in WEEKDAYS if day in work],
            hours[0],
            hours[1],
            ", ".join(stored.get("holidays", ())),
        )

    def write(self, place: str, written: Written) -> dict[str, Any] | None:
        """The data of it; None where it is off."""
        written.note(place, self, "zone")
        if not self.is_on:
            return None
        for key, name in (("quiet", "quiet_from"), ("work", "work_from"), ("holidays", "holidays")):
            written.note(pointer.join(place, key), self, name)
        found: dict[str, Any] = {"zone": self.zone}
        if self.quiet_from or self.quiet_until:
            found["quiet"] = [[self.quiet_from, self.quiet_until]]
        if self.days:
            hours = [self.work_from, self.work_until]
            found["work"] = {day: [hours] for day in WEEKDAYS if day in self.days}
        holidays = [day for day in re.split(r"[,\s]+", self.holidays) if day]
        if holidays:
            found["holidays"] = holidays
        return found
