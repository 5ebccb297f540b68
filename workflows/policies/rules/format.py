"""Rules as data: the judge of what people write, and the typed form the engine works on."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from hitl.lib import pointer
from workflows.policies import expressions
from workflows.policies.checks import Checks
from workflows.policies.expressions import REQUEST, ExpressionError, Gives

DENY, APPROVE, ASK = "deny", "approve", "ask"
MAX_RULES, MAX_BECAUSE = 100, 300
MAX_COUNT, MAX_SUM, LONGEST_PER = 10_000, 10**12, 366 * 24 * 3600
LONGEST_APPROVAL = dt.timedelta(days=366)
_KEYS = ("name", "when", "then", "policy", "because", "until", "budget", "enabled")


@dataclass(frozen=True)
class Budget:
    """At most `count` approvals, and `sum` of what `of` gives in all, within `per` seconds."""

    count: int
    per: int
    of: str | None = None
    sum: float | None = None


@dataclass(frozen=True)
class Rule:
    """One rule in force. `until` and `budget` bound what approves without a person."""

    name: str
    when: str
    then: str
    policy: str | None = None
    because: str = ""
    until: dt.datetime | None = None
    budget: Budget | None = None
    enabled: bool = True


def read(rules: Sequence[dict[str, Any]]) -> list[Rule]:
    """The typed form of rules in normal form."""
    return [
        Rule(
            name=rule["name"],
            when=rule["when"],
            then=rule["then"],
            policy=rule.get("policy"),
            because=rule.get("because", ""),
            until=dt.datetime.fromisoformat(rule["until"]) if "until" in rule else None,
            budget=Budget(**rule["budget"]) if "budget" in rule else None,
            enabled=rule.get("enabled", True),
        )
        for rule in rules
    ]


def normalise(
    rules: Any, *, now: dt.datetime, policies: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The normal form of a team's rules.

    `policies` are the names of the policies there are; None allows any. Raises InvalidInput with a
    pointer and a remedy for everything that is wrong.
    """
    checks = Checks()
    reader = _Reader(checks, now, policies)
    given = checks.list(rules, "", MAX_RULES)
    normal = [reader.read(rule, pointer.join("", n)) for n, rule in enumerate(given)]
    names = [rule["name"] for rule in normal]
    for number, name in enumerate(names):
        if name in names[:number]:
            checks.fault(pointer.join("", number, "name"), "Another rule has this name already.")
    checks.stop("rules")
    return normal


@dataclass(frozen=True)
class _Reader:
    checks: Checks
    now: dt.datetime
    policies: Collection[str] | None

    def read(self, value: Any, place: str) -> dict[str, Any]:
        rule = self.checks.object(value, place, _KEYS)
        for key in ("name", "when", "then"):
            if key not in rule:
                self.checks.fault(place, f"{key} is missing.", "required")
        at = {key: pointer.join(place, key) for key in _KEYS}
        then = self.checks.choice(rule.get("then", ASK), at["then"], (DENY, APPROVE, ASK))
        normal: dict[str, Any] = {
            "name": self.checks.text(rule.get("name", "?"), at["name"]),
            "when": self._expression(rule.get("when", "true"), at["when"], Gives.CONDITION),
            "then": then,
        }
        if rule.get("because"):
            normal["because"] = self.checks.text(rule["because"], at["because"], MAX_BECAUSE)
        if not self.checks.truth(rule.get("enabled", True), at["enabled"]):
            normal["enabled"] = False
        return normal | self._policy(rule, then, at) | self._bounds(rule, then, place)

    def _policy(self, rule: dict[str, Any], then: str, at: dict[str, str]) -> dict[str, Any]:
        if rule.get("policy") is None:
            return {}
        if then != ASK:
            self.checks.fault(at["policy"], "Only a rule that asks names a policy.")
        if self.policies is not None:
            return {"policy": self.checks.choice(rule["policy"], at["policy"], self.policies)}
        return {"policy": self.checks.text(rule["policy"], at["policy"])}

    def _bounds(self, rule: dict[str, Any], then: str, place: str) -> dict[str, Any]:
        """`until` and `budget`: both for a rule that approves, neither for another."""
        for key in ("until", "budget"):
            if then == APPROVE and rule.get(key) is None:
                message = f"What approves without a person has bounds: write {key}, too."
                self.checks.fault(pointer.join(place, key), message, "required")
            elif then != APPROVE and rule.get(key) is not None:
                message = f"Only a rule that approves has {key}."
                self.checks.fault(pointer.join(place, key), message)
        if then != APPROVE:
            return {}
        until = self._until(rule.get("until"), pointer.join(place, "until"))
        return until | self._budget(rule.get("budget"), pointer.join(place, "budget"))

    def _until(self, value: Any, place: str) -> dict[str, Any]:
        if value is None:
            return {}
        try:
            until = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            until = None
        if not isinstance(until, dt.datetime) or until.utcoffset() is None:
            self.checks.fault(place, "Write a time with its zone, like 2027-01-01T00:00:00Z.")
            return {}
        if until > self.now + LONGEST_APPROVAL:
            self.checks.fault(place, "At most a year from now: somebody should look at it again.")
            return {}
        moment = until.astimezone(dt.UTC).isoformat(timespec="seconds")
        return {"until": moment.replace("+00:00", "Z")}

    def _budget(self, value: Any, place: str) -> dict[str, Any]:
        if value is None:
            return {}
        budget = self.checks.object(value, place, ("count", "per", "of", "sum"))
        at = {key: pointer.join(place, key) for key in ("count", "per", "of", "sum")}
        normal: dict[str, Any] = {
            "count": self.checks.number(budget.get("count"), at["count"], 1, MAX_COUNT),
            "per": self.checks.number(budget.get("per"), at["per"], 60, LONGEST_PER, "seconds"),
        }
        if ("of" in budget) != ("sum" in budget):
            self.checks.fault(place, "Write of and sum together: what is added up, and its limit.")
        elif "of" in budget:
            normal["of"] = self._expression(budget["of"], at["of"], Gives.NUMBER)
            normal["sum"] = self.checks.number(budget["sum"], at["sum"], 1, MAX_SUM)
        return {"budget": normal}

    def _expression(self, value: Any, place: str, gives: Gives) -> str:
        try:
            return expressions.compile_expression(value, REQUEST, gives).text
        except ExpressionError as error:
            self.checks.fault(place, str(error), "expression")
            return ""
