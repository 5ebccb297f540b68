"""Who must answer, how many and by when: pure functions over the policy frozen on a request.

`format` says what a policy looks like, `evaluate` what the answers add up to, `escalation` and
`silence` what time does, `rules` what needs no person, `plain` says all of it in words.
"""

from collections.abc import Sequence
from typing import Any

from workflows.models import Verdict
from workflows.policies import shape
from workflows.policies.evaluate import Case, Progress
from workflows.policies.people import Matcher, People, Person
from workflows.policies.request import Request
from workflows.policies.rights import Seat
from workflows.policies.votes import AGREEING, Act, Vote, Withdrawal

_NOTHING_KNOWN = Request(action_type="", data=None)


def default_policy(user_ids: Sequence[str] = ()) -> dict[str, Any]:
    """One stage, one answer: of the people named, or of any approver of the team."""
    who: dict[str, Any] = {"users": list(user_ids)} if user_ids else {"team": "approvers"}
    name = "Anyone named" if user_ids else "Any approver"
    stage = {"name": name, "need": {"who": who, "count": 1}, "onReject": "deny"}
    return {"format": 1, "name": name, "allowOwner": False, "stages": [stage]}


def current_stage(policy: dict[str, Any], votes: Sequence[Vote]) -> int | None:
    """Index of the stage that wants answers; None when all are satisfied."""
    stage = Case.of(policy, _NOTHING_KNOWN, votes).stage
    return stage.index if stage else None


def outcome(policy: dict[str, Any], votes: Sequence[Vote]) -> Verdict | None:
    """The verdict these votes add up to, the last one cast now, or None while more are needed.

    It knows nobody: where a rejection counts once the others cannot make up the number, it does so
    at once. `Case` knows better.
    """
    case = Case.of(policy, _NOTHING_KNOWN, votes[:-1])
    return (case.after(votes[-1]) if votes else case).outcome


def leaves_for(policy: dict[str, Any], stage: int, user_id: str) -> list[str]:
    """The places in the stage's need that this (then deciding) member of the team answers for.

    Empty: the stage does not ask this person. For policies of names and "approvers" only; others
    need to know more about the person: `Case.seats`.
    """
    person = Person(user_id)
    leaves = shape.leaves_of(shape.read(policy).stages[stage].need)
    return [leaf.place for leaf in leaves if Matcher(_NOTHING_KNOWN).means(leaf.who, person)]


__all__ = [
    "AGREEING",
    "Act",
    "Case",
    "People",
    "Person",
    "Progress",
    "Request",
    "Seat",
    "Vote",
    "Withdrawal",
    "current_stage",
    "default_policy",
    "leaves_for",
    "outcome",
]
