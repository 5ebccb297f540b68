"""The short forms of files: durations, counts, and people."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(
    r"\s*([0-9]{1,9})\s*(w|d|h|m|s|weeks?|days?|hours?|minutes?|min|seconds?|sec)(?![a-z])\s*"
)
_COUNTED = re.compile(r"(\S+) of (.+)")
_BEFORE = re.compile(r"(.+?) before (?:the )?deadline")
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS: Mapping[str, Any] = {
    "all": "all", "any": 1, **{word: n for n, word in enumerate(_NUMBERS, 1)}
}  # fmt: skip
_PLAIN = re.compile(r"[^\s,](?:[^,]*[^\s,])?")
Named = Callable[[str], str]


def duration(value: Any) -> Any:
    """Seconds from `1h 30m`; other values as they are, for the format to judge.

    Raises ValueError for a text that is no duration.
    """
    if not isinstance(value, str):
        return value
    seconds, at = 0, 0
    while part := _PART.match(value, at):
        seconds += int(part[1]) * _UNITS[part[2][0]]
        at = part.end()
    if not value.strip() or at < len(value):
        raise ValueError("Write a duration, like 1h 30m or 2d.")
    return seconds


def from_seconds(seconds: int) -> str:
    """`1h 30m`."""
    parts = []
    for unit in ("d", "h", "m", "s"):
        amount, seconds = divmod(seconds, _UNITS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts) or "0s"


def reminder(text: str) -> dict[str, Any]:
    """A reminder from `1h` or `15m before deadline`. Raises ValueError."""
    before = _BEFORE.fullmatch(text.strip())
    return {"before": duration(before[1])} if before else {"after": duration(text)}


def need(text: str) -> dict[str, Any]:
    """A need from `2 of group finance` or `person ann@example.com`. Raises ValueError."""
    counted = _COUNTED.fullmatch(text.strip())
    if counted is None:
        return {"who": who(text), "count": 1}
    word = counted[1].lower()
    count = int(word) if word.isascii() and word.isdigit() and len(word) < 5 else _COUNTS.get(word)
    if count is None:
        raise ValueError(f"{counted[1]!r} is no number. Write one like 2 or two, all or any.")
    return {"who": who(counted[2]), "count": count}


def who(text: str) -> dict[str, Any]:
    """Who is meant by `group finance` and the like. Raises ValueError."""
    word, _, rest = text.strip().partition(" ")
    names = [name.strip() for name in rest.split(",")]
    if text.strip() == "approvers":
        return {"team": "approvers"}
    if text.strip() == "agent owner":
        return {"agentOwner": True}
    if word == "group" and len(names) == 1 and names[0]:
        return {"group": names[0]}
    if word in ("role", "roles") and all(names):
        return {"roles": names}
    if word in ("person", "people") and all(names):
        return {"users": names}
    raise ValueError("Write approvers, agent owner, group X, role X, person X or people X, Y.")


def who_text(given: Mapping[str, Any], named: Named) -> str | None:
    """The short form of who is meant; None where there is none that reads back as the same."""
    if "label" in given or "expression" in given:
        return None
    if "team" in given:
        return "approvers"
    if "agentOwner" in given:
        return "agent owner"
    if "group" in given:
        return f"group {given['group']}" if _PLAIN.fullmatch(given["group"]) else None
    is_people = "users" in given
    names = [named(user) for user in given["users"]] if is_people else given["roles"]
    if not all(_PLAIN.fullmatch(name) for name in names):
        return None
    word = ("person" if is_people else "role") if len(names) == 1 else ""
    return f"{word or ('people' if is_people else 'roles')} {', '.join(names)}"
