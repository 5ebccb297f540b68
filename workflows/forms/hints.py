"""What a field permits, in the few words that stand beside it."""

from typing import Any

from hitl.lib import canonical
from hitl.lib.text import one_line
from workflows.forms.plan import Leaf
from workflows.json_schema import formats

_SHOWN = 80


def hint_of(leaf: Leaf) -> str:
    """Limits, format and default as one line; empty where there is nothing to say."""
    schema = leaf.schema["items"] if leaf.kind in ("lines", "choices") else leaf.schema
    parts = [_range(schema), _length(schema), _format(schema), _count(leaf), _default(leaf)]
    return "; ".join(part for part in parts if part)


def _range(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    if low is not None:
        return f"at least {_number(low)}"
    return f"at most {_number(high)}" if high is not None else ""


def _length(schema: dict[str, Any]) -> str:
    limit = schema.get("maxLength")
    return f"at most {_number(limit)} characters" if limit is not None else ""


def _format(schema: dict[str, Any]) -> str:
    return formats.EXAMPLES.get(str(schema.get("format", "")), "")


def _count(leaf: Leaf) -> str:
    limit = leaf.schema.get("maxItems") if leaf.kind in ("lines", "choices") else None
    return f"at most {_number(limit)} entries" if limit is not None else ""


def _default(leaf: Leaf) -> str:
    if "default" not in leaf.schema:
        return ""
    value = leaf.schema["default"]
    text = value if isinstance(value, str) else canonical.dumps(value).decode()
    return f"default: {one_line(text, _SHOWN) or '(empty)'}"


def _number(value: float) -> str:
    return canonical.dumps(value).decode()
