"""Values from a request in a sentence: short, on one line, with nothing hidden in them."""

import json
from collections.abc import Mapping
from typing import Any

from hitl.lib.text import one_line
from workflows.policies.expressions import Expression

MAX_VALUE, MAX_VALUES = 60, 4
_NOTHING = object()


def read_values(expression: Expression, variables: Mapping[str, Any]) -> str:
    """What an expression reads and found there: `data.amount is 120, risk is "high"`."""
    said = []
    for path in expression.reads[:MAX_VALUES]:
        found = _at(path, variables)
        shown = "not there" if found is _NOTHING else shown_value(found)
        said.append(f"{'.'.join(path)} is {shown}")
    return ", ".join(said)


def shown_value(value: Any) -> str:
    """One value; of lists and objects only how much there is."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return one_line(json.dumps(value, ensure_ascii=False), MAX_VALUE)


def _at(path: tuple[str, ...], variables: Mapping[str, Any]) -> Any:
    here: Any = variables
    for part in path:
        if not isinstance(here, Mapping) or part not in here:
            return _NOTHING
        here = here[part]
    return here
