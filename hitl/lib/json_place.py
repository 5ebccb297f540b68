"""Where in a JSON text are we? The pointer to a position, for texts that no parser can finish.

Works on broken and on hostilely nested texts alike: one linear scan, no recursion.
"""

import json
import re

from hitl.lib import pointer

# The closing quote is optional so that an unfinished string is one match, not a search from
# every quote in it, which would be quadratic.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},:]', re.DOTALL)


def place_of(text: str, end: int, max_depth: int | None = None) -> str:
    """The pointer to what stands at `end`, or to the first place nested beyond `max_depth`."""
    path: list[str | int | None] = []
    string = ""
    for match in _TOKEN.finditer(text[:end]):
        mark = match[0]
        if mark.startswith('"'):
            string = mark
        elif mark in "[{":
            if max_depth is not None and len(path) == max_depth:
                break
            path.append(0 if mark == "[" else None)
        elif mark in "]}":
            del path[-1:]
        elif path:
            path[-1] = _step(path[-1], mark, string)
    return _pointer(path)


def _step(here: str | int | None, mark: str, string: str) -> str | int | None:
    """The last part of the path after a comma or a colon."""
    if isinstance(here, int):
        return here + 1 if mark == "," else here
    return _key(string) if mark == ":" else None


def _key(literal: str) -> str:
    try:
        return str(json.loads(literal, strict=False))
    except ValueError:
        return literal


def _pointer(path: list[str | int | None]) -> str:
    known = [pointer.printable(str(part)) for part in path if part is not None]
    return pointer.join("", *known)
