"""CEL expressions: compiled once, evaluated within a bound, explained by the values they read.

Nothing an expression or the data says can make it run long, take much memory or touch anything:
the runtime bounds nesting (32) and iterations (10,000), `cost` bounds the bytes, and the only
functions are CEL's own, which are pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from workflows.json_schema import patterns
from workflows.policies.expressions import cost, tree, words
from workflows.policies.expressions.sizes import Given
from workflows.policies.expressions.vocabulary import REQUEST, Vocabulary

MAX_LENGTH = 1_000
_BLANKS = str.maketrans("\n\t", "  ")


class Gives(Enum):
    """What an expression has to give, with the runtime's names for types that may become that."""

    CONDITION = ("true or false", frozenset({"BOOL", "DYN"}))
    NUMBER = ("a number", frozenset({"INT", "UINT", "DOUBLE", "DYN"}))

    @property
    def said(self) -> str:
        return self.value[0]

    @property
    def types(self) -> frozenset[str]:
        return self.value[1]


class ExpressionError(ValueError):
    """The expression cannot be used: `str(error)` says why and what to write instead."""


class EvaluationError(ValueError):
    """The expression failed on these values: `str(error)` says why."""


@dataclass(frozen=True)
class Expression:
    """A compiled expression. Safe to share between threads."""

    text: str
    gives: Gives
    root: tree.Node = field(repr=False, compare=False)
    _program: cel.Expression = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The answer, a bool or a float, for plain JSON values of the variables.

        Raises EvaluationError, also where the work could exceed the bound (about 0.2 s).
        """
        sizes = {name: Given(value) for name, value in values.items()}
        if cost.estimate(self.root, sizes) > cost.BUDGET:
            raise EvaluationError("The data is too large for this expression.")
        try:
            answer = self._program.eval(data=dict(values))
        except (RuntimeError, TypeError, ValueError, MemoryError) as error:
            raise EvaluationError(words.of_evaluating(str(error))) from None
        if answer.type() == cel.Type.ERROR:
            raise EvaluationError(words.of_evaluating(str(answer.value())))
        return self._checked(answer.value())

    def _checked(self, value: Any) -> Any:
        is_truth = isinstance(value, bool)
        if self.gives is Gives.CONDITION and is_truth:
            return value
        if self.gives is Gives.NUMBER and isinstance(value, int | float) and not is_truth:
            return float(value)
        raise EvaluationError(f"The expression does not give {self.gives.said}.")

    @property
    def reads(self) -> tuple[tuple[str, ...], ...]:
        """The paths into the variables that it reads, like ("data", "amount"), in their order."""
        return tuple(dict.fromkeys(_paths(self.root, frozenset())))


def compile_expression(
    text: Any, vocabulary: Vocabulary = REQUEST, gives: Gives = Gives.CONDITION
) -> Expression:
    """Compile and check an expression that gives what is wanted.

    Raises ExpressionError where it cannot be read, names what is not there, gives something else
    or could need too much work.
    """
    if not isinstance(text, str) or not text.strip():
        raise ExpressionError('Write a condition, like data.amount > 10000 or risk == "high".')
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"The expression is longer than {MAX_LENGTH} characters.")
    if not text.translate(_BLANKS).isprintable():
        raise ExpressionError("The expression has characters that cannot be seen. Remove them.")
    return _compiled(text, vocabulary, gives)


@lru_cache(maxsize=1024)
def _compiled(text: str, vocabulary: Vocabulary, gives: Gives) -> Expression:
    try:
        program = vocabulary.environment.compile(text)
    except (RuntimeError, TypeError) as error:
        names = list(vocabulary.fields)
        raise ExpressionError(words.of_compiling(str(error), text, names)) from None
    kind = program.return_type().name()
    if kind not in gives.types:
        raise ExpressionError(f"The expression has to give {gives.said}.")
    root = tree.read(program.serialize())
    _check_patterns(root)
    _check_fields(root, vocabulary)
    if cost.estimate(root, {}) > cost.BUDGET:
        raise ExpressionError("The expression needs too much work: nest fewer macros.")
    return Expression(text, gives, root, program)


def _check_patterns(root: tree.Node) -> None:
    """A pattern has to be written out: what the data says must not be compiled."""
    for node in tree.walk(root):
        if isinstance(node, tree.Call) and node.function == "matches":
            pattern = node.args[-1]
            if not isinstance(pattern, tree.Const) or not isinstance(pattern.value, str):
                raise ExpressionError('Write the pattern out, like data.to.matches("^a+$").')
            try:
                patterns.compiled(pattern.value)
            except ValueError as error:
                raise ExpressionError(str(error)) from None


def _check_fields(root: tree.Node, vocabulary: Vocabulary) -> None:
    for path in _paths(root, frozenset()):
        wrong = vocabulary.misspelt(path)
        if wrong:
            raise ExpressionError(words.of_unknown(wrong[0], list(wrong[1])))


def _paths(node: tree.Node, bound: frozenset[str]) -> Iterator[tuple[str, ...]]:
    path = _path(node)
    if path:
        if path[0] not in bound:
            yield path
        return
    if isinstance(node, tree.Loop):
        yield from _paths(node.over, bound)
        inner = bound | {node.variable, node.result_name}
        for part in (node.start, node.condition, node.step, node.result):
            yield from _paths(part, inner)
        return
    for part in tree.children(node):
        yield from _paths(part, bound)


def _path(node: tree.Node) -> tuple[str, ...]:
    """The names and fields of a plain path; empty for anything else."""
    match node:
        case tree.Name(name=name):
            return (name,)
        case tree.Select(operand=operand, field=field_name):
            before = _path(operand)
            return (*before, field_name) if before else ()
    return ()
