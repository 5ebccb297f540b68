"""How big values are, known or only bounded: what the estimate of an expression's work adds up.

A weight is about the bytes of a value; a length is how often a macro would run over it.
"""

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
    """A value that is there. It is weighed only where its weight matters."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @cached_property
    def weight(self) -> int:
        return weigh(self.value)

    @property
    def length(self) -> int:
        return len(self.value) if isinstance(self.value, str | bytes | list | dict) else 1

    def at(self, key: Any) -> Size:
        if isinstance(self.value, dict) and isinstance(key, str):
            return Given(self.value.get(key))
        return Bounded(self.weight, self.weight // SCALAR)

    def heaviest(self) -> Size:
        if not isinstance(self.value, list | dict):
            return self.at(None)
        most = max(map(weigh, self.value), default=0)
        return Bounded(most, most // SCALAR)


class Typical:
    """What saving an expression assumes about data that is not there yet, and about its parts."""

    weight = 400
    length = 20

    def at(self, key: Any) -> Size:
        return self

    def heaviest(self) -> Size:
        return self


TINY = Bounded(SCALAR, 1)


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
