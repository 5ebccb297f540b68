"""A Merkle tree as in RFC 6962, section 2.1: one hash for many leaves, short proofs for each.

Leaves and nodes are hashed under different prefixes, so neither can pass for the other. A proof is
the list of neighbours on the way up, each marked with the side on which it stands.
"""

import hashlib
from collections.abc import Iterable, Sequence

LEFT, RIGHT = "L", "R"


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Root:
    """Takes leaves one after the other in little memory; `hexdigest` is the root over all."""

    def __init__(self) -> None:
        self._count = 0
        self._full: list[bytes] = []  # roots of complete subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        """The next leaf."""
        found = leaf_hash(leaf)
        size = self._count
        while size & 1:
            found = node_hash(self._full.pop(), found)
            size >>= 1
        self._full.append(found)
        self._count += 1

    def hexdigest(self) -> str:
        """The root. Of no leaves: the hash of nothing."""
        if not self._full:
            return hashlib.sha256(b"").hexdigest()
        found = self._full[-1]
        for left in reversed(self._full[:-1]):
            found = node_hash(left, found)
        return found.hex()


def root(leaves: Iterable[bytes]) -> str:
    """The root over all leaves, as hex."""
    tree = Root()
    for leaf in leaves:
        tree.add(leaf)
    return tree.hexdigest()


def paths(leaves: Sequence[bytes], wanted: Iterable[int]) -> dict[int, list[str]]:
    """The proof of each wanted leaf: entries are a side and the neighbour's hash in hex."""
    levels = [[leaf_hash(leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        row = levels[-1]
        above = [node_hash(*row[at : at + 2]) for at in range(0, len(row) - 1, 2)]
        levels.append(above + row[len(above) * 2 :])  # an odd one out goes up as it is
    return {place: _path(levels, place) for place in wanted}


def _path(levels: Sequence[Sequence[bytes]], place: int) -> list[str]:
    found = []
    for row in levels[:-1]:
        neighbour = place ^ 1
        if neighbour < len(row):
            found.append((LEFT if neighbour < place else RIGHT) + row[neighbour].hex())
        place //= 2
    return found


def root_from(leaf: bytes, path: Iterable[str]) -> str:
    """The root that a leaf and its proof lead to, as hex."""
    found = leaf_hash(leaf)
    for step in path:
        other = bytes.fromhex(step[1:])
        found = node_hash(other, found) if step[0] == LEFT else node_hash(found, other)
    return found.hex()
