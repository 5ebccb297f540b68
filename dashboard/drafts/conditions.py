"""A condition as a row of three fields (`amount`, is more than, `10,000`) or as CEL; and back."""

import json
import re
from dataclasses import dataclass

from dashboard.drafts.nodes import Node, Written
from dashboard.drafts.posts import Posted, text

ALWAYS, SIMPLE, CEL = "always", "simple", "cel"
KINDS = ((ALWAYS, "Always"), (SIMPLE, "Only if …"), (CEL, "Only if this expression holds (CEL)"))
COMPARISONS = (
    (">", "is more than"),
    (">=", "is at least"),
    ("<", "is less than"),
    ("<=", "is at most"),
    ("==", "is"),
    ("!=", "is not"),
    ("in", "is one of"),
    ("contains", "contains"),
    ("startsWith", "starts with"),
    ("endsWith", "ends with"),
)
_SIGNS = frozenset({">", ">=", "<", "<=", "==", "!="})
_CALLS = frozenset({"contains", "startsWith", "endsWith"})
# What a field may begin with to mean something else than the data.
_ROOTS = frozenset({"data", "metadata", "agent", "team", "time", "risk", "action_type"})
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_GROUPED = re.compile(r"-?[0-9]{1,3}([, ’'\u00a0\u202f][0-9]{3})+(\.[0-9]+)?")
_PATH = r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\"[^\"\\]+\"\])*)"
_COMPARED = re.compile(_PATH + r" (>=|<=|==|!=|>|<|in) (.+)")
_CALLED = re.compile(_PATH + r"\.(contains|startsWith|endsWith)\((\".*\")\)")


@dataclass
class Condition(Node):
    """When something applies."""

    kind: str = ALWAYS
    field: str = ""
    comparison: str = ">"
    value: str = ""
    cel: str = ""

    @classmethod
    def read(cls, posted: Posted) -> "Condition":
        """As it was posted."""
        return cls(
            text(posted, "kind", ALWAYS),
            text(posted, "field"),
            text(posted, "comparison", ">"),
            text(posted, "value"),
            text(posted, "cel"),
        )

    @classmethod
    def of(cls, cel: str | None) -> "Condition":
        """Of a stored expression: as a row where that says the same."""
        if cel is None:
            return cls()
        found = from_cel(cel)
        if found is not None:
            return cls(SIMPLE, *found, cel)
        return cls(CEL, cel=cel)

    def write(self, place: str, written: Written) -> str | None:
        """The expression; None for always."""
        written.note(place, self, "cel" if self.kind == CEL else "value")
        if self.kind == ALWAYS:
            return None
        if self.kind == CEL:
            return self.cel
        try:
            return to_cel(self.field, self.comparison, self.value)
        except ValueError as error:
            written.fault(place, str(error))
            return "true"


def to_cel(field: str, comparison: str, value: str) -> str:
    """The expression for a row. Raises ValueError saying what is missing."""
    path = _path(field)
    if not value.strip():
        raise ValueError("Write what to compare with.")
    if comparison in _CALLS:
        return f"{path}.{comparison}({_text(value)})"
    if comparison == "in":
        parts = [part.strip() for part in value.split(",") if part.strip()]
        return f"{path} in [{', '.join(_literal(part) for part in parts)}]"
    if comparison not in _SIGNS:
        raise ValueError("Choose how to compare.")
    return f"{path} {comparison} {_literal(value)}"


def from_cel(cel: str) -> tuple[str, str, str] | None:
    """The row that says the same as an expression, or None."""
    called = _CALLED.fullmatch(cel)
    compared = None if called else _COMPARED.fullmatch(cel)
    found = called or compared
    if found is None:
        return None
    path, comparison, literal = found.groups()
    field = _field(path)
    value = _value(literal, comparison)
    try:
        is_same = value is not None and to_cel(field, comparison, value) == cel
    except ValueError:
        return None
    return (field, comparison, value) if is_same and value is not None else None


def _path(field: str) -> str:
    field = field.strip()
    if not field:
        raise ValueError("Choose what to compare, like amount.")
    parts = [part.strip() for part in field.split(".")]
    if parts[0] not in _ROOTS:
        parts.insert(0, "data")
    if not all(parts):
        raise ValueError("Write the field's name, like amount or customer.country.")
    root, *rest = parts
    return root + "".join(
        f".{part}" if _PART.fullmatch(part) else f"[{json.dumps(part)}]" for part in rest
    )


def _field(path: str) -> str:
    plain = re.sub(r'\["([^"\\]+)"\]', r".\1", path)
    short = plain.removeprefix("data.")
    return short if short.split(".")[0] not in _ROOTS else plain


def _literal(value: str) -> str:
    value = value.strip()
    if _GROUPED.fullmatch(value):
        value = re.sub("[^0-9.-]", "", value)
    if _NUMBER.fullmatch(value) or value in ("true", "false"):
        return value
    return _text(value)


def _text(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return json.dumps(value, ensure_ascii=False)


def _value(literal: str, comparison: str) -> str | None:
    try:
        found = json.loads(literal)
    except ValueError:
        return None
    if comparison == "in":
        if not isinstance(found, list):
            return None
        return ", ".join(_shown(part, json.dumps(part, ensure_ascii=False)) for part in found)
    return _shown(found, literal)


def _shown(found: object, literal: str) -> str:
    """A text without its quotes, unless it would then be taken for something else."""
    return found if isinstance(found, str) and _literal(found) == literal else literal
