"""The acts on a request, one after the other: what is closed, open, on the table, and decided.

The rules stand in `evaluate`. Nothing here asks who somebody is now: votes count as recorded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from workflows.models import Verdict
from workflows.policies.counting import Wanted, is_met
from workflows.policies.shape import IMPOSSIBLE, Policy, Stage
from workflows.policies.votes import Act, Vote, Withdrawal


@dataclass(frozen=True)
class State:
    """Where a request stands after some acts.

    `stands` is the fingerprint of the data that the closed stages left. `standing` are the open
    stage's votes, those that lapsed included. `agreed` keeps the votes that closed each stage.
    """

    stands: str
    stage: Stage | None = None
    standing: tuple[Vote, ...] = ()
    agreed: dict[int, tuple[Vote, ...]] = field(default_factory=dict)
    outcome: Verdict | None = None

    @property
    def on_the_table(self) -> str:
        """The fingerprint that a new vote has to be about."""
        edits = [vote.agreed for vote in self.standing if vote.verdict == Verdict.MODIFIED]
        return edits[-1] if edits else self.stands

    @property
    def counting(self) -> tuple[Vote, ...]:
        """The agreeing votes that count now."""
        table = self.on_the_table
        return tuple(vote for vote in self.standing if vote.agrees and vote.agreed == table)

    @property
    def rejecting(self) -> tuple[Vote, ...]:
        return tuple(vote for vote in self.standing if not vote.agrees)

    @property
    def live(self) -> tuple[Vote, ...]:
        """The votes that use up their voter's say: all but the lapsed ones."""
        return self.counting + self.rejecting

    def has_agreed(self, *ids: str) -> bool:
        """Whether one of these people agreed in a closed stage, in person or by a stand-in."""
        votes = [vote for closed in self.agreed.values() for vote in closed]
        return any(id_ in (vote.user_id, vote.person) for vote in votes for id_ in ids)


@dataclass(frozen=True)
class Replay:
    """Folds acts into a State. The three functions are what a policy cannot know by itself."""

    policy: Policy
    applies: Callable[[Stage, str], bool]
    wanted: Wanted
    is_doomed: Callable[[State], bool]

    def run(self, fingerprint: str, acts: Iterable[Act], new: Act | None = None) -> State:
        """The state after the recorded acts, in the order they happened, and one taken now."""
        state = self._open_next(State(stands=fingerprint))
        for act in acts:
            state = self._after(state, act)
        if new is None:
            return state
        later = self._after(state, new)
        is_rejection = isinstance(new, Vote) and not new.agrees and later is not state
        if is_rejection and later.outcome is None and self.is_doomed(later):
            return replace(later, outcome=Verdict.REJECTED)
        return later

    def _after(self, state: State, act: Act) -> State:
        """The state after one act; the same object where the act counts for nothing."""
        if state.outcome is None and state.stage and act.stage == state.stage.index:
            return self._step(state, state.stage, act)
        return state

    def _step(self, state: State, stage: Stage, act: Act) -> State:
        if isinstance(act, Withdrawal):
            left = tuple(vote for vote in state.standing if not _is_of(vote, act))
            return replace(state, standing=left)
        if not self.takes(state, stage, act):
            return state
        kept = tuple(vote for vote in state.standing if not self.clash(vote, act))
        return self._judge(replace(state, standing=(*kept, act)), stage)

    def takes(self, state: State, stage: Stage, vote: Vote) -> bool:
        """Whether a recorded vote is one by the rules; the rest is as if it were not there."""
        places = {leaf.place for leaf in stage.leaves}
        return (
            not places.isdisjoint(vote.leaves)
            and vote.fingerprint == state.on_the_table
            and (stage.allow_edit or vote.verdict != Verdict.MODIFIED)
            and not any(self.clash(earlier, vote) for earlier in state.live)
            and not (self.policy.different_people and state.has_agreed(vote.user_id, vote.person))
        )

    def clash(self, earlier: Vote, later: Vote) -> bool:
        """Whether two votes of a stage are of the same person, or by the same hand."""
        same_hand = earlier.user_id == later.user_id and not self.policy.allow_twice
        return earlier.person == later.person or same_hand

    def _judge(self, state: State, stage: Stage) -> State:
        if state.rejecting and stage.on_reject != IMPOSSIBLE:
            return replace(state, outcome=Verdict.REJECTED)
        if not is_met(stage, state.counting, self.wanted):
            return state
        closed = {**state.agreed, stage.index: state.counting}
        return self._open_next(State(stands=state.on_the_table, agreed=closed))

    def _open_next(self, state: State) -> State:
        left = [stage for stage in self.policy.stages if stage.index not in state.agreed]
        for stage in left:
            if self.applies(stage, state.stands):
                return replace(state, stage=stage)
        if not state.agreed:
            return replace(state, stage=self.policy.stages[0])
        return state


def _is_of(vote: Vote, withdrawal: Withdrawal) -> bool:
    return (vote.user_id, vote.person) == (withdrawal.user_id, withdrawal.person)
