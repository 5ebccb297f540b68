"""Who stands in for whom: absences with a delegate, in chains that end and never turn in circles.

An absent person's delegate who is absent too passes it on to theirs, up to MAX_CHAIN times. Where
the chain ends with nobody who is there, the absent person is asked after all: better late than
lost. Handing over one request is an absence for that request.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from workflows.policies.people import People

MAX_CHAIN = 5


@dataclass(frozen=True)
class Absence:
    """Somebody is away from `start` until just before `end` (None: open)."""

    person: str
    delegate: str | None
    start: dt.datetime
    end: dt.datetime | None = None

    def covers(self, moment: dt.datetime) -> bool:
        """Whether the person is away at this moment."""
        return self.start <= moment and (self.end is None or moment < self.end)


@dataclass(frozen=True)
class Asked:
    """Whom to write to, and as whom they would answer. `through` lists the delegates passed by."""

    actor: str
    person: str
    through: tuple[str, ...] = ()


def resolve(
    person: str,
    absences: Sequence[Absence],
    now: dt.datetime,
    *,
    can: Collection[str] | None = None,
) -> Asked:
    """Who answers for a person now: themselves, or whoever stands in at the end of the chain.

    `can` are the people with the right to decide; a delegate outside of it cannot stand in. Of two
    absences at once the one that began later counts: it was made knowing the other.
    """
    through: list[str] = []
    current = person
    for _ in range(MAX_CHAIN + 1):
        away = _absence(current, absences, now)
        if away is None:
            return Asked(current, person, tuple(through[1:]))
        through.append(current)
        following = away.delegate
        if following is None or (can is not None and following not in can):
            break
        current = following
    return Asked(person, person)


def stand_ins(
    persons: Collection[str],
    absences: Sequence[Absence],
    now: dt.datetime,
    *,
    can: Collection[str] | None = None,
) -> Mapping[str, tuple[str, ...]]:
    """For everybody who stands in now: the ids of those they stand in for, in order."""
    found: dict[str, list[str]] = {}
    for person in sorted(persons):
        asked = resolve(person, absences, now, can=can)
        if asked.actor != person:
            found.setdefault(asked.actor, []).append(person)
    return {actor: tuple(absent) for actor, absent in found.items()}


def with_absences(people: People, absences: Sequence[Absence], now: dt.datetime) -> People:
    """The same people, knowing for whom they act."""
    can = {person.id for person in people.persons.values() if person.may_decide}
    found = stand_ins(people.persons, absences, now, can=can)
    return People(
        {
            id_: replace(person, acts_for=found.get(id_, ()))
            for id_, person in people.persons.items()
        }
    )


def whom_to_ask(
    persons: Collection[str], absences: Sequence[Absence], now: dt.datetime, people: People
) -> list[Asked]:
    """Whom to write to so that all of these are reached, and as whom each would act."""
    can = {person.id for person in people.persons.values() if person.may_decide}
    return [resolve(person, absences, now, can=can) for person in sorted(persons)]


def circle(absences: Sequence[Absence], new: Absence) -> list[str]:
    """The people in a circle that a new absence would close at some time; or an empty list."""
    others = [each for each in absences if each.person != new.person and _meet(each, new)]
    paths = [[new.person, new.delegate]] if new.delegate else []
    seen = set()
    while paths:
        path = paths.pop()
        if path[-1] == new.person:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            following = [each.delegate for each in others if each.person == path[-1]]
            paths += [[*path, person] for person in following if person]
    return []


def _absence(person: str, absences: Sequence[Absence], now: dt.datetime) -> Absence | None:
    current = [each for each in absences if each.person == person and each.covers(now)]
    return max(current, key=lambda each: each.start, default=None)


def _meet(one: Absence, other: Absence) -> bool:
    """Whether two absences share a moment."""
    first = other.end is None or one.start < other.end
    return first and (one.end is None or other.start < one.end)
