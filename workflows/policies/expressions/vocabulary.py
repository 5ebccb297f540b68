"""What expressions may speak of: the variables of a rule and of a policy, and what is in them.

`data` and `metadata` are free; the others have fixed fields, so that a misspelling is found when
an expression is saved and not when a request comes in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from cel_expr_python import cel

# What a variable or field holds: named fields, TEXT, or anything.
Fields: TypeAlias = Mapping[str, "Fields | str"]
TEXT, ANYTHING = "text", "anything"

REQUEST_FIELDS: Fields = {
    "action_type": TEXT,
    "data": ANYTHING,
    "agent": dict.fromkeys(("id", "name", "owner"), ANYTHING),
    "team": dict.fromkeys(("id", "name", "slug"), ANYTHING),
    "risk": TEXT,
    "time": dict.fromkeys(("now", "date", "hour", "minute", "weekday", "zone"), ANYTHING),
    "metadata": ANYTHING,
}
PERSON_FIELDS: Fields = dict.fromkeys(("id", "name", "roles", "groups"), ANYTHING)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The variables of one kind of expression, and the compiler for them."""

    fields: Fields

    @cached_property
    def environment(self) -> cel.Env:
        return cel.NewEnv(variables={name: _type(held) for name, held in self.fields.items()})

    def misspelt(self, path: tuple[str, ...]) -> tuple[str, Fields] | None:
        """The first part of a path that is not there, with what is there instead."""
        here: Fields | str = self.fields
        for part in path:
            if isinstance(here, str):
                return None
            if part not in here:
                return part, here
            here = here[part]
        return None


def _type(held: Fields | str) -> cel.Type:
    if held == TEXT:
        return cel.Type.STRING
    if held == ANYTHING:
        return cel.Type.DYN
    return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)


# A rule, and the condition of a stage: over the request.
REQUEST = Vocabulary(REQUEST_FIELDS)
# Whom a stage asks: over a person and the request.
PERSON = Vocabulary({"person": PERSON_FIELDS, "request": REQUEST_FIELDS})
