"""From policies and rules in normal form to a file that people like to read."""

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from workflows.policies.yaml_io.short_forms import from_seconds, who_text

_KEYS = {
    "timeoutSeconds": "timeout", "allowOwner": "allow_owner", "allowRequester": "allow_requester",
    "allowTwice": "allow_twice", "differentPeople": "different_people", "onReject": "on_reject",
    "minPeople": "min_people", "allowEdit": "allow_edit", "reminders": "remind",
    "escalation": "escalate", "stepUp": "step_up", "timeoutAction": "on_timeout",
    "extendMax": "extend_max", "agentOwner": "agent_owner", "allOf": "all_of", "anyOf": "any_of",
}  # fmt: skip
_DURATIONS = frozenset({"timeoutSeconds", "extendMax", "after", "every", "per"})
_DEFAULTS = {"allowOwner": False, "onReject": "deny"}


def dumps(
    policies: Sequence[dict[str, Any]] = (),
    rules: Sequence[dict[str, Any]] = (),
    *,
    person: Callable[[str], str] = str,
) -> str:
    """The file for policies and rules in normal form. `person` gives what to call an id."""
    writer = _Writer(person)
    document: dict[str, Any] = {}
    if policies:
        document["policies"] = [writer.written(policy) for policy in policies]
    if rules:
        document["rules"] = [writer.written(rule) for rule in rules]
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


class _Dumper(yaml.SafeDumper):
    """Lists stand a step within their key, and nothing is written once and referred to twice."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Writer:
    def __init__(self, person: Callable[[str], str]) -> None:
        self.person = person

    def written(self, data: dict[str, Any]) -> dict[str, Any]:
        """A policy, stage, step, rule or budget with the keys and short forms of files."""
        return {
            _KEYS.get(key, key): self._value(key, value)
            for key, value in data.items()
            if key != "format" and _DEFAULTS.get(key) != value
        }

    def _value(self, key: str, value: Any) -> Any:
        match key:
            case "calendar" | "when" | "name":
                return value
            case "need":
                return self._need(value)
            case "to":
                return who_text(value, self.person) or self._who(value)
            case "reminders":
                return [_reminder(reminder) for reminder in value]
            case "stages" | "escalation":
                return [self.written(part) for part in value]
            case "budget":
                return self.written(value)
        return from_seconds(value) if key in _DURATIONS else value

    def _need(self, need: dict[str, Any]) -> Any:
        for word in ("allOf", "anyOf"):
            if word in need:
                return {_KEYS[word]: [self._need(part) for part in need[word]]}
        short = who_text(need["who"], self.person)
        if short is None:
            return self._who(need["who"]) | {"count": need["count"]}
        return short if need["count"] == 1 else f"{need['count']} of {short}"

    def _who(self, who: dict[str, Any]) -> dict[str, Any]:
        named = {_KEYS.get(key, key): value for key, value in who.items()}
        if "users" in named:
            named["users"] = [self.person(user) for user in named["users"]]
        return named


def _reminder(reminder: dict[str, int]) -> str:
    if "before" in reminder:
        return f"{from_seconds(reminder['before'])} before deadline"
    return from_seconds(reminder["after"])
