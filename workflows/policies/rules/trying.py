"""Rules tried on requests there have been: what would have gone another way."""

import datetime as dt
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflows.policies.request import Request
from workflows.policies.rules.format import APPROVE, Rule
from workflows.policies.rules.judging import Ruling, Spent, decide


@dataclass(frozen=True)
class Difference:
    """One request that the two sets of rules treat differently; `number` is its place."""

    number: int
    before: Ruling
    after: Ruling


@dataclass(frozen=True)
class DryRun:
    """The differences, and how often each outcome came of the old and of the new rules."""

    differences: tuple[Difference, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]


def dry_run(old: Sequence[Rule], new: Sequence[Rule], requests: Sequence[Request]) -> DryRun:
    """Both sets of rules over the same requests, oldest first, each at the time it was created.

    Budgets are spent as they would have been.
    """
    rulings = zip(_rulings(old, requests), _rulings(new, requests), strict=True)
    pairs = [Difference(number, before, after) for number, (before, after) in enumerate(rulings)]
    return DryRun(
        differences=tuple(pair for pair in pairs if _differs(pair)),
        before=Counter(pair.before.outcome for pair in pairs),
        after=Counter(pair.after.outcome for pair in pairs),
    )


def _differs(pair: Difference) -> bool:
    before, after = pair.before, pair.after
    return (before.outcome, before.policy) != (after.outcome, after.policy)


def _rulings(rules: Sequence[Rule], requests: Sequence[Request]) -> list[Ruling]:
    books = {rule.name: _Book(rule.budget.per) for rule in rules if rule.budget}
    rulings = []
    for request in requests:
        now = request.created_at
        spent = {name: book.spent(now) for name, book in books.items()}
        ruling = decide(rules, request, now=now, spent=spent)
        rulings.append(ruling)
        if ruling.outcome == APPROVE and ruling.rule:
            books[ruling.rule.name].enter(now, ruling.amount)
    return rulings


class _Book:
    """What one rule has approved within the time of its budget."""

    def __init__(self, per: int) -> None:
        self.window = dt.timedelta(seconds=per)
        self.entries: deque[tuple[dt.datetime, float]] = deque()

    def enter(self, at: dt.datetime, amount: float) -> None:
        self.entries.append((at, amount))

    def spent(self, now: dt.datetime) -> Spent:
        while self.entries and self.entries[0][0] <= now - self.window:
            self.entries.popleft()
        return Spent(len(self.entries), sum(amount for _, amount in self.entries))
