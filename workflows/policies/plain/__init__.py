"""Policies, stages, escalations and where a request stands, in plain English for pages and mail."""

from workflows.policies.plain.policy import (
    asked_then,
    explain,
    meant,
    need,
    place,
    step,
    summary,
)
from workflows.policies.plain.progress import (
    Clock,
    comes_next,
    happening,
    waiting,
    who_answered,
    why_not,
)
from workflows.policies.plain.words import Names, condition, duration, listed, number, sentence

__all__ = [
    "Clock",
    "Names",
    "asked_then",
    "comes_next",
    "condition",
    "duration",
    "explain",
    "happening",
    "listed",
    "meant",
    "need",
    "number",
    "place",
    "sentence",
    "step",
    "summary",
    "waiting",
    "who_answered",
    "why_not",
]
