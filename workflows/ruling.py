"""What a team's rules say about a new request, and what they have spent of their budgets."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from hitl.accounts.models import Team
from workflows.models import RuleSet, RuleUse, Workflow
from workflows.policies import Request
from workflows.policies.rules import APPROVE, ASK, Rule, Ruling, Spent, decide, read

NO_RULES = Ruling(ASK, "The team has no rules, so people are asked.")


def in_force(team_id: UUID) -> RuleSet | None:
    """The rules of a team as they are now."""
    return RuleSet.objects.filter(team_id=team_id).order_by("-number").first()


def on(team_id: UUID, request: Request, *, now: dt.datetime) -> Ruling:
    """The ruling on a request, in the transaction that creates it.

    The team is locked where a rule would approve, so that two requests at once cannot spend the
    same budget twice.
    """
    book = in_force(team_id)
    if book is None:
        return NO_RULES
    rules = read(book.rules)
    said = decide(rules, request, now=now)
    if said.outcome != APPROVE:
        return said
    # The lock under which rules are saved, too: what approves is in force at this moment.
    Team.objects.select_for_update(no_key=True).get(pk=team_id)
    rules = read((in_force(team_id) or book).rules)
    return decide(rules, request, now=now, spent=spent(team_id, rules, now))


def spent(team_id: UUID, rules: Sequence[Rule], now: dt.datetime) -> dict[str, Spent]:
    """What each rule with a budget has given within the budget's time."""
    found = {}
    for rule in rules:
        if rule.budget is not None:
            since = now - dt.timedelta(seconds=rule.budget.per)
            uses = RuleUse.objects.filter(team_id=team_id, rule=rule.name, created_at__gt=since)
            row = uses.aggregate(count=Count("pk"), sum=Coalesce(Sum("amount"), 0.0))
            found[rule.name] = Spent(row["count"], row["sum"])
    return found


def note_use(workflow: Workflow, said: Ruling, *, now: dt.datetime) -> None:
    """Take what an approving rule gives from its budget."""
    if said.outcome == APPROVE and said.rule:
        RuleUse.objects.create(
            team_id=workflow.team_id,
            rule=said.rule.name,
            workflow=workflow,
            amount=said.amount,
            created_at=now,
        )
