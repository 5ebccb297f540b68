"""What needs no person, and what needs which: conditions over a request that deny, approve or ask.

RULE = {
    "name": "Small refunds",              unique within the team's rules
    "when": "data.amount < 50.0",         CEL over the request
    "then": "approve",                    or "deny", or "ask": people, by the policy named
    "policy": "Refunds",                  with "ask"; absent: by the policy there is otherwise
    "because": "Below the limit of …",    what people are told
    "until": "2027-01-01T00:00:00Z",      with "approve": it ends by itself, within a year
    "budget": {"count": 20, "per": 86400, "of": "data.amount", "sum": 500},
                                          with "approve": so many requests within so many seconds,
                                          and so much in all of what "of" gives
    "enabled": true
}

Every rule is looked at. One that denies beats an error, an error beats one that approves, and that
beats one that asks: a rule that cannot be judged asks a person, because it might have denied. A
rule that approves beyond its time or its budget does not match. No match asks a person.
"""

from workflows.policies.rules.format import (
    APPROVE,
    ASK,
    DENY,
    MAX_RULES,
    Budget,
    Rule,
    normalise,
    read,
)
from workflows.policies.rules.judging import Choice, Finding, Ruling, Spent, choose_policy, decide
from workflows.policies.rules.trying import Difference, DryRun, dry_run

__all__ = [
    "APPROVE",
    "ASK",
    "DENY",
    "MAX_RULES",
    "Budget",
    "Choice",
    "Difference",
    "DryRun",
    "Finding",
    "Rule",
    "Ruling",
    "Spent",
    "choose_policy",
    "decide",
    "dry_run",
    "normalise",
    "read",
]
