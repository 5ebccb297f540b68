"""The kinds of addresses there are. Channels tell theirs at start, since they stand above us."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind. `read` gives an address the form it is stored in; it raises InvalidInput."""

    name: str
    label: str
    read: Callable[[str], str]


_known: dict[str, Kind] = {}


def register(name: str, label: str, read: Callable[[str], str]) -> None:
    """Make a kind known; several channels may write to the same one, and the first names it."""
    _known.setdefault(name, Kind(name, label, read))


def get(name: str) -> Kind | None:
    """The kind of that name, if any channel writes to it."""
    return _known.get(name)


def choices() -> list[tuple[str, str]]:
    """Name and label of every kind; a callable, so that a new channel needs no migration."""
    return [(kind.name, kind.label) for kind in _known.values()]


def label(name: str) -> str:
    """What people call it; the name itself where no channel knows it any more."""
    kind = _known.get(name)
    return kind.label if kind else name
