"""Votes, escalation, people and the clock together, in any order: one life after another.

A small caller of the engine does what a server would: it records what the gate takes, sweeps now
and then, and lets the deadline take effect. Whatever happens, the promises hold.
"""

import datetime as dt
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.workflows.policies.builders import ANN, BOB, CAT, DAN, DATA
from tests.workflows.policies.test_properties import policies
from workflows.models import Verdict
from workflows.policies import Act, Case, People, Person, Request, plain, shape
from workflows.policies.escalation import fired, schedule
from workflows.policies.silence import at_deadline, ending

IDS = (ANN, BOB, CAT, DAN)
START = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
SPAN = dt.timedelta(hours=6)
reminders = st.lists(st.integers(60, 20_000).map(lambda s: {"after": s}), max_size=2)


class Life(RuleBasedStateMachine):
    """One request from its creation to its end."""

    @initialize(
        rules=policies(),
        reminders=reminders,
        action=st.sampled_from([None, "reject", "hold", "approve", "escalate"]),
    )
    def create(self, rules: dict[str, Any], reminders: Any, action: str | None) -> None:
        for stage in rules["stages"]:
            steps = [s | {"after": 3_000 * (n + 1), "repeat": n, "every": 900}
                     for n, s in enumerate(stage["escalation"])]  # fmt: skip
            stage |= {"reminders": reminders, "escalation": steps, "timeoutAction": action}
        self.policy = shape.read(rules)
        self.request = Request("pay", DATA["f0"], "f0", risk="low", versions=DATA, owner_id=DAN)
        self.people = {id_: Person(id_, groups=frozenset({"finance"})) for id_ in IDS}
        self.now, self.deadline = START, START + SPAN
        self.acts: list[Act] = []
        self.done: dict[int, list[str]] = {}
        self.opened: dict[int, dt.datetime] = {}
        self.held = False
        self.end = ""
        self._open()

    @property
    def case(self) -> Case:
        stages = self.policy.stages
        taken = [fired(stage, self.done.get(stage.index, ())) for stage in stages]
        everything = frozenset(pair for pairs in taken for pair in pairs)
        return Case(self.policy, self.request, tuple(self.acts), People(self.people), everything)

    def _open(self) -> None:
        stage = self.case.stage
        if stage is not None:
            self.opened.setdefault(stage.index, self.now)

    @rule(minutes=st.integers(1, 120))
    def wait(self, minutes: int) -> None:
        self.now += dt.timedelta(minutes=minutes)

    @rule(id_=st.sampled_from(IDS), active=st.booleans(), absent=st.sampled_from([None, *IDS]))
    def change_people(self, id_: str, active: bool, absent: str | None) -> None:
        acts_for = (absent,) if absent and absent != id_ else ()
        self.people[id_] = replace(self.people[id_], active=active, acts_for=acts_for)

    @precondition(lambda self: not self.end and (self.held or self.now < self.deadline))
    @rule(
        user=st.sampled_from(IDS),
        behalf=st.sampled_from(["", "", *IDS]),
        verdict=st.sampled_from([Verdict.APPROVED, Verdict.APPROVED, *Verdict]),
        made=st.sampled_from(list(DATA)),
    )
    def answer(self, user: str, behalf: str, verdict: Verdict, made: str) -> None:
        before = self.case
        seen = before.fingerprint
        if verdict == Verdict.MODIFIED and made == seen:
            return
        result = made if verdict == Verdict.MODIFIED else ""
        behalf = "" if behalf == user else behalf
        vote = before.vote(user, verdict, seen, result=result, behalf=behalf)
        if vote is None:
            own = any(seat.person == user for seat in before.seats(user))
            assert not own or behalf or verdict == Verdict.MODIFIED
            assert plain.why_not(before, user) or before.seats(user)
            return
        after = before.after(vote)
        assert vote in after.state.standing or after.stage != before.stage
        self.acts.append(vote)
        self.end = str(after.outcome or "")
        self._open()

    @precondition(lambda self: not self.end)
    @rule(user=st.sampled_from(IDS), behalf=st.sampled_from(["", *IDS]))
    def take_back(self, user: str, behalf: str) -> None:
        taken = self.case.withdrawal(user, behalf="" if behalf == user else behalf)
        if taken is not None:
            self.acts.append(taken)
            assert self.case.outcome is None

    @precondition(lambda self: not self.end)
    @rule()
    def sweep(self) -> None:
        """Do what is due; twice, as two servers would."""
        stage = self.case.stage
        assert stage is not None
        done = self.done.setdefault(stage.index, [])
        for _ in range(2):
            found = schedule(
                stage,
                opened_at=self.opened[stage.index],
                deadline=None if self.held else self.deadline,
                now=self.now,
                done=done,
            )
            keys = [item.key for item in (*found.due, *found.skipped)]
            assert not set(keys) & set(done)
            done += keys
        assert not found.due

    @precondition(lambda self: not self.end and not self.held and self.now >= self.deadline)
    @rule()
    def pass_deadline(self) -> None:
        case = self.case
        assert case.stage is not None
        done = self.done.setdefault(case.stage.index, [])
        silence = at_deadline(case.stage, deadline=self.deadline, risk="low", done=done)
        result = ending(case, silence)
        if result == "held":
            self.held = True
        elif result == "escalated":
            assert silence.deadline is not None
            assert silence.deadline > self.deadline
            done.append(f"escalation/{silence.step}/0")
            self.deadline = silence.deadline
        else:
            assert result in ("timeout", "silence")
            self.end = result

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "policy"):
            return
        case = self.case
        if self.end in ("approved", "modified"):
            assert case.outcome == self.end
        elif not self.end:
            assert case.outcome is None
            assert case.stage is not None
            assert plain.waiting(case) or case.stage.min_people > 1
        for done in self.done.values():
            assert len(done) == len(set(done))
        for votes in case.state.agreed.values():
            assert len({vote.person for vote in votes}) == len(votes)
            assert DAN not in {vote.person for vote in votes} or self.policy.allow_owner


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
