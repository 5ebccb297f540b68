"""From a post's flat names (`stages.0.name`) to nested values; hostile posts stay harmless."""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from django.http import QueryDict

# What was posted under one name, or what lies below it.
Posted: TypeAlias = Mapping[str, Any]
MAX_DEPTH, MAX_TEXT, MAX_PARTS = 12, 8_000, 100
_NAME = re.compile(r"[a-z_]+(\.([a-z_]+|[0-9]{1,3}))*")


def nest(post: QueryDict) -> dict[str, Any]:
    """The posted values by their parts of the name; names of another form are left out."""
    root: dict[str, Any] = {}
    for name, values in post.lists():
        if not _NAME.fullmatch(name) or name.count(".") > MAX_DEPTH:
            continue
        *way, last = name.split(".")
        here: Any = root
        for token in way:
            here = here.setdefault(token, {})
            if not isinstance(here, dict):
                break
        else:
            here.setdefault(last, [str(value)[:MAX_TEXT] for value in values])
    return root


def text(posted: Posted, name: str, default: str = "") -> str:
    """One posted text without blanks around it; the default where nothing was posted."""
    values = posted.get(name)
    return values[-1].strip() if isinstance(values, list) and values else default


def texts(posted: Posted, name: str) -> list[str]:
    """Everything posted under a name, like ticked boxes."""
    values = posted.get(name)
    return list(dict.fromkeys(values)) if isinstance(values, list) else []


def ticked(posted: Posted, name: str) -> bool:
    """Whether a box is ticked: one that is not is not posted."""
    return bool(texts(posted, name))


def below(posted: Posted, name: str) -> Posted:
    """What lies below a name."""
    value = posted.get(name)
    return value if isinstance(value, dict) else {}


def rows(posted: Posted, name: str) -> list[Posted]:
    """The numbered parts below a name, in their order."""
    numbered = [(int(key), value) for key, value in below(posted, name).items() if key.isdigit()]
    found: list[Posted] = [
        value for _, value in sorted(numbered, key=lambda pair: pair[0]) if isinstance(value, dict)
    ]
    return found[:MAX_PARTS]
