"""A policy while somebody types it: from a post or a document, and to a document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboard.drafts.calendar import Calendar
from dashboard.drafts.conditions import Condition
from dashboard.drafts.nodes import Node, Written
from dashboard.drafts.people import Need, Who, count
from dashboard.drafts.posts import Posted, below, rows, text, texts, ticked
from hitl.lib import pointer
from hitl.lib.errors import InvalidInput
from workflows.policies import format as policy_format
from workflows.policies.yaml_io import short_forms

AFTER, BEFORE = "after", "before"


@dataclass
class Reminder(Node):
    """People are told again, so long after they were asked or before the deadline."""

    time: str = ""
    when: str = AFTER

    @classmethod
    def read(cls, posted: Posted) -> "Reminder":
        return cls(text(posted, "time"), text(posted, "when", AFTER))

    @classmethod
    def of(cls, stored: Mapping[str, int]) -> "Reminder":
        when = BEFORE if BEFORE in stored else AFTER
        return cls(short_forms.from_seconds(stored[when]), when)

    def write(self, place: str, written: Written) -> dict[str, Any]:
        written.note(place, self, "time")
        when = BEFORE if self.when == BEFORE else AFTER
        return {when: seconds(self.time, pointer.join(place, when), written)}


@dataclass
class Step(Node):
    """A step of the escalation."""

    after: str = ""
    who: Who = field(default_factory=Who)
    count: str = "1"
    mode: str = "add"
    repeat: str = ""
    every: str = ""
    channels: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, posted: Posted) -> "Step":
        return cls(
            text(posted, "after"),
            Who.read(below(posted, "who")),
            text(posted, "count", "1"),
            text(posted, "mode", "add"),
            text(posted, "repeat"),
            text(posted, "every"),
            texts(posted, "channels"),
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Step":
        return cls(
            short_forms.from_seconds(stored["after"]),
            Who.of(stored["to"]),
            str(stored.get("count", 1)),
            stored.get("mode", "add"),
            str(stored.get("repeat") or ""),
            short_forms.from_seconds(stored["every"]) if stored.get("every") else "",
            list(stored.get("channels", ())),
        )

    def write(self, place: str, written: Written) -> dict[str, Any]:
        written.note(place, self, "after")
        for name in ("after", "count", "mode", "repeat", "every", "channels"):
            written.note(pointer.join(place, name), self, name)
        found: dict[str, Any] = {
            "after": seconds(self.after, pointer.join(place, "after"), written),
            "to": self.who.write(pointer.join(place, "to"), written),
            "count": count(self.count, self.who),
            "mode": self.mode,
        }
        if self.repeat and self.repeat != "0":
            found["repeat"] = count(self.repeat, Who())
            found["every"] = seconds(self.every, pointer.join(place, "every"), written)
        if self.channels:
            found["channels"] = self.channels
        return found


@dataclass
class Stage(Node):
    """One stage."""

    name: str = ""
    need: Need = field(default_factory=lambda: Need.read({}))
    condition: Condition = field(default_factory=Condition)
    reminders: list[Reminder] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    on_reject: str = "deny"
    min_people: str = ""
    allow_edit: bool = True
    channels: list[str] = field(default_factory=list)
    step_up: list[str] = field(default_factory=list)
    timeout_action: str = ""
    extend_max: str = ""

    @classmethod
    def read(cls, posted: Posted) -> "Stage":
        return cls(
            text(posted, "name"),
            Need.read(below(posted, "need")),
            Condition.read(below(posted, "condition")),
            [Reminder.read(row) for row in rows(posted, "reminders")],
            [Step.read(row) for row in rows(posted, "steps")],
            text(posted, "on_reject", "deny"),
            text(posted, "min_people"),
            ticked(posted, "allow_edit"),
            texts(posted, "channels"),
            texts(posted, "step_up"),
            text(posted, "timeout_action"),
            text(posted, "extend_max"),
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Stage":
        extend = stored.get("extendMax", 0)
        return cls(
            stored["name"],
            Need.of(stored["need"]),
            Condition.of(stored.get("when")),
            [Reminder.of(each) for each in stored.get("reminders", ())],
            [Step.of(each) for each in stored.get("escalation", ())],
            stored.get("onReject", "deny"),
            str(stored.get("minPeople", "")),
            stored.get("allowEdit", True),
            list(stored.get("channels", ())),
            list(stored.get("stepUp", ())),
            stored.get("timeoutAction", ""),
            short_forms.from_seconds(extend) if extend else "",
        )

    @property
    def has_options(self) -> bool:
        """Whether something stands among the further options, so that they are not hidden."""
        said = (self.min_people, self.channels, self.step_up, self.timeout_action, self.extend_max)
        return any(said) or self.on_reject != "deny" or not self.allow_edit or bool(self.errors)

    def write(self, number: int, written: Written, silence: str) -> dict[str, Any]:
        """The data of it. `silence` is what the whole policy says about it."""
        place = f"/stages/{number}"
        at = {key: pointer.join(place, key) for key in _FIELDS}
        for key, name in _FIELDS.items():
            written.note(at[key], self, name)
        written.note(place, self, "name")
        found: dict[str, Any] = {
            "name": self.name or f"Stage {number + 1}",
            "need": self.need.write(at["need"], written),
            "onReject": self.on_reject,
            "when": self.condition.write(at["when"], written),
            "minPeople": count(self.min_people, Who()) if self.min_people else None,
            "allowEdit": self.allow_edit,
            "channels": self.channels,
            "stepUp": self.step_up,
            "timeoutAction": self.timeout_action or silence or None,
            "reminders": [
                each.write(pointer.join(at["reminders"], n), written)
                for n, each in enumerate(self.reminders)
            ],
            "escalation": [
                each.write(pointer.join(at["escalation"], n), written)
                for n, each in enumerate(self.steps)
            ],
        }
        if self.extend_max:
            found["extendMax"] = seconds(self.extend_max, at["extendMax"], written)
        return {key: value for key, value in found.items() if value is not None}


# Keys of a stage, and the fields that faults about them are shown at.
_FIELDS = {
    "name": "name", "need": "name", "onReject": "on_reject", "when": "name",
    "minPeople": "min_people", "allowEdit": "allow_edit", "channels": "channels",
    "stepUp": "step_up", "timeoutAction": "timeout_action", "reminders": "name",
    "escalation": "name", "extendMax": "extend_max",
}  # fmt: skip


@dataclass
class PolicyDraft(Node):
    """A whole policy. `timeout_action` is what silence means in every stage without its own."""

    name: str = ""
    stages: list[Stage] = field(default_factory=list)
    timeout: str = ""
    timeout_action: str = ""
    allow_owner: bool = False
    allow_requester: bool = False
    allow_twice: bool = False
    different_people: bool = False
    calendar: Calendar = field(default_factory=Calendar)

    @classmethod
    def read(cls, posted: Posted) -> "PolicyDraft":
        """As it was posted."""
        draft = cls(
            text(posted, "name"),
            [Stage.read(row) for row in rows(posted, "stages")],
            text(posted, "timeout"),
            text(posted, "timeout_action"),
            ticked(posted, "allow_owner"),
            ticked(posted, "allow_requester"),
            ticked(posted, "allow_twice"),
            ticked(posted, "different_people"),
            Calendar.read(below(posted, "calendar")),
        )
        draft.number()
        return draft

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "PolicyDraft":
        """Of a stored policy, as far as a form can show it: see `is_shown_whole`."""
        stages = [Stage.of(stage) for stage in document["stages"]]
        silences = {stage.timeout_action for stage in stages}
        silence = silences.pop() if len(silences) == 1 else ""
        for stage in stages:
            stage.timeout_action = "" if silence else stage.timeout_action
        timeout = document.get("timeoutSeconds")
        draft = cls(
            document["name"],
            stages,
            short_forms.from_seconds(timeout) if timeout else "",
            silence,
            bool(document.get("allowOwner")),
            bool(document.get("allowRequester")),
            bool(document.get("allowTwice")),
            bool(document.get("differentPeople")),
            Calendar.of(document.get("calendar")),
        )
        draft.number()
        return draft

    @property
    def has_options(self) -> bool:
        """Whether something stands among the further options."""
        truths = (self.allow_owner, self.allow_requester, self.allow_twice, self.different_people)
        return any(truths) or self.calendar.is_on or bool(self.errors.get("allow_owner"))

    def write(self) -> tuple[dict[str, Any], Written]:
        """The policy, not judged yet, and where each part of it was typed."""
        written = Written()
        for key, name in (("name", "name"), ("timeoutSeconds", "timeout")):
            written.note(f"/{key}", self, name)
        found: dict[str, Any] = {
            "name": self.name,
            "allowOwner": self.allow_owner,
            "allowRequester": self.allow_requester,
            "allowTwice": self.allow_twice,
            "differentPeople": self.different_people,
            "calendar": self.calendar.write("/calendar", written),
            "stages": [
                stage.write(n, written, self.timeout_action) for n, stage in enumerate(self.stages)
            ],
        }
        if self.timeout:
            found["timeoutSeconds"] = seconds(self.timeout, "/timeoutSeconds", written)
        return found, written


def is_shown_whole(document: Mapping[str, Any]) -> bool:
    """Whether the form shows everything that a policy in normal form says."""
    found, written = PolicyDraft.of(document).write()
    try:
        return not written.faults and policy_format.normalise(found) == dict(document)
    except InvalidInput:
        return False


def seconds(typed: str, place: str, written: Written) -> Any:
    """Seconds from `1h 30m`; what is no duration is a fault of its place."""
    try:
        return short_forms.duration(typed)
    except ValueError as error:
        written.fault(place, str(error))
        return 1
