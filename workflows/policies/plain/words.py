"""Numbers, lists, durations, people and conditions as words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workflows.policies import expressions
from workflows.policies.expressions import ExpressionError, Vocabulary
from workflows.policies.expressions.tree import Build, Call, Const, Name, Node, Select
from workflows.policies.showing import shown_value

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_RELATIONS = {
    "_>_": "is more than", "_>=_": "is at least", "_<_": "is less than", "_<=_": "is at most",
    "_==_": "is", "_!=_": "is not", "@in": "is one of", "startsWith": "starts with",
    "endsWith": "ends with", "contains": "contains",
}  # fmt: skip
_JOINS = {"_&&_": " and ", "_||_": " or "}


@dataclass(frozen=True)
class Names:
    """What people and groups are called, by id or slug; what is not there is called by itself."""

    people: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    def person(self, id_: str) -> str:
        return self.people.get(id_, id_)

    def group(self, id_: str) -> str:
        return self.groups.get(id_, id_)


def number(count: int) -> str:
    """`two`, and digits above ten."""
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else str(count)


def duration(seconds: int) -> str:
    """`1 hour 30 minutes`."""
    parts = []
    for unit, size in _UNITS:
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {unit}{'s' if amount > 1 else ''}")
    return " ".join(parts) or "no time"


def listed(parts: Sequence[str], word: str = "and") -> str:
    """`Ann, Bob and Cat`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def condition(text: str, vocabulary: Vocabulary = expressions.REQUEST) -> str:
    """`amount is more than 10,000`; the expression itself where it is not as simple as that."""
    try:
        said = _condition(expressions.compile_expression(text, vocabulary).root)
    except ExpressionError:
        said = ""
    return said or f"“{' '.join(text.split())}” holds"


def _condition(node: Node) -> str:
    if isinstance(node, Select) and node.test:
        path = _path(node)
        return f"there is {path}" if path else ""
    if not isinstance(node, Call):
        return ""
    if node.function in _JOINS:
        return _joined(node)
    if node.function in _RELATIONS and len(node.args) == 2:
        left, right = _value(node.args[0]), _value(node.args[1])
        return f"{left} {_RELATIONS[node.function]} {right}" if left and right else ""
    return ""


def _joined(node: Call) -> str:
    """Parts with one joining word only: a mixture would need brackets, which are no words."""
    parts = [_condition(arg) for arg in node.args]
    within = {arg.function for arg in node.args if isinstance(arg, Call)}
    if not all(parts) or (within & set(_JOINS)) - {node.function}:
        return ""
    return _JOINS[node.function].join(parts)


def _value(node: Node) -> str:
    if isinstance(node, Const):
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return shown_number(node.value) if abs(node.value) < 2**53 else ""
        return shown_value(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, Build):
        parts = [_value(part) for part in node.parts]
        return listed(parts, "or") if parts and all(parts) else ""
    return _path(node)


def shown_number(value: float) -> str:
    """`1,000` and `1,000.5`: in conditions every number has to be written as a float."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,}"


def _path(node: Node) -> str:
    """`amount` for data.amount, `action type`, `agent.name`."""
    match node:
        case Name(name=name):
            return "" if name.startswith("@") else name.replace("_", " ")
        case Select(operand=operand, field=part):
            before = _path(operand)
            return part if before == "data" else f"{before}.{part}" if before else ""
    return ""
