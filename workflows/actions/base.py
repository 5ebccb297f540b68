"""The contract of a way to carry out an approved action on the server's side."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from hitl.lib.errors import HitlError


@dataclass(frozen=True)
class Job:
    """One attempt. `raw` are the approved bytes, `key` is the same for every attempt of a round."""

    workflow_id: str
    name: str
    team: str
    action_type: str
    data: Any
    raw: bytes
    fingerprint: str
    key: str
    attempt: int
    config: dict[str, Any] = field(default_factory=dict)


class ActionFailed(HitlError):
    """The action did not succeed.

    `permanent`: trying again is pointless. `may_have_happened`: the outcome cannot be known, so an
    at-most-once action becomes UNKNOWN instead of FAILED.
    """

    code = "action-failed"
    status = 502
    title = "The action failed"

    def __init__(
        self, detail: str, *, permanent: bool = False, may_have_happened: bool = True
    ) -> None:
        super().__init__(detail)
        self.permanent = permanent
        self.may_have_happened = may_have_happened


class Action:
    """One way to carry out. Subclasses act and answer with a JSON value, or raise ActionFailed."""

    name: ClassVar[str]

    def check_config(self, config: dict[str, Any]) -> None:
        """Raise InvalidInput when an action type configures this wrongly."""

    def run(self, job: Job) -> Any:
        """Act once on exactly `job.raw`; return a JSON value as the result."""
        raise ActionFailed(f"{self.name} cannot run", permanent=True, may_have_happened=False)
