"""How far a request is, and what time will do next, in plain English."""

import datetime as dt
from collections.abc import Callable
from typing import TypeAlias

from workflows.policies.escalation import ESCALATION, Item, Schedule
from workflows.policies.evaluate import Case, Progress
from workflows.policies.plain.policy import asked_then, meant
from workflows.policies.plain.words import Names, listed, sentence
from workflows.policies.shape import Stage
from workflows.policies.votes import Vote

_NOBODY = Names()
_WHY_BARRED = {
    "owner": "You own the agent that asks, so somebody else has to decide.",
    "requester": "You asked for this, so somebody else has to decide.",
}
# How the reader writes a moment.
Clock: TypeAlias = Callable[[dt.datetime], str]


def waiting(case: Case, names: Names = _NOBODY) -> str:
    """`1 of 2, waiting for Finance.` Several places are joined; nothing once it is decided."""
    parts = [_place(progress, names) for progress in case.progress if progress.missing]
    if not parts:
        return ""
    if case.is_stuck:
        return sentence(f"{'; '.join(parts)}; but nobody who could answer is left")
    return sentence("; ".join(parts))


def _place(progress: Progress, names: Names) -> str:
    done = progress.wanted - progress.missing
    people = sorted(names.person(person) for person in progress.waiting_for)
    whom = meant(progress.leaf.who, names)
    if "users" in progress.leaf.who and "label" not in progress.leaf.who and people:
        whom = listed(people, "or") if progress.missing < len(people) else listed(people)
    return f"{done} of {progress.wanted}, waiting for {whom}"


def who_answered(vote: Vote, names: Names = _NOBODY) -> str:
    """`Bob`, or `Bob for Ann` for a stand-in."""
    actor = names.person(vote.user_id)
    return f"{actor} for {names.person(vote.behalf)}" if vote.person != vote.user_id else actor


def why_not(case: Case, person_id: str) -> str:
    """Why somebody may not answer now; empty if they may."""
    if case.stage is None:
        return "The request is decided."
    if case.seats(person_id):
        return ""
    person = case.people.get(person_id)
    if person is None or not person.may_decide:
        return "You have no right to decide in this team."
    barred = case.rights.why_barred(person_id)
    if barred:
        return _WHY_BARRED[barred]
    if case.policy.different_people and case.state.has_agreed(person_id):
        return "You have agreed in an earlier stage, and the policy wants different people."
    if any(person_id in (vote.user_id, vote.person) for vote in case.state.live):
        return "You have answered already, or somebody has for you."
    return f"The stage {case.stage.name!r} asks other people."


def comes_next(schedule: Schedule, stage: Stage, clock: Clock, names: Names = _NOBODY) -> str:
    """Who is next and when: `At 14:00 Dora is asked, too, and can decide alone.`"""
    if schedule.next is None:
        return ""
    return sentence(happening(schedule.next, stage, clock, names))


def happening(item: Item, stage: Stage, clock: Clock, names: Names = _NOBODY) -> str:
    """What an item of the schedule does, and when."""
    when = f"at {clock(item.at)}"
    if item.is_delayed:
        when += f" (not at {clock(item.planned)}, in quiet or free hours)"
    if item.kind != ESCALATION:
        return f"{when} people are reminded"
    taken = stage.escalation[item.number]
    if item.turn:
        return f"{when} {meant(taken.leaf.who, names)} will be told again"
    return f"{when} {asked_then(taken, stage, names)}"
