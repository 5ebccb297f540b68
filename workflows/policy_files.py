"""A team's policies and rules as YAML files: written, read, and taken over as a whole.

People are called by their e-mail address, groups by their slug. Reading a file twice changes
nothing the second time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from hitl.accounts.models import Team, User
from hitl.lib.errors import HitlError, InvalidInput
from workflows import policy_books
from workflows.models import Policy
from workflows.policies import yaml_io
from workflows.policy_cast import Cast

NEW, CHANGED, SAME, ARCHIVED, BACK = "new", "changed", "same", "archived", "back in use"
# Of policies, stages, steps, rules and budgets alike.
_ORDER = (
    "format", "name", "timeoutSeconds", "allowOwner", "allowRequester", "allowTwice",
    "differentPeople", "calendar", "stages", "need", "when", "then", "policy", "because", "until",
    "budget", "enabled", "onReject", "minPeople", "allowEdit", "channels", "reminders", "after",
    "to", "escalation", "stepUp", "timeoutAction", "extendMax", "count", "mode", "repeat", "every",
    "per", "of", "sum", "zone", "quiet", "work", "monday", "tuesday", "wednesday", "thursday",
    "friday", "saturday", "sunday", "holidays",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What a file does to one policy (by its name), or to `rules`."""

    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.what:<12}{self.name}"


class _Undo(Exception):
    """Ends a transaction whose result is only to be looked at."""


def export(team: Team) -> str:
    """All policies in use and the rules in force; people who have left stay as their ids."""
    policies = Policy.objects.filter(team=team, archived_at=None)
    rules = policy_books.rules_of(team).rules
    return write([policy.document for policy in policies], rules, cast=Cast.of(team))


def write(
    policies: Iterable[dict[str, object]], rules: Iterable[dict[str, object]] = (), *, cast: Cast
) -> str:
    """The file for policies and rules in normal form, its keys in the order people expect."""
    return yaml_io.dumps(_ordered(list(policies)), _ordered(list(rules)), person=cast.address)


def _ordered(value: Any) -> Any:
    """What is stored has its keys by the alphabet."""
    if isinstance(value, list):
        return [_ordered(part) for part in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: (_ORDER.index(key) if key in _ORDER else len(_ORDER), key))
    return {key: _ordered(value[key]) for key in keys}


def read(text: str, *, cast: Cast) -> yaml_io.Document:
    """The policies and rules of a file, whose people, groups and policies all exist.

    Raises InvalidInput with lines.
    """
    return yaml_io.loads(
        text,
        now=timezone.now(),
        person=cast.person,
        judge=lambda policy: policy_books.check_policy(policy, cast),
        policy_names=policy_books.active_names(cast.team),
    )


def read_policy(text: str, *, cast: Cast) -> dict[str, object]:
    """The only policy of a file. Raises InvalidInput with lines."""
    found = read(text, cast=cast)
    if len(found.policies) != 1 or found.rules:
        raise InvalidInput("Write exactly one policy here. Rules have a page of their own.")
    return found.policies[0]


def take_over(
    team: Team, text: str, *, by: User | None = None, dry_run: bool = False, prune: bool = False
) -> list[Step]:
    """Make the team's policies and rules what the file says, all of it or nothing.

    A file without rules leaves the rules alone. `prune` archives policies that the file does not
    name, and takes away the rules where it has none. `dry_run` tells what would be done. Raises
    InvalidInput with lines, or the Conflict that is in the way.
    """
    steps: list[Step] = []
    try:
        with transaction.atomic():
            steps = _take_over(team, text, by, prune)
            if dry_run:
                raise _Undo
    except _Undo:
        pass
    return steps


def _take_over(team: Team, text: str, by: User | None, prune: bool) -> list[Step]:
    document = read(text, cast=Cast.of(team))
    names = [policy["name"] for policy in document.policies]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InvalidInput(f"The file has two policies called {twice!r}.")
    steps = [_save(team, policy, by) for policy in document.policies]
    if document.rules or prune:
        before = policy_books.rules_of(team).number
        after = policy_books.save_rules(team, document.rules, by=by, note="From a file")
        steps.append(Step(CHANGED if after.number != before else SAME, "rules"))
    if prune:
        others = Policy.objects.filter(team=team, archived_at=None).exclude(name__in=names)
        for policy in others:
            policy_books.archive(team, policy.pk, by=by)
            steps.append(Step(ARCHIVED, policy.name))
    return steps


def _save(team: Team, document: dict[str, object], by: User | None) -> Step:
    name = str(document["name"])
    found = Policy.objects.filter(team=team, name=name).first()
    saved = policy_books.save_policy(
        team, document, by=by, policy_id=found.pk if found else None, note="From a file"
    )
    if found is None:
        return Step(NEW, name)
    if found.archived_at:
        policy_books.unarchive(team, found.pk, by=by)
        return Step(BACK, name)
    return Step(CHANGED if saved.version != found.version else SAME, name)


def sentences(error: HitlError) -> list[str]:
    """What is wrong, a sentence each."""
    return [fault.message for fault in error.errors] or [str(error)]
