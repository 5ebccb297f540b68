"""YAML text as a tree that remembers its lines. Only what JSON can say, and nothing twice."""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.events import AliasEvent

MAX_TEXT, MAX_DEPTH = 128_000, 20
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,18})\.[0-9]{1,18}")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class Fault(ValueError):
    """Something is wrong at a line (counted from one)."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message
        super().__init__(f"Line {line}: {message}")


@dataclass(frozen=True)
class Node:
    """A value with the line it begins on. Keys of mappings have their own."""

    line: int
    value: Any
    key_lines: dict[str, int]

    @property
    def plain(self) -> Any:
        """The value without its lines."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value


def parse(text: str) -> Node:
    """The tree of one YAML document. Raises Fault."""
    if len(text) > MAX_TEXT:
        raise Fault(1, f"The file is larger than {MAX_TEXT} characters.")
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Fault(mark.line + 1 if mark else 1, _said(error.problem)) from None
    except yaml.YAMLError:
        raise Fault(1, "The file has characters that YAML does not allow.") from None
    if root is None:
        raise Fault(1, "The file is empty.")
    return _node(root)


class _Loader(yaml.SafeLoader):
    """Composes nodes, and refuses what could mean more than it says."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise Fault(line, "Anchors and aliases (& and *) are not read. Write it out.")
        if getattr(event, "tag", None) not in (None, "!"):
            raise Fault(line, "Tags (!) are not read. Leave them out.")
        if self.depth >= MAX_DEPTH:
            raise Fault(line, f"It is nested deeper than {MAX_DEPTH} levels.")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _node(node: yaml.Node) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, line)
    if isinstance(node, yaml.SequenceNode):
        return Node(line, [_node(part) for part in node.value], {})
    return Node(line, _scalar(node), {})


def _mapping(node: yaml.MappingNode, line: int) -> Node:
    found: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        at = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise Fault(at, "A key has to be a text.")
        key = str(key_node.value)
        if key in found:
            raise Fault(at, f"{key!r} is there twice; first on line {lines[key]}.")
        found[key], lines[key] = _node(value_node), at
    return Node(line, found, lines)


def _scalar(node: Any) -> Any:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _said(problem: str | None) -> str:
    if problem == "but found another document":
        return "Only one document is read: leave the line --- out."
    text = (problem or "this is no YAML").replace("<block end>", "the end of the block")
    return text[:1].upper() + text[1:].removesuffix(".") + "."
