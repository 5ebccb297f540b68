"""A team's rules while somebody types them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.drafts.conditions import SIMPLE, Condition
from dashboard.drafts.nodes import Node, Written
from dashboard.drafts.people import Who, count
from dashboard.drafts.policy import seconds
from dashboard.drafts.posts import Posted, below, rows, text, ticked
from workflows.policies.rules import APPROVE, ASK
from workflows.policies.yaml_io import short_forms

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MIDNIGHT = "T00:00:00Z"


@dataclass
class RuleDraft(Node):
    """One rule."""

    name: str = ""
    condition: Condition = field(default_factory=lambda: Condition(SIMPLE))
    then: str = ASK
    policy: str = ""
    because: str = ""
    until: str = ""
    budget_count: str = ""
    budget_per: str = "1d"
    budget_of: str = ""
    budget_sum: str = ""
    enabled: bool = True

    @classmethod
    def read(cls, posted: Posted) -> "RuleDraft":
        """As it was posted."""
        return cls(
            text(posted, "name"),
            Condition.read(below(posted, "condition")),
            text(posted, "then", ASK),
            text(posted, "policy"),
            text(posted, "because"),
            text(posted, "until"),
            text(posted, "budget_count"),
            text(posted, "budget_per"),
            text(posted, "budget_of"),
            text(posted, "budget_sum"),
            ticked(posted, "enabled"),
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "RuleDraft":
        """Of a stored rule."""
        budget = stored.get("budget", {})
        per = budget.get("per")
        when = stored["when"]
        return cls(
            stored["name"],
            Condition() if when == "true" else Condition.of(when),
            stored["then"],
            stored.get("policy", ""),
            stored.get("because", ""),
            stored.get("until", "").removesuffix(_MIDNIGHT),
            str(budget.get("count", "")),
            short_forms.from_seconds(per) if per else "1d",
            budget.get("of", ""),
            str(budget.get("sum", "")),
            stored.get("enabled", True),
        )

    def write(self, number: int, written: Written) -> dict[str, Any]:
        """The data of it."""
        place = f"/{number}"
        for key, name in _FIELDS.items():
            written.note(f"{place}{key}", self, name)
        found: dict[str, Any] = {
            "name": self.name,
            "when": self.condition.write(f"{place}/when", written) or "true",
            "then": self.then,
            "because": self.because or None,
            "enabled": self.enabled,
        }
        if self.then == ASK:
            found["policy"] = self.policy or None
        if self.then == APPROVE:
            found |= {"until": self._until(), "budget": self._budget(f"{place}/budget", written)}
        return {key: value for key, value in found.items() if value is not None}

    def _until(self) -> str | None:
        return self.until + _MIDNIGHT if _DATE.fullmatch(self.until) else self.until or None

    def _budget(self, place: str, written: Written) -> dict[str, Any] | None:
        if not self.budget_count:
            return None
        budget: dict[str, Any] = {
            "count": count(self.budget_count, Who()),
            "per": seconds(self.budget_per, f"{place}/per", written),
        }
        if self.budget_of or self.budget_sum:
            of, limit = self.budget_of, self.budget_sum.replace(",", "")
            budget["of"] = of if "." in of or not of.isidentifier() else f"data.{of}"
            budget["sum"] = int(limit) if limit.isdigit() and limit.isascii() else limit
        return budget


_FIELDS = {
    "": "name", "/name": "name", "/when": "name", "/then": "then", "/policy": "policy",
    "/because": "because", "/until": "until", "/enabled": "enabled", "/budget": "budget_count",
    "/budget/count": "budget_count", "/budget/per": "budget_per", "/budget/of": "budget_of",
    "/budget/sum": "budget_sum",
}  # fmt: skip


@dataclass
class RulesDraft(Node):
    """All rules of a team, in order."""

    rules: list[RuleDraft] = field(default_factory=list)

    @classmethod
    def read(cls, posted: Posted) -> "RulesDraft":
        """As they were posted."""
        draft = cls([RuleDraft.read(row) for row in rows(posted, "rules")])
        draft.number()
        return draft

    @classmethod
    def of(cls, stored: Sequence[Mapping[str, Any]]) -> "RulesDraft":
        """Of stored rules."""
        draft = cls([RuleDraft.of(rule) for rule in stored])
        draft.number()
        return draft

    def write(self) -> tuple[list[dict[str, Any]], Written]:
        """The rules, not judged yet, and where each part of them was typed."""
        written = Written()
        return [rule.write(n, written) for n, rule in enumerate(self.rules)], written
