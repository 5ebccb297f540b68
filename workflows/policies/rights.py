"""Who may answer now, for whom, and for which places: the right is judged when a vote is cast."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from workflows.policies.people import Matcher, People, Person
from workflows.policies.replay import State
from workflows.policies.request import Request
from workflows.policies.shape import REPLACE, Leaf, Policy, Stage


@dataclass(frozen=True)
class Seat:
    """One way somebody may answer now: for whom, and the places the vote would count for."""

    person: str
    leaves: frozenset[str]


@dataclass(frozen=True)
class Rights:
    """The people of a request, judged against the stage that is open in `state`."""

    policy: Policy
    request: Request
    people: People
    fired: frozenset[tuple[int, int]]
    state: State

    def seats(self, person_id: str) -> list[Seat]:
        """The ways in which somebody may answer, in their own name first."""
        actor = self.people.get(person_id)
        stage = self.state.stage
        if actor is None or stage is None or not self.has_right(actor):
            return []
        persons = [actor, *(p for id_ in actor.acts_for if (p := self.people.get(id_)))]
        seats = [
            Seat(person.id, self._places(stage, person))
            for person in persons
            if self.has_right(person) and self.has_say(actor.id, person.id)
        ]
        return [seat for seat in seats if seat.leaves]

    def has_right(self, person: Person) -> bool:
        """Whether the person may decide at all, and about this request."""
        return person.may_decide and self.why_barred(person.id) is None

    def why_barred(self, person_id: str) -> str | None:
        """ "owner" or "requester" where the request is the person's own affair."""
        if person_id == self.request.owner_id and not self.policy.allow_owner:
            return "owner"
        if person_id == self.request.requester_id and not self.policy.allow_requester:
            return "requester"
        return None

    def has_say(self, actor: str, person: str) -> bool:
        """Whether neither has used up their say, in this stage or in one before."""
        if self.policy.different_people and self.state.has_agreed(actor, person):
            return False
        return not any(
            vote.person == person or (vote.user_id == actor and not self.policy.allow_twice)
            for vote in self.state.live
        )

    def open_leaves(self, stage: Stage) -> list[Leaf]:
        """The places that take new votes: of the need, and of the steps that have fired."""
        ways = {step.leaf.place: [step.leaf] for step in stage.escalation}
        fired = [s for n, s in enumerate(stage.escalation) if (stage.index, n) in self.fired]
        base = [leaf for leaf in stage.leaves if leaf.place not in ways]
        for step in fired:
            base = [step.leaf] if step.mode == REPLACE else [*base, step.leaf]
        return base

    def everyone(self, leaf: Leaf) -> list[str]:
        """Everybody a place means who may decide, whether or not they have answered."""
        return [
            person.id
            for person in self.people.persons.values()
            if self.has_right(person) and self._matcher.means(leaf.who, person)
        ]

    def all_seats(self) -> Iterator[tuple[str, Seat]]:
        """Everybody who may answer, with each of their seats."""
        for person_id in self.people.persons:
            for seat in self.seats(person_id):
                yield person_id, seat

    def _places(self, stage: Stage, person: Person) -> frozenset[str]:
        leaves = self.open_leaves(stage)
        return frozenset(leaf.place for leaf in leaves if self._matcher.means(leaf.who, person))

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self.request, self.state.on_the_table)
