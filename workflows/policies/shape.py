"""A policy's data as typed objects, with every default filled in: what the engine works on.

`read` trusts its input: `format.normalise` is the judge of what people write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

DENY, IMPOSSIBLE = "deny", "impossible"
ADD, REPLACE = "add", "replace"
REJECT, HOLD, ESCALATE, APPROVE = "reject", "hold", "escalate", "approve"

Who: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Leaf:
    """So many of these people; `count` None means all of them. `place` names it within a stage."""

    place: str
    who: Who
    count: int | None


@dataclass(frozen=True)
class Branch:
    """All (`every`) or any of the parts."""

    every: bool
    parts: tuple["Need", ...]


Need: TypeAlias = Leaf | Branch


@dataclass(frozen=True)
class Reminder:
    """Seconds after the stage opened, or before the deadline."""

    seconds: int
    before_deadline: bool


@dataclass(frozen=True)
class Step:
    """One step of an escalation: after so many seconds these people are asked, too or instead.

    They are told at `after` and `repeat` times more, `every` seconds apart.
    """

    after: int
    leaf: Leaf
    mode: str
    repeat: int
    every: int
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One stage with everything that is said about it."""

    index: int
    name: str
    when: str | None
    need: Need
    on_reject: str
    min_people: int
    allow_edit: bool
    channels: tuple[str, ...]
    reminders: tuple[Reminder, ...]
    escalation: tuple[Step, ...]
    step_up: frozenset[str]
    timeout_action: str | None
    extend_max: int

    def wants_second_factor(self, risk: str) -> bool:
        """Whether an answer at this risk takes more than being logged in."""
        return risk in self.step_up

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every place a vote can count for: those of the need, then those of the escalation."""
        return (*leaves_of(self.need), *(step.leaf for step in self.escalation))


@dataclass(frozen=True)
class Policy:
    """A whole policy."""

    name: str
    stages: tuple[Stage, ...]
    allow_owner: bool
    allow_requester: bool
    allow_twice: bool
    different_people: bool
    timeout_seconds: int | None
    calendar: Mapping[str, Any] | None


def read(policy: Mapping[str, Any]) -> Policy:
    """The typed form of a policy in normal form."""
    return Policy(
        name=str(policy["name"]),
        stages=tuple(_stage(index, stage) for index, stage in enumerate(policy["stages"])),
        allow_owner=bool(policy.get("allowOwner")),
        allow_requester=bool(policy.get("allowRequester")),
        allow_twice=bool(policy.get("allowTwice")),
        different_people=bool(policy.get("differentPeople")),
        timeout_seconds=policy.get("timeoutSeconds"),
        calendar=policy.get("calendar"),
    )


def leaves_of(need: Need) -> Iterator[Leaf]:
    """The leaves of a need, in the order they are written."""
    if isinstance(need, Leaf):
        yield need
    else:
        for part in need.parts:
            yield from leaves_of(part)


def _stage(index: int, stage: Mapping[str, Any]) -> Stage:
    steps = enumerate(stage.get("escalation", ()))
    return Stage(
        index=index,
        name=str(stage["name"]),
        when=stage.get("when"),
        need=_need(stage["need"], ""),
        on_reject=str(stage.get("onReject", DENY)),
        min_people=int(stage.get("minPeople", 1)),
        allow_edit=bool(stage.get("allowEdit", True)),
        channels=tuple(stage.get("channels", ())),
        reminders=tuple(_reminder(reminder) for reminder in stage.get("reminders", ())),
        escalation=tuple(_step(number, step) for number, step in steps),
        step_up=frozenset(stage.get("stepUp", ())),
        timeout_action=stage.get("timeoutAction"),
        extend_max=int(stage.get("extendMax", 0)),
    )


def _need(need: Mapping[str, Any], place: str) -> Need:
    for word in ("allOf", "anyOf"):
        if word in need:
            parts = enumerate(need[word])
            return Branch(word == "allOf", tuple(_need(p, f"{place}/{n}") for n, p in parts))
    return Leaf(place, need["who"], _count(need))


def _count(need: Mapping[str, Any]) -> int | None:
    count = need.get("count", 1)
    return None if count == "all" else int(count)


def _reminder(reminder: Mapping[str, Any]) -> Reminder:
    before = "before" in reminder
    return Reminder(int(reminder["before" if before else "after"]), before)


def _step(number: int, step: Mapping[str, Any]) -> Step:
    return Step(
        after=int(step["after"]),
        leaf=Leaf(f"escalation/{number}", step["to"], _count(step)),
        mode=str(step.get("mode", ADD)),
        repeat=int(step.get("repeat", 0)),
        every=int(step.get("every", 0)),
        channels=tuple(step.get("channels", ())),
    )
