"""The request as policies and rules see it: plain data that does not change while it is open."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Request:
    """What is asked. `versions` holds the data of edits by their fingerprints.

    `agent` has id, name and owner, `team` has id, name and slug. `owner_id` and `requester_id` are
    the people who do not decide about their own affairs. `created_at` is the moment that `time` in
    expressions speaks of, read on the clock of `zone`: a condition never changes by waiting.
    """

    action_type: str
    data: Any
    fingerprint: str = ""
    risk: str = "medium"
    agent: Mapping[str, Any] = field(default_factory=dict)
    team: Mapping[str, Any] = field(default_factory=dict)
    metadata: Any = field(default_factory=dict)
    created_at: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    zone: str = "UTC"
    owner_id: str | None = None
    requester_id: str | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)

    def knows(self, fingerprint: str) -> bool:
        """Whether the data of this fingerprint is at hand."""
        return fingerprint in ("", self.fingerprint) or fingerprint in self.versions

    def variables(self, fingerprint: str = "") -> dict[str, Any]:
        """What expressions may read, with the data of this fingerprint (default: as asked)."""
        return {
            "action_type": self.action_type,
            "data": as_numbers(self.versions.get(fingerprint, self.data)),
            "agent": {"id": "", "name": "", "owner": self.owner_id or "", **self.agent},
            "team": {"id": "", "name": "", "slug": "", **self.team},
            "risk": str(self.risk),
            "time": self._time(),
            "metadata": as_numbers(self.metadata),
        }

    def _time(self) -> dict[str, Any]:
        there = self.created_at.astimezone(ZoneInfo(self.zone))
        return {
            "now": self.created_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
            "date": there.date().isoformat(),
            "hour": there.hour,
            "minute": there.minute,
            "weekday": WEEKDAYS[there.weekday()],
            "zone": self.zone,
        }


def as_numbers(value: Any) -> Any:
    """A JSON value with every number a float.

    JSON has one kind of number and canonical JSON writes 120.0 as 120, but expressions tell whole
    numbers from others: a condition must not fail for one amount and hold for another.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, dict):
        return {key: as_numbers(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_numbers(part) for part in value]
    return value
