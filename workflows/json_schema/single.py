"""What can be wrong with the keywords of one schema, looked at without its children."""

from collections.abc import Iterator, Mapping
from typing import Any

from hitl.lib import canonical
from workflows.json_schema import formats, keywords, patterns


def faults_of(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of keyword and sentence. Shapes that the metaschema judges are left to it."""
    for keyword, check in _CHECKS.items():
        if keyword in node:
            message = check(node[keyword])
            if message is not None:
                yield keyword, message
    labels = node.get("x-labels")
    if isinstance(labels, list) and len(labels) != len(node.get("enum", ())):
        yield "x-labels", "Give one label for each option of enum."


def _title(value: Any) -> str | None:
    return _text(value, keywords.MAX_TITLE)


def _description(value: Any) -> str | None:
    return _text(value, keywords.MAX_DESCRIPTION)


def _text(value: Any, limit: int) -> str | None:
    if isinstance(value, str) and len(value) <= limit:
        return None
    return f"Must be a text of at most {limit} characters."


def _enum(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "Must be a list of at least one option."
    if len(value) > keywords.MAX_OPTIONS:
        return f"There are more than {keywords.MAX_OPTIONS} options."
    if len({canonical.dumps(option) for option in value}) < len(value):
        return "An option appears twice."
    return None


def _format(value: Any) -> str | None:
    if isinstance(value, str) and value in formats.CHECKS:
        return None
    return f"This format is not known; known are: {', '.join(formats.CHECKS)}."


def _widget(value: Any) -> str | None:
    if isinstance(value, str) and value in keywords.WIDGETS:
        return None
    return f"This widget is not known; known are: {', '.join(sorted(keywords.WIDGETS))}."


def _pattern(value: Any) -> str | None:
    if not isinstance(value, str):
        return "Must be a text."
    try:
        patterns.compiled(value)
    except ValueError as error:
        return str(error)
    return None


def _labels(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(label, str) for label in value):
        return None
    return "Must be a list of texts."


_CHECKS = {
    "title": _title,
    "description": _description,
    "enum": _enum,
    "format": _format,
    "pattern": _pattern,
    "x-widget": _widget,
    "x-labels": _labels,
}
