"""What a verification finds, in words that say which event or checkpoint it is about."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

KEPT = 1000  # findings told one by one; all are counted


class Kind(StrEnum):
    """What was done to the log, as far as that can be told."""

    EVENT_CHANGED = "event-changed"
    EVENT_MISSING = "event-missing"
    EVENT_REPLACED = "event-replaced"
    EVENT_INVENTED = "event-invented"
    EVENT_MOVED = "event-moved"
    TIME_BACKWARDS = "time-backwards"
    LOG_MISSING = "log-missing"
    HEAD_CHANGED = "head-changed"
    HEAD_MISSING = "head-missing"
    WORKFLOW_CHANGED = "workflow-changed"
    WORKFLOW_MISSING = "workflow-missing"
    CHECKPOINT_CHANGED = "checkpoint-changed"
    CHECKPOINT_MISSING = "checkpoint-missing"
    CHECKPOINT_REPLACED = "checkpoint-replaced"
    HEADS_CHANGED = "checkpoint-heads-changed"
    SIGNATURE_BAD = "signature-bad"
    KEY_UNKNOWN = "key-unknown"
    CHAIN_HEAD_CHANGED = "checkpoint-chain-changed"
    ANCHOR_MISSING = "anchored-checkpoint-missing"
    ANCHOR_DIFFERS = "anchored-checkpoint-differs"
    ANCHOR_BAD = "anchor-damaged"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written. `seq` 0: the workflow as a whole."""

    kind: Kind
    says: str
    workflow_id: str = ""
    seq: int = 0
    checkpoint: int = 0


@dataclass
class Found:
    """What was looked at, and what came of it. Parts that were looked at apart are added up."""

    events: int = 0
    workflows: int = 0
    checkpoints: int = 0
    uncovered: int = 0
    anchors: int = 0
    unreadable_anchors: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    kept: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.kinds

    def add(self, finding: Finding) -> None:
        """Count one, and keep it while there are few."""
        self.kinds[finding.kind] += 1
        if len(self.kept) < KEPT:
            self.kept.append(finding)

    def join(self, other: "Found") -> None:
        """Take in what was found elsewhere."""
        for name in (
            "events", "workflows", "checkpoints", "uncovered", "anchors", "unreadable_anchors",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kinds.update(other.kinds)
        self.kept = [*self.kept, *other.kept][:KEPT]

    def first(self) -> Finding | None:
        """The first bad event by workflow and number; else the first bad checkpoint."""
        events = [each for each in self.kept if each.workflow_id]
        if events:
            return min(events, key=lambda each: (each.workflow_id, each.seq))
        return min(self.kept, key=lambda each: each.checkpoint, default=None)
