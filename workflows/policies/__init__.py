"""Who must answer, how many and by when: pure functions over the policy frozen on a request.

`format` says what a policy looks like, `evaluate` what the answers add up to, `escalation` and
`silence` what time does, `rules` what needs no person, `plain` says all of it in words.
"""

from collections.abc import Sequence
from typing import Any

from workflows.policies.evaluate import Case, Progress
from workflows.policies.people import People, Person
from workflows.policies.request import Request
from workflows.policies.rights import Seat
from workflows.policies.votes import AGREEING, Act, Vote, Withdrawal


def default_policy(user_ids: Sequence[str] = ()) -> dict[str, Any]:
    """One stage, one answer: of the people named, or of any approver of the team."""
    who: dict[str, Any] = {"users": list(user_ids)} if user_ids else {"team": "approvers"}
    name = "Anyone named" if user_ids else "Any approver"
    stage = {"name": name, "need": {"who": who, "count": 1}, "onReject": "deny"}
    return {"format": 1, "name": name, "allowOwner": False, "stages": [stage]}


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
    "default_policy",
]
