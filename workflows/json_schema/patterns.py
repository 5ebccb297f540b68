"""Patterns that agents send, run on RE2: time in proportion to the text, whatever they say."""

from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN = 500
# RE2 is linear in the text times the size of the compiled pattern: both are bounded. Measured:
# the worst pattern of this size takes about 0.1 s over the longest text.
MAX_PROGRAM = 1500
MAX_TEXT = 20_000


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """The compiled pattern. Raises ValueError, with a sentence, for what we do not run."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"The pattern is longer than {MAX_PATTERN} characters.")
    options = re2.Options()
    options.log_errors = False
    try:
        program = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "no reason given"
        raise ValueError(f"RE2 cannot run this pattern: {reason}.") from None
    if program.programsize > MAX_PROGRAM:
        raise ValueError("The pattern is too complex. Use smaller repetitions.")
    return program


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text, as JSON Schema means it (unanchored)."""
    return len(text) <= MAX_TEXT and compiled(pattern).search(text) is not None
