"""Every order of every step, breadth first: the first breach found has the shortest story."""

from array import array
from dataclasses import dataclass, field

from tests.model import promises
from tests.model.moves import World, steps
from tests.model.state import State


@dataclass
class Found:
    """What a search has seen. `broken` are promises, `story` the steps that lead there."""

    states: int = 0
    steps: int = 0
    broken: tuple[str, ...] = ()
    story: list[str] = field(default_factory=list)
    statuses: set[str] = field(default_factory=set)


def search(world: World, *, limit: int = 5_000_000) -> Found:
    """Look at every state that can be reached. Raises MemoryError beyond `limit` states."""
    first = world.first
    known = {first: 0}
    states, parents, labels = [first], array("l", [-1]), [""]
    into: list[list[int]] = [[]]  # by duty alone, backwards
    found = Found()
    at = 0
    while at < len(states):
        state = states[at]
        for step in steps(world, state):
            found.steps += 1
            after = step.state
            number = known.get(after)
            if number is None:
                number = known[after] = len(states)
                states.append(after)
                parents.append(at)
                labels.append(step.name)
                into.append([])
                if number >= limit:
                    raise MemoryError(f"more than {limit} states")
                broken = promises.changed(state.db, after.db)
                broken += promises.broken(after, world.semantics)
                if broken:
                    return _told(found, states, parents, labels, number, broken)
            if step.is_duty:
                into[number].append(at)
        at += 1
    stuck = _stuck(states, into)
    if stuck is not None:
        return _told(found, states, parents, labels, stuck, ["L"])
    found.states, found.statuses = len(states), {state.db.status for state in states}
    return found


def _stuck(states: list[State], into: list[list[int]]) -> int | None:
    """A state from which duty alone leads to no end, the first one met; None if there is none."""
    good = bytearray(len(states))
    todo = [number for number, state in enumerate(states) if promises.is_settled(state)]
    for number in todo:
        good[number] = 1
    while todo:
        for before in into[todo.pop()]:
            if not good[before]:
                good[before] = 1
                todo.append(before)
    bad = good.find(0)
    return None if bad < 0 else bad


def _told(
    found: Found,
    states: list[State],
    parents: "array[int]",
    labels: list[str],
    at: int,
    broken: list[str],
) -> Found:
    found.states, found.broken = len(states), tuple(broken)
    while at > 0:
        found.story.append(labels[at])
        at = parents[at]
    found.story.reverse()
    return found
