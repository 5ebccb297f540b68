"""What the rules say about a request, and which policy it gets; both with their reasons."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.policies import expressions
from workflows.policies.expressions import REQUEST, EvaluationError, ExpressionError, Gives
from workflows.policies.request import Request
from workflows.policies.rules.format import APPROVE, ASK, DENY, Budget, Rule
from workflows.policies.showing import read_values

MATCHED, OTHER, FAILED, EXPIRED, SPENT, OFF = (
    "matched", "other", "failed", "expired", "spent", "off"
)  # fmt: skip


@dataclass(frozen=True)
class Spent:
    """What a rule has approved so far within its budget's time."""

    count: int = 0
    sum: float = 0.0


@dataclass(frozen=True)
class Finding:
    """What one rule said: `state` is matched, other (it does not), failed, expired, spent or off.

    `amount` is what an approval takes from the budget.
    """

    rule: Rule
    state: str
    why: str
    amount: float = 0.0


@dataclass(frozen=True)
class Ruling:
    """What all rules came to. `outcome` is deny, approve or ask; `findings` says how."""

    outcome: str
    why: str
    rule: Rule | None = None
    policy: str | None = None
    amount: float = 0.0
    findings: tuple[Finding, ...] = ()


def decide(
    rules: Sequence[Rule],
    request: Request,
    *,
    now: dt.datetime,
    spent: Mapping[str, Spent] | None = None,
) -> Ruling:
    """The ruling on a request. `spent` maps names of rules to what their budgets have given.

    Never raises: what cannot be judged asks a person and says why.
    """
    judge = _Judge(request.variables(), now, spent or {})
    findings = tuple(judge.look(rule) for rule in rules)
    for state, then in ((MATCHED, DENY), (FAILED, None), (MATCHED, APPROVE), (MATCHED, ASK)):
        for finding in findings:
            if finding.state == state and then in (None, finding.rule.then):
                return _ruling(finding, findings)
    bounded = next((f for f in findings if f.state in (EXPIRED, SPENT)), None)
    why = bounded.why if bounded else "No rule speaks of this request, so people are asked."
    return Ruling(ASK, why, findings=findings)


def _ruling(finding: Finding, findings: tuple[Finding, ...]) -> Ruling:
    rule = finding.rule
    failed = finding.state == FAILED
    return Ruling(
        outcome=ASK if failed else rule.then,
        why=finding.why,
        rule=rule,
        policy=None if failed else rule.policy,
        amount=finding.amount,
        findings=findings,
    )


@dataclass(frozen=True)
class _Judge:
    variables: Mapping[str, Any]
    now: dt.datetime
    spent: Mapping[str, Spent]

    def look(self, rule: Rule) -> Finding:
        """What a rule says about the request."""
        if not rule.enabled:
            return Finding(rule, OFF, f"The rule {rule.name!r} is switched off.")
        try:
            condition = expressions.compile_expression(rule.when)
            if not condition.evaluate(self.variables):
                return Finding(rule, OTHER, f"The rule {rule.name!r} does not match.")
            if rule.then == APPROVE:
                return self._bounded(rule, condition)
        except (ExpressionError, EvaluationError) as error:
            why = f"The rule {rule.name!r} cannot be judged, so people are asked: {error}"
            return Finding(rule, FAILED, why)
        return Finding(rule, MATCHED, self._matched(rule, condition))

    def _matched(self, rule: Rule, condition: expressions.Expression) -> str:
        because = f" {rule.because}" if rule.because else ""
        values = read_values(condition, self.variables)
        seen = f": {values}" if values else ""
        return f"The rule {rule.name!r} matches{seen}.{because}"

    def _bounded(self, rule: Rule, condition: expressions.Expression) -> Finding:
        """A rule that would approve, held against its time and its budget."""
        if rule.until is None or rule.budget is None:
            return Finding(
                rule, EXPIRED, f"The rule {rule.name!r} has no bounds, so it is not used."
            )
        if self.now >= rule.until:
            day = f"{rule.until:%Y-%m-%d %H:%M} UTC"
            return Finding(rule, EXPIRED, f"The rule {rule.name!r} would approve, but ended {day}.")
        amount = self._amount(rule.budget)
        left = _left(rule.budget, self.spent.get(rule.name, Spent()), amount)
        if left:
            why = f"The rule {rule.name!r} would approve, but {left}, so people are asked."
            return Finding(rule, SPENT, why)
        return Finding(rule, MATCHED, self._matched(rule, condition), amount)

    def _amount(self, budget: Budget) -> float:
        if budget.of is None:
            return 0.0
        given = expressions.compile_expression(budget.of, REQUEST, Gives.NUMBER)
        amount = float(given.evaluate(self.variables))
        if not 0 <= amount < float("inf"):
            raise EvaluationError("What it adds up is negative or has no size.")
        return amount


def _left(budget: Budget, spent: Spent, amount: float) -> str:
    """Why the budget does not reach; empty where it does."""
    if spent.count + 1 > budget.count:
        return f"its budget of {budget.count} requests is used up"
    if budget.sum is not None and spent.sum + amount > budget.sum:
        return f"its budget of {budget.sum:g} would be exceeded ({spent.sum:g} is used)"
    return ""


@dataclass(frozen=True)
class Choice:
    """The policy a request gets, by name (None: the team's default), and why."""

    policy: str | None
    why: str


def choose_policy(ruling: Ruling, *, named: str | None, by_type: str | None) -> Choice:
    """Which policy applies: a rule's, else the one the request names, else its action type's.

    A rule comes first, because otherwise an agent could pick itself an easier policy.
    """
    if ruling.policy:
        return Choice(ruling.policy, ruling.why)
    if named:
        return Choice(named, "The request names this policy.")
    if by_type:
        return Choice(by_type, "The action type has this policy.")
    return Choice(None, "Nothing names a policy, so the team's default applies.")
