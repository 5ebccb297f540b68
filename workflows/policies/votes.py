"""Answers as the rules see them: a vote, and taking one back."""

from dataclasses import dataclass
from typing import TypeAlias

from workflows.models import Verdict

AGREEING = frozenset({Verdict.APPROVED, Verdict.MODIFIED})


@dataclass(frozen=True)
class Vote:
    """One answer.

    `user_id` is who answered. `behalf` is for whom: the person stood in for, or empty for oneself.
    `leaves` are the places in the stage's need that it counts for, as judged when it was cast.
    `fingerprint` is of the data that was seen, `result` of the data a `modified` verdict made.
    """

    user_id: str
    stage: int
    verdict: str
    leaves: frozenset[str]
    fingerprint: str = ""
    result: str = ""
    behalf: str = ""

    @property
    def person(self) -> str:
        """Whose answer it counts as."""
        return self.behalf or self.user_id

    @property
    def agrees(self) -> bool:
        return self.verdict in AGREEING

    @property
    def agreed(self) -> str:
        """The fingerprint of the data it agrees to."""
        edited = self.verdict == Verdict.MODIFIED
        return (self.result if edited else "") or self.fingerprint


@dataclass(frozen=True)
class Withdrawal:
    """Somebody takes back the answer they gave in a stage (for `behalf`, or for themselves)."""

    user_id: str
    stage: int
    behalf: str = ""

    @property
    def person(self) -> str:
        return self.behalf or self.user_id


Act: TypeAlias = Vote | Withdrawal
