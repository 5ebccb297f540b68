"""Reading the stages of a policy: every key of one, with its bounds."""

import itertools
from collections.abc import Collection
from typing import Any

from hitl.lib import pointer
from workflows.policies import expressions
from workflows.policies.checks import Checks
from workflows.policies.expressions import ExpressionError
from workflows.policies.needs import MAX_COUNT, MAX_LEAVES, leaves, read_count, read_need, read_who
from workflows.policies.shape import (
    ADD,
    APPROVE,
    DENY,
    ESCALATE,
    HOLD,
    IMPOSSIBLE,
    REJECT,
    REPLACE,
)

LONGEST = 30 * 24 * 3600
SHORTEST_EVERY = 60
MAX_REMINDERS, MAX_STEPS, MAX_REPEAT, MAX_CHANNELS = 10, 10, 20, 10
RISKS = ("low", "medium", "high")
DEFAULTS: dict[str, Any] = {
    "when": None, "minPeople": 1, "allowEdit": True, "channels": [], "reminders": [],
    "escalation": [], "stepUp": [], "timeoutAction": None, "extendMax": 0,
}  # fmt: skip
STEP_DEFAULTS: dict[str, Any] = {"mode": ADD, "repeat": 0, "every": 0, "channels": []}
KEYS = ("name", "need", "onReject", *DEFAULTS)


class StageReader:
    """Reads the stages of one policy. `channels`: the names there are, or None for any."""

    def __init__(self, checks: Checks, channels: Collection[str] | None) -> None:
        self.checks = checks
        self.channels = channels

    def read(self, value: Any, place: str) -> dict[str, Any]:
        """The normal form of a stage."""
        stage = self.checks.object(value, place, KEYS)
        for key in ("name", "need"):
            if key not in stage:
                self.checks.fault(place, f"{key} is missing.", "required")
        normal: dict[str, Any] = {
            "name": self.checks.text(stage.get("name", "?"), pointer.join(place, "name")),
            "need": self._need(stage, place),
            "onReject": self.checks.choice(
                stage.get("onReject", DENY), pointer.join(place, "onReject"), (DENY, IMPOSSIBLE)
            ),
        }
        given = {key: stage[key] for key in DEFAULTS if stage.get(key) is not None}
        options = {key: self._option(key, item, place) for key, item in given.items()}
        self._check_together(normal["need"], options, place)
        return normal | without(options, DEFAULTS)

    def _need(self, stage: dict[str, Any], place: str) -> dict[str, Any]:
        here = pointer.join(place, "need")
        need = read_need(stage["need"], here, self.checks) if "need" in stage else {}
        if len(leaves(need)) > MAX_LEAVES:
            self.checks.fault(here, f"At most {MAX_LEAVES} groups of people can be asked.")
        return need

    def _option(self, key: str, value: Any, place: str) -> Any:
        here, checks = pointer.join(place, key), self.checks
        match key:
            case "when":
                return self._condition(value, here)
            case "minPeople":
                return checks.number(value, here, 1, MAX_COUNT)
            case "allowEdit":
                return checks.truth(value, here)
            case "channels":
                return checks.choices(value, here, self.channels, MAX_CHANNELS)
            case "stepUp":
                return checks.choices(value, here, RISKS, len(RISKS))
            case "timeoutAction":
                return checks.choice(value, here, (REJECT, HOLD, ESCALATE, APPROVE))
            case "extendMax":
                return checks.number(value, here, 0, LONGEST, "seconds")
            case "reminders":
                given = checks.list(value, here, MAX_REMINDERS)
                return [self._reminder(r, pointer.join(here, n)) for n, r in enumerate(given)]
        return self._steps(checks.list(value, here, MAX_STEPS), here)

    def _condition(self, value: Any, place: str) -> str:
        try:
            return expressions.compile_expression(value).text
        except ExpressionError as error:
            self.checks.fault(place, str(error), "expression")
            return ""

    def _reminder(self, value: Any, place: str) -> dict[str, int]:
        if isinstance(value, int):
            value = {"after": value}
        reminder = self.checks.object(value, place, ("after", "before"))
        if len(reminder) != 1:
            self.checks.fault(place, "Write after or before, with a number of seconds.")
            return {}
        return {key: self._seconds(reminder[key], pointer.join(place, key)) for key in reminder}

    def _seconds(self, value: Any, place: str) -> int:
        return self.checks.number(value, place, 1, LONGEST, "seconds")

    def _steps(self, given: list[Any], place: str) -> list[dict[str, Any]]:
        steps = [self._step(step, pointer.join(place, n)) for n, step in enumerate(given)]
        for number, (one, another) in enumerate(itertools.pairwise(steps), 1):
            if one["after"] >= another["after"]:
                here = pointer.join(place, number, "after")
                self.checks.fault(here, "Each step comes later than the one before it.")
        return steps

    def _step(self, value: Any, place: str) -> dict[str, Any]:
        step = self.checks.object(value, place, ("after", "to", "count", *STEP_DEFAULTS))
        for key in ("after", "to"):
            if key not in step:
                self.checks.fault(place, f"{key} is missing.", "required")
        who = read_who(step["to"], pointer.join(place, "to"), self.checks) if "to" in step else {}
        normal = {
            "after": self._seconds(step.get("after", 1), pointer.join(place, "after")),
            "to": who,
            "count": read_count(step, place, who, self.checks),
        }
        return normal | without(self._step_options(step, place), STEP_DEFAULTS)

    def _step_options(self, step: dict[str, Any], place: str) -> dict[str, Any]:
        at = {key: pointer.join(place, key) for key in STEP_DEFAULTS}
        repeat = self.checks.number(step.get("repeat", 0), at["repeat"], 0, MAX_REPEAT)
        every = step.get("every", 0)
        if repeat or every:
            every = self.checks.number(every, at["every"], SHORTEST_EVERY, LONGEST, "seconds")
        if every and not repeat:
            self.checks.fault(at["every"], "Write repeat, too: how often they are told again.")
        return {
            "mode": self.checks.choice(step.get("mode", ADD), at["mode"], (ADD, REPLACE)),
            "repeat": repeat,
            "every": every,
            "channels": self.checks.choices(
                step.get("channels", []), at["channels"], self.channels, MAX_CHANNELS
            ),
        }

    def _check_together(self, need: dict[str, Any], options: dict[str, Any], place: str) -> None:
        """What no single key can tell."""
        steps = options.get("escalation", [])
        if options.get("timeoutAction") == ESCALATE and not steps:
            here = pointer.join(place, "timeoutAction")
            self.checks.fault(here, "Write the steps of the escalation, or choose another action.")
        asked = [leaf.get("who", {}) for leaf in leaves(need)] + [step["to"] for step in steps]
        named = {user for who in asked for user in who.get("users", ())}
        least = options.get("minPeople", 1)
        if named and all("users" in who for who in asked) and len(named) < least:
            here = pointer.join(place, "minPeople")
            self.checks.fault(here, f"Only {len(named)} are asked, so {least} can never answer.")


def without(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The values that say something else than their default."""
    return {key: values[key] for key in defaults if key in values and values[key] != defaults[key]}
