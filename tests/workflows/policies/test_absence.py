"""Who stands in for whom: windows, chains, circles."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.policies.builders import ANN, BOB, CAT, DAN
from workflows.policies import People, Person
from workflows.policies.absence import (
    MAX_CHAIN,
    Absence,
    Asked,
    circle,
    resolve,
    stand_ins,
    whom_to_ask,
    with_absences,
)

NOW = dt.datetime(2026, 8, 10, 12, tzinfo=dt.UTC)


def away(person: str, delegate: str | None, start: int = -1, end: int | None = 1) -> Absence:
    """Days from now."""
    until = None if end is None else NOW + dt.timedelta(days=end)
    return Absence(person, delegate, NOW + dt.timedelta(days=start), until)


@pytest.mark.parametrize(
    ("absences", "expected"),
    [
        ([], Asked(ANN, ANN)),
        ([away(ANN, BOB)], Asked(BOB, ANN)),
        ([away(ANN, BOB, end=None)], Asked(BOB, ANN)),
        ([away(ANN, BOB, start=1, end=2)], Asked(ANN, ANN)),
        ([away(ANN, BOB, start=-2, end=0)], Asked(ANN, ANN)),
        ([away(ANN, BOB, start=0)], Asked(BOB, ANN)),
        ([away(ANN, None)], Asked(ANN, ANN)),
        ([away(ANN, BOB), away(BOB, CAT)], Asked(CAT, ANN, (BOB,))),
        ([away(ANN, BOB), away(BOB, None)], Asked(ANN, ANN)),
        ([away(ANN, BOB), away(BOB, ANN)], Asked(ANN, ANN)),
        ([away(ANN, ANN)], Asked(ANN, ANN)),
        ([away(ANN, BOB), away(BOB, CAT), away(CAT, BOB)], Asked(ANN, ANN)),
        ([away(ANN, BOB, start=-5, end=5), away(ANN, CAT)], Asked(CAT, ANN)),
        ([away(BOB, CAT)], Asked(ANN, ANN)),
    ],
)
def test_who_answers_for_ann(absences: list[Absence], expected: Asked) -> None:
    assert resolve(ANN, absences, NOW) == expected


def test_chain_has_an_end() -> None:
    long = [away(f"p{n}", f"p{n + 1}") for n in range(MAX_CHAIN)]
    assert resolve("p0", long, NOW).actor == f"p{MAX_CHAIN}"
    longer = [*long, away(f"p{MAX_CHAIN}", "last")]
    assert resolve("p0", longer, NOW) == Asked("p0", "p0")


def test_delegate_without_the_right_does_not_stand_in() -> None:
    assert resolve(ANN, [away(ANN, BOB)], NOW, can={ANN, CAT}) == Asked(ANN, ANN)


def test_people_know_for_whom_they_act() -> None:
    people = People.of([Person(id_) for id_ in (ANN, BOB, CAT)] + [Person(DAN, active=False)])
    absences = [away(ANN, CAT), away(BOB, CAT), away(CAT, DAN)]
    assert with_absences(people, absences, NOW).persons[CAT].acts_for == ()
    found = with_absences(people, absences[:2], NOW).persons
    assert found[CAT].acts_for == (ANN, BOB)
    assert found[ANN].acts_for == ()
    assert whom_to_ask([ANN, CAT], absences[:2], NOW, people) == [Asked(CAT, ANN), Asked(CAT, CAT)]


@pytest.mark.parametrize(
    ("absences", "new", "expected"),
    [
        ([], away(ANN, BOB), []),
        ([], away(ANN, ANN), [ANN, ANN]),
        ([away(BOB, ANN)], away(ANN, BOB), [ANN, BOB, ANN]),
        ([away(BOB, CAT), away(CAT, ANN)], away(ANN, BOB), [ANN, BOB, CAT, ANN]),
        ([away(BOB, ANN, start=2, end=3)], away(ANN, BOB), []),
        ([away(BOB, ANN, start=-9, end=-8), away(BOB, ANN)], away(ANN, BOB), [ANN, BOB, ANN]),
        ([away(BOB, CAT), away(CAT, BOB)], away(ANN, BOB), []),
    ],
)
def test_circles_are_found_before_they_are_made(
    absences: list[Absence], new: Absence, expected: list[str]
) -> None:
    assert circle(absences, new) == expected


ids = st.sampled_from([ANN, BOB, CAT, DAN, "eve"])
absences = st.lists(
    st.builds(away, ids, st.none() | ids, st.integers(-3, 0), st.integers(-1, 3)), max_size=8
)


@given(absences, st.sets(ids))
def test_stand_in_is_there_and_nobody_is_lost(absences: Any, can: set[str]) -> None:
    people = [ANN, BOB, CAT, DAN, "eve"]
    found = stand_ins(people, absences, NOW, can=can)
    for actor, persons in found.items():
        assert actor in can
        assert not [each for each in absences if each.person == actor and each.covers(NOW)]
        assert actor not in persons
    reached = {resolve(person, absences, NOW, can=can).person for person in people}
    assert reached == set(people)
