"""When is a stage's need met: distinct people at every place, the tree, enough people in all."""

from collections.abc import Callable, Collection, Mapping, Sequence

from workflows.policies.shape import Leaf, Need, Stage
from workflows.policies.votes import Vote

# How many a place wants: a function, because "all" depends on who is there.
Wanted = Callable[[Leaf], int]


def is_met(stage: Stage, votes: Sequence[Vote], wanted: Wanted) -> bool:
    """Whether these agreeing votes are enough for the stage."""
    by_place = {leaf.place: people_at(leaf, votes) for leaf in stage.leaves}
    return is_enough(stage, by_place, {vote.user_id for vote in votes}, wanted)


def is_enough(
    stage: Stage,
    by_place: Mapping[str, Collection[str]],
    actors: Collection[str],
    wanted: Wanted,
) -> bool:
    """The same over people: who agrees at each place, and who answered in person."""

    def met(need: Need) -> bool:
        if isinstance(need, Leaf):
            return len(by_place.get(need.place, ())) >= wanted(need)
        return (all if need.every else any)(met(part) for part in need.parts)

    ways = [stage.need, *(step.leaf for step in stage.escalation)]
    return any(met(way) for way in ways) and len(actors) >= stage.min_people


def people_at(leaf: Leaf, votes: Sequence[Vote]) -> frozenset[str]:
    """Whose votes count at a place."""
    return frozenset(vote.person for vote in votes if leaf.place in vote.leaves)
