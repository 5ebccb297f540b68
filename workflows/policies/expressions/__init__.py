"""Conditions in CEL over a request, or over a person and a request: small, pure and bounded."""

from workflows.policies.expressions.compiler import (
    MAX_LENGTH,
    EvaluationError,
    Expression,
    ExpressionError,
    Gives,
    compile_expression,
)
from workflows.policies.expressions.vocabulary import PERSON, REQUEST, Vocabulary

__all__ = [
    "MAX_LENGTH",
    "PERSON",
    "REQUEST",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "Gives",
    "Vocabulary",
    "compile_expression",
]
