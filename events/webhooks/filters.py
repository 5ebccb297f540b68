"""Which events an endpoint wants: names, or beginnings of names (`workflow.*`); none means all."""

import re
from collections.abc import Sequence

from django.db.models import Q

from events.types import EventType, approval_sent
from hitl.lib.errors import FieldError, InvalidInput

TEST = "webhook.test"
MAX_FILTERS = 50
_FORM = re.compile(r"[a-z_]+(\.[a-z_]+)*(\.\*)?", re.ASCII)
# Channels stand above us: what was sent is known by its beginning only.
_SENT = approval_sent("")


def matches(wanted: Sequence[str], type_: str) -> bool:
    """Whether an event of this type is wanted."""
    return not wanted or any(_matches(each, type_) for each in wanted)


def _matches(pattern: str, type_: str) -> bool:
    if pattern.endswith(".*"):
        return type_.startswith(pattern[:-1])
    return type_ == pattern


def as_query(wanted: Sequence[str]) -> Q:
    """The same as a condition on rows with a `type`."""
    found = Q(pk__in=[])
    for each in wanted:
        found |= Q(type__startswith=each[:-1]) if each.endswith(".*") else Q(type=each)
    return found


def check(wanted: Sequence[str]) -> list[str]:
    """The filters without repetitions, or InvalidInput for one that no event can ever match."""
    unique = list(dict.fromkeys(wanted))
    if len(unique) > MAX_FILTERS:
        raise _refusal("", f"Send at most {MAX_FILTERS} filters.")
    for index, pattern in enumerate(unique):
        if not _FORM.fullmatch(pattern) or not _can_match(pattern):
            shown = pattern[:60].encode("ascii", "backslashreplace").decode()
            raise _refusal(f"/{index}", f"No event is called {shown!r}.")
    return unique


def _can_match(pattern: str) -> bool:
    if pattern.endswith(".*"):
        return any(known.startswith(pattern[:-1]) for known in (*EventType.values, f"{_SENT}x"))
    return pattern in EventType.values or (pattern.startswith(_SENT) and len(pattern) <= 40)


def _refusal(place: str, message: str) -> InvalidInput:
    return InvalidInput(message, [FieldError(f"/events{place}", message)])
