"""The algebra of a policy: which stage is open, what the answers add up to, who may still answer.

Pure: the same policy, request, acts and people give the same result. These are the rules.

STAGES  The open stage is the first that is not closed and whose `when` holds on the data that
    stands. A `when` that fails holds: a person is asked. If no stage applies at all, the first is
    open anyway: nothing is approved by nobody. A closed stage never opens again; a stage that was
    skipped opens if an edit makes its condition true.
VOTES  One per person and stage, whoever casts it: a stand-in's vote counts for the person stood
    in for and bears both names, and the stand-in has no other vote in that stage (unless
    `allowTwice`). A vote that stands cannot be replaced, only withdrawn, and only while its stage
    is open. It counts for the places it was recorded with, also when its voter has lost the right
    since; a new vote needs the right now. A vote with no places counts for nothing.
RIGHT  To answer, somebody must be an active approver, be meant by an open place of the stage, and
    be neither the agent's owner nor the requester (unless the policy allows it). A stand-in needs
    this too, except that it is the person stood in for who must be meant. With `differentPeople`,
    nobody who agreed in a closed stage, in person or by a stand-in, answers in another.
EDITS  An edit lays new data on the table: that of the last standing edit of the stage, else that
    which stood when the stage opened. A vote is about what is on the table when it is cast, and
    agrees to that or to its own edit. It counts while that is on the table; otherwise it lapses:
    its voter is asked again and may vote anew. What is on the table when the stage closes stands
    from then on, and later stages decide on it. A rejection does not lapse.
ENOUGH  A stage closes when its need, or a step of its escalation, has enough distinct people at
    every place, and at least `minPeople` have answered in person.
REJECTION  `deny`: one rejection rejects the request. `impossible`: a rejection rejects it if from
    then on the need cannot be met by the votes that count and everybody who may still answer,
    judged generously (a stand-in is counted for both) and without the steps of the escalation that
    are still to come. Only a rejection rejects, and only when it is cast: that people are removed
    later may leave the request stuck, for escalation or the deadline to end. After the verdict
    nothing counts any more, and nothing is recorded.
ESCALATION  A step that has fired is another way to meet the need. One in mode `replace` closes all
    the ways before it to new votes; what was voted there stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from workflows.models import Verdict
from workflows.policies import expressions, shape
from workflows.policies.counting import is_enough, people_at
from workflows.policies.expressions import EvaluationError, ExpressionError
from workflows.policies.people import People
from workflows.policies.replay import Replay, State
from workflows.policies.request import Request
from workflows.policies.rights import Rights, Seat
from workflows.policies.shape import Leaf, Policy, Stage
from workflows.policies.votes import Act, Vote, Withdrawal


@dataclass(frozen=True)
class Progress:
    """How far one place of the open stage is. `waiting_for`: whose answers would still count."""

    leaf: Leaf
    wanted: int
    agreed: tuple[Vote, ...]
    waiting_for: frozenset[str]

    @property
    def missing(self) -> int:
        """How many more people it takes."""
        return max(self.wanted - len({vote.person for vote in self.agreed}), 0)


@dataclass(frozen=True)
class Case:
    """A policy over a request with what has happened so far, and everybody as of now.

    `acts` are those recorded, in the order they happened, and `new` is one that is taken now (see
    `after`). `fired` holds (stage, step) of the escalations that have taken place. Everything else
    follows.
    """

    policy: Policy
    request: Request
    acts: tuple[Act, ...] = ()
    people: People = field(default_factory=People)
    fired: frozenset[tuple[int, int]] = frozenset()
    new: Act | None = None

    @classmethod
    def of(
        cls,
        policy: Mapping[str, Any],
        request: Request,
        acts: Iterable[Act] = (),
        people: People | None = None,
        fired: Iterable[tuple[int, int]] = (),
    ) -> "Case":
        """The case of a policy as it is stored on a request."""
        return cls(shape.read(policy), request, tuple(acts), people or People(), frozenset(fired))

    @cached_property
    def state(self) -> State:
        """What the acts have come to."""
        return self._replay.run(self.request.fingerprint, self.acts, self.new)

    def vote(
        self,
        user_id: str,
        verdict: Verdict,
        fingerprint: str,
        *,
        result: str = "",
        behalf: str = "",
    ) -> Vote | None:
        """The vote somebody would cast now, to be recorded as it is; None if it would not count.

        The reason is then one of: the request is decided, `fingerprint` is not on the table, the
        stage allows no edits, or `plain.why_not`.
        """
        if self.stage is None:
            return None
        for seat in self.seats(user_id):
            if seat.person == (behalf or user_id):
                vote = Vote(
                    user_id, self.stage.index, verdict, seat.leaves, fingerprint, result, behalf
                )
                return vote if self._replay.takes(self.state, self.stage, vote) else None
        return None

    def withdrawal(self, user_id: str, *, behalf: str = "") -> Withdrawal | None:
        """What takes back somebody's vote; None where none of theirs stands in the open stage."""
        if self.stage is None:
            return None
        taken = Withdrawal(user_id, self.stage.index, behalf)
        mine = [v for v in self.state.standing if v.user_id == user_id and v.person == taken.person]
        return taken if mine else None

    def after(self, act: Act) -> "Case":
        """The case with one more act that is taken now, on the people of now."""
        recorded = self.acts if self.new is None else (*self.acts, self.new)
        return replace(self, acts=recorded, new=act)

    @property
    def stage(self) -> Stage | None:
        """The open stage; None once there is an outcome."""
        return None if self.state.outcome else self.state.stage

    @property
    def outcome(self) -> Verdict | None:
        """The verdict, or None while more answers are needed."""
        if self.state.outcome or self.state.stage:
            return self.state.outcome
        votes = [vote for closed in self.state.agreed.values() for vote in closed]
        edited = any(vote.verdict == Verdict.MODIFIED for vote in votes)
        same = self.request.fingerprint and self.fingerprint == self.request.fingerprint
        return Verdict.MODIFIED if edited and not same else Verdict.APPROVED

    @property
    def fingerprint(self) -> str:
        """Of the data that a new vote is about, or that was decided on."""
        return self.state.on_the_table

    @cached_property
    def rights(self) -> Rights:
        """Who may answer in the open stage."""
        return self._rights(self.state)

    def seats(self, person_id: str) -> list[Seat]:
        """The ways in which somebody may answer now, in their own name first; or none."""
        return self.rights.seats(person_id) if self.stage else []

    @cached_property
    def may_answer(self) -> dict[str, list[Seat]]:
        """Everybody whose vote would be taken now, with their seats."""
        found = {id_: self.seats(id_) for id_ in self.people.persons}
        return {id_: seats for id_, seats in found.items() if seats}

    @property
    def progress(self) -> list[Progress]:
        """How far each open place of the open stage is."""
        if self.stage is None:
            return []
        seats = [seat for seats in self.may_answer.values() for seat in seats]
        return [
            Progress(
                leaf=leaf,
                wanted=self.wanted(leaf),
                agreed=tuple(vote for vote in self.state.counting if leaf.place in vote.leaves),
                waiting_for=frozenset(s.person for s in seats if leaf.place in s.leaves),
            )
            for leaf in self.rights.open_leaves(self.stage)
        ]

    @property
    def is_stuck(self) -> bool:
        """Whether nobody who may still answer could bring the open stage to its end."""
        return self.stage is not None and self._is_doomed(self.state)

    def wanted(self, leaf: Leaf) -> int:
        """How many people a place wants. "all" is counted now; `freeze` counts it for good."""
        if leaf.count is not None:
            return leaf.count
        return max(len(self._rights(State(self.request.fingerprint)).everyone(leaf)), 1)

    def applies(self, stage: Stage, fingerprint: str) -> bool:
        """Whether a stage's condition holds on the data of this fingerprint, or is unclear."""
        if stage.when is None or not self.request.knows(fingerprint):
            return True
        try:
            condition = expressions.compile_expression(stage.when)
            return bool(condition.evaluate(self.request.variables(fingerprint)))
        except (ExpressionError, EvaluationError):
            return True

    @property
    def _replay(self) -> Replay:
        return Replay(self.policy, self.applies, self.wanted, self._is_doomed)

    def _rights(self, state: State) -> Rights:
        return Rights(self.policy, self.request, self.people, self.fired, state)

    def _is_doomed(self, state: State) -> bool:
        """Whether the open stage's need is out of reach of everybody who may still answer."""
        if state.stage is None:
            return False
        seats = list(self._rights(state).all_seats())
        actors = {vote.user_id for vote in state.counting} | {actor for actor, _ in seats}
        by_place = {
            leaf.place: people_at(leaf, state.counting)
            | {seat.person for _, seat in seats if leaf.place in seat.leaves}
            for leaf in state.stage.leaves
        }
        return not is_enough(state.stage, by_place, actors, self.wanted)
