"""A policy tried on requests there have been: what the same answers would have come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflows.models import Verdict
from workflows.policies.evaluate import Case
from workflows.policies.people import People
from workflows.policies.request import Request
from workflows.policies.votes import Act, Vote, Withdrawal


@dataclass(frozen=True)
class Past:
    """One request with the acts there were, and the people as they are judged now."""

    request: Request
    acts: tuple[Act, ...]
    people: People


@dataclass(frozen=True)
class Difference:
    """One request that would have gone another way; `number` is its place.

    A verdict None means that more answers would have been needed. `lost` are the votes that the
    new policy would not have taken.
    """

    number: int
    before: Verdict | None
    after: Verdict | None
    lost: tuple[Vote, ...]


def dry_run(
    old: Mapping[str, Any], new: Mapping[str, Any], pasts: Sequence[Past]
) -> list[Difference]:
    """The requests on which two policies differ, given the same people answering the same."""
    differences = []
    for number, past in enumerate(pasts):
        before, _ = retold(old, past)
        after, lost = retold(new, past)
        if before.outcome != after.outcome or lost:
            differences.append(Difference(number, before.outcome, after.outcome, lost))
    return differences


def retold(policy: Mapping[str, Any], past: Past) -> tuple[Case, tuple[Vote, ...]]:
    """The case as it would have been under a policy, and the votes it would not have taken."""
    case = Case.of(policy, past.request, people=past.people)
    lost: list[Vote] = []
    for act in past.acts:
        taken = _retold(case, act)
        if taken is not None:
            case = case.after(taken)
        elif isinstance(act, Vote) and case.stage is not None:
            lost.append(act)
    return case, tuple(lost)


def _retold(case: Case, act: Act) -> Act | None:
    """The same act in the stage that would have been open; None where there is no place for it."""
    if case.stage is None:
        return None
    if isinstance(act, Withdrawal):
        return replace(act, stage=case.stage.index)
    for seat in case.seats(act.user_id):
        if seat.person == act.person and act.fingerprint == case.fingerprint:
            return replace(act, stage=case.stage.index, leaves=seat.leaves)
    return None
