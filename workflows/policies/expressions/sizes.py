"""How big values are, known or only bounded: what the estimate of an expression's work adds up.

A weight is about the bytes of a value; a length is how often a macro would run over it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

SCALAR = 4
_CONTAINER = 8


class Size(Protocol):
    """What the estimate asks of a value."""

    @property
    def weight(self) -> int: ...

    @property
    def length(self) -> int: ...

    def at(self, key: Any) -> "Size":
        """The part under a key that is written out in the expression; None: under any."""
        ...

    def heaviest(self) -> "Size":
        """The largest single element a macro runs over."""
        ...


@dataclass(frozen=True)
class Bounded:
    """A value the expression makes: no heavier and no longer than this, and neither is a part."""

    weight: int
    length: int

    def at(self, key: Any) -> Size:
        return Bounded(self.weight, self.weight // SCALAR)

    def heaviest(self) -> Size:
        return self.at(None)


class Given:
    """One of these values that are there. They are weighed only where their weight matters."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    @cached_property
    def weight(self) -> int:
        return max(map(weigh, self.values), default=SCALAR)

    @cached_property
    def length(self) -> int:
        return max(map(_length, self.values), default=1)

    def at(self, key: Any) -> Size:
        if isinstance(key, str):
            return Given(*(v[key] for v in self.values if isinstance(v, dict) and key in v))
        return Given(*(part for value in self.values for part in _parts(value)))

    def heaviest(self) -> Size:
        return Given(*(item for v in self.values if isinstance(v, list | dict) for item in v))


class Typical:
    """What saving an expression assumes about data that is not there yet, and about its parts."""

    weight = 400
    length = 20

    def at(self, key: Any) -> Size:
        return self

    def heaviest(self) -> Size:
        return self


TINY = Bounded(SCALAR, 1)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | dict) else 1


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def weigh(value: Any) -> int:
    """About the bytes of a JSON value. It does not recurse, however deep the value is."""
    total = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str | bytes):
            total += SCALAR + (len(item) if item.isascii() else 3 * len(item))
        elif isinstance(item, dict):
            total += _CONTAINER
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            total += _CONTAINER
            waiting.extend(item)
        else:
            total += SCALAR
    return total
