"""The syntax tree of a compiled CEL expression, read from the form the runtime serialises it to.

That form is the protocol buffer `cel.expr.CheckedExpr` (github.com/google/cel-spec, checked.proto
and syntax.proto); the field numbers below are those files'. Only what sizes and names need is read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Const:
    """A literal: text, bytes, a number, a boolean or None."""

    value: Any


@dataclass(frozen=True)
class Name:
    """A variable, of the request or of a macro."""

    name: str


@dataclass(frozen=True)
class Select:
    """`operand.field`, or `has(operand.field)` where `test` is set."""

    operand: "Node"
    field: str
    test: bool


@dataclass(frozen=True)
class Call:
    """A function or operator; what it is called on comes first in `args`."""

    function: str
    args: tuple["Node", ...]


@dataclass(frozen=True)
class Build:
    """A list or map written out."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Loop:
    """What all, exists, exists_one, map and filter become: a fold over a list or a map's keys."""

    variable: str
    over: "Node"
    result_name: str
    start: "Node"
    condition: "Node"
    step: "Node"
    result: "Node"


Node: TypeAlias = Const | Name | Select | Call | Build | Loop
_Fields: TypeAlias = dict[int, list[Any]]


def read(serialised: bytes) -> Node:
    """The tree in an expression's serialised form. Raises ValueError for anything else."""
    try:
        checked = _fields(_one(_fields(serialised), 2))
        return _node(_one(checked, 4))
    except (LookupError, struct.error, TypeError) as error:
        raise ValueError("this is no serialised CEL expression") from error


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    for part in children(node):
        yield from walk(part)


def children(node: Node) -> tuple[Node, ...]:
    """The parts a node is made of, in the order they are evaluated."""
    match node:
        case Select(operand=operand):
            return (operand,)
        case Call(args=args):
            return args
        case Build(parts=parts):
            return parts
        case Loop():
            return (node.over, node.start, node.condition, node.step, node.result)
    return ()


def _node(raw: bytes) -> Node:
    fields = _fields(raw)
    for number, read_kind in _KINDS.items():
        if number in fields:
            return read_kind(_fields(_one(fields, number)))
    raise LookupError("an expression of no known kind")


def _const(fields: _Fields) -> Node:
    if 6 in fields:
        return Const(_text(fields, 6))
    for number in (2, 3, 4, 5, 7):
        if number in fields:
            return Const(_one(fields, number))
    return Const(None)


def _name(fields: _Fields) -> Node:
    return Name(_text(fields, 1))


def _select(fields: _Fields) -> Node:
    return Select(_node(_one(fields, 1)), _text(fields, 2), bool(fields.get(3)))


def _call(fields: _Fields) -> Node:
    target = [_node(raw) for raw in fields.get(1, ())]
    return Call(_text(fields, 2), (*target, *(_node(raw) for raw in fields.get(3, ()))))


def _list(fields: _Fields) -> Node:
    return Build(tuple(_node(raw) for raw in fields.get(1, ())))


def _map(fields: _Fields) -> Node:
    entries = [_fields(raw) for raw in fields.get(2, ())]
    return Build(tuple(_node(raw) for entry in entries for n in (3, 4) for raw in entry.get(n, ())))


def _loop(fields: _Fields) -> Node:
    parts = {n: _node(_one(fields, n)) for n in (2, 4, 5, 6, 7)}
    return Loop(
        _text(fields, 1), parts[2], _text(fields, 3), parts[4], parts[5], parts[6], parts[7]
    )


_KINDS = {3: _const, 4: _name, 5: _select, 6: _call, 7: _list, 8: _map, 9: _loop}


def _one(fields: _Fields, number: int) -> Any:
    return fields[number][-1]


def _text(fields: _Fields, number: int) -> str:
    return str(_one(fields, number), "utf-8") if number in fields else ""


def _fields(raw: bytes) -> _Fields:
    """One message of the protocol buffer wire format: field number to its values."""
    found: _Fields = {}
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        value: Any
        match key & 7:
            case 0:
                value, at = _varint(raw, at)
            case 1:
                (value,), at = struct.unpack_from("<d", raw, at), at + 8
            case 2:
                size, at = _varint(raw, at)
                value, at = raw[at : at + size], at + size
            case _:
                (value,), at = struct.unpack_from("<f", raw, at), at + 4
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
