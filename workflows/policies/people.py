"""Who somebody is, and whether a policy means them: no database, only what the caller knows now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from workflows.policies import expressions
from workflows.policies.expressions import EvaluationError, ExpressionError
from workflows.policies.request import Request
from workflows.policies.shape import Who

# A role includes those before it; other roles stand for themselves.
_RANK = ("viewer", "approver", "manager")


@dataclass(frozen=True)
class Person:
    """A member of the team as of now.

    `groups` holds the ids and slugs of their groups; `acts_for` the ids of those they stand in
    for at the moment (see `absence`).
    """

    id: str
    name: str = ""
    roles: frozenset[str] = frozenset({"approver"})
    groups: frozenset[str] = frozenset()
    active: bool = True
    acts_for: tuple[str, ...] = ()

    @property
    def may_decide(self) -> bool:
        """Whether the person has the right to decide anything in this team now."""
        return self.active and self.has_role("approver")

    def has_role(self, role: str) -> bool:
        if role not in _RANK:
            return role in self.roles
        return any(higher in self.roles for higher in _RANK[_RANK.index(role) :])


@dataclass(frozen=True)
class People:
    """Everybody who could matter, by id."""

    persons: Mapping[str, Person] = field(default_factory=dict)

    @classmethod
    def of(cls, persons: Sequence[Person]) -> "People":
        return cls({person.id: person for person in persons})

    def get(self, person_id: str) -> Person | None:
        return self.persons.get(person_id)

    def name(self, person_id: str) -> str:
        """What others see; the id of somebody who has left."""
        person = self.persons.get(person_id)
        return (person.name or person.id) if person else person_id


@dataclass(frozen=True)
class Matcher:
    """Answers whether a person is meant, on the data of one fingerprint of one request."""

    request: Request
    fingerprint: str = ""

    def means(self, who: Who, person: Person) -> bool:
        """Whether `who` names this person. An expression that fails names nobody."""
        if "team" in who:
            return person.may_decide
        if "users" in who:
            return person.id in who["users"]
        if "roles" in who:
            return any(person.has_role(role) for role in who["roles"])
        if "group" in who:
            return str(who["group"]) in person.groups
        if "agentOwner" in who:
            return person.id == self.request.owner_id
        return self._holds(who["expression"], person)

    def _holds(self, text: str, person: Person) -> bool:
        try:
            condition = expressions.compile_expression(text, expressions.PERSON)
            return bool(condition.evaluate({"person": _as_data(person), "request": self._data}))
        except (ExpressionError, EvaluationError):
            return False

    @cached_property
    def _data(self) -> dict[str, Any]:
        return self.request.variables(self.fingerprint)


def _as_data(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "roles": sorted(person.roles),
        "groups": sorted(person.groups),
    }
