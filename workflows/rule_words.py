"""A rule in plain English, for pages: what it does, when, and how far it may go."""

from collections.abc import Mapping
from typing import Any

from workflows.policies.plain import condition, duration, sentence
from workflows.policies.rules import APPROVE, DENY


def explain(rule: Mapping[str, Any]) -> str:
    """`If amount is less than 50, it is approved without asking: …` of a rule in normal form."""
    when = "Always" if rule["when"] == "true" else f"If {condition(rule['when'])}"
    said = sentence(f"{when}, {_then(rule)}")
    return said if rule.get("enabled", True) else f"Switched off: {said[0].lower()}{said[1:]}"


def _then(rule: Mapping[str, Any]) -> str:
    if rule["then"] == DENY:
        return "it is rejected without asking anybody"
    if rule["then"] == APPROVE:
        return f"it is approved without asking anybody: {_bounds(rule)}"
    if "policy" in rule:
        return f"people are asked by the policy {rule['policy']}"
    return "people are asked"


def _bounds(rule: Mapping[str, Any]) -> str:
    budget = rule["budget"]
    times = "once" if budget["count"] == 1 else f"{budget['count']:,} times"
    total = f" and {budget['sum']:,} of {_short(budget['of'])} in all" if "of" in budget else ""
    until = str(rule["until"]).removesuffix("T00:00:00Z").replace("T", " ").replace("Z", " UTC")
    return f"at most {times}{total} within {duration(budget['per'])}, until {until}"


def _short(expression: str) -> str:
    return expression.removeprefix("data.")
