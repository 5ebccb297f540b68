"""Two ways of `anyOf`/`oneOf` that generators write for plain things, turned into those things."""

from typing import Any

_LABEL_KEYS = frozenset({"const", "title", "description"})


def labelled(given: list[Any]) -> dict[str, Any] | None:
    """Constants with titles are an enum with labels; None if these are not that."""
    if not all(isinstance(one, dict) and _is_constant(one) for one in given):
        return None
    return {
        "enum": [one["const"] for one in given],
        "x-labels": [one.get("title", "") for one in given],
    }


def _is_constant(one: dict[str, Any]) -> bool:
    return "const" in one and one.keys() <= _LABEL_KEYS


def nullable(read: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Something or null is that thing with null permitted; None if these are not that."""
    others = [node for node in read if node != {"type": "null"}]
    if len(read) != 2 or len(others) != 1:
        return None
    node = dict(others[0])
    if node.keys() & {"anyOf", "oneOf", "const"} or isinstance(node.get("type"), list):
        return None
    if "type" in node:
        node["type"] = [node["type"], "null"]
    if "enum" in node and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]
        if "x-labels" in node:
            node["x-labels"] = [*node["x-labels"], ""]
    return node
