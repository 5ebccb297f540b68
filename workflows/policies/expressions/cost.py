"""How much work an expression could need on given values: an upper bound, computed beforehand.

The runtime bounds recursion and iterations, but not bytes: `[s + s].map(x, x + x)…` doubles a text
with every step, and one pattern can be compiled ten thousand times. A unit is about 10 ns.
"""

from collections.abc import Mapping

from workflows.json_schema import patterns
from workflows.policies.expressions.sizes import TINY, Bounded, Given, Size, Typical
from workflows.policies.expressions.tree import Build, Call, Const, Loop, Name, Node, Select

BUDGET = 20_000_000

_NODE = 30
_PATTERN = 100  # an instruction of a compiled pattern
_ZONE = 1_000  # a look-up in the time zone database
_CONVERSIONS = frozenset({"string", "bytes", "int", "uint", "double", "timestamp", "duration"})
_ZONED = "get"  # getHours("Europe/Berlin"), getDayOfWeek() and so on


def estimate(node: Node, values: Mapping[str, Size]) -> int:
    """The units of work the expression takes at most on these values; others are typical."""
    meter = _Meter()
    meter.size(node, values)
    return meter.work


class _Meter:
    """Adds up the work of a tree; `times` is how often the part at hand runs."""

    def __init__(self) -> None:
        self.work = 0
        self.times = 1

    def size(self, node: Node, scope: Mapping[str, Size]) -> Size:
        self._spend(_NODE)
        match node:
            case Const(value=value):
                return Given(value)
            case Name(name=name):
                return scope.get(name) or Typical()
            case Select():
                part = self.size(node.operand, scope).at(node.field)
                return TINY if node.test else part
            case Build(parts=parts):
                sizes = [self.size(part, scope) for part in parts]
                return Bounded(8 + sum(size.weight for size in sizes), len(sizes))
            case Call():
                return self._called(node, [self.size(arg, scope) for arg in node.args])
            case Loop():
                return self._looped(node, scope)

    def _spend(self, units: int) -> None:
        self.work += units * self.times

    def _called(self, node: Call, sizes: list[Size]) -> Size:
        match node.function:
            case "_[_]":
                key = node.args[1]
                return sizes[0].at(key.value if isinstance(key, Const) else None)
            case "_?_:_":
                weight = max(size.weight for size in sizes[1:])
                return Bounded(weight, max(size.length for size in sizes[1:]))
            case "_&&_" | "_||_" | "!_":
                return TINY
        return self._worked(node, sizes)

    def _worked(self, node: Call, sizes: list[Size]) -> Size:
        """Functions that read their arguments from end to end."""
        both = sum(size.weight for size in sizes)
        self._spend(both)
        match node.function:
            case "_+_":
                return Bounded(both, sum(size.length for size in sizes))
            case "matches":
                self._spend(_pattern_cost(node, sizes[0].weight))
            case "contains":
                self._spend(sizes[0].weight * (1 + sizes[-1].weight // 16))
            case name if name in _CONVERSIONS:
                return Bounded(both + 32, both + 32)
            case name if name.startswith(_ZONED):
                self._spend(_ZONE)
        return TINY

    def _looped(self, node: Loop, scope: Mapping[str, Size]) -> Size:
        over = self.size(node.over, scope)
        start = self.size(node.start, scope)
        outer, count = self.times, over.length
        self.times = outer * count
        inner = {**scope, node.variable: over.heaviest(), node.result_name: start}
        self.size(node.condition, inner)
        once = self.size(node.step, inner)
        if isinstance(node.start, Build):
            # map and filter copy what they have so far with every element they add.
            self._spend(once.weight * count)
        self.times = outer
        total = Bounded(start.weight + count * once.weight, start.length + count)
        return self.size(node.result, {**scope, node.result_name: total})


def _pattern_cost(node: Call, text: int) -> int:
    pattern = node.args[-1]
    if not isinstance(pattern, Const) or not isinstance(pattern.value, str):
        return BUDGET  # refused when it was compiled; here so that nothing slips through
    size = int(patterns.compiled(pattern.value).programsize)
    return size * _PATTERN + text * (1 + size // 10)
