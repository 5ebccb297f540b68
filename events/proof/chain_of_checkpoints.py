"""Verifies the checkpoints themselves: each signed, after the last, over exactly its heads."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from events.proof import anchors, checkpoints, rows
from events.proof.findings import Finding, Found, Kind
from events.proof.rows import Part, StoredCheckpoint
from events.proof.streams import Bound, Timeline
from events.proof.tree import Root
from hitl.lib import canonical, signing_keys

# A clock may be set, and a service may look at it before its transaction begins to write.
TOLERANCE = dt.timedelta(minutes=10)


class Checkpoints:
    """Goes through all of them; afterwards knows what they say about the feed."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._last: StoredCheckpoint | None = None
        self._position = (0, 0)
        self._bound: Bound | None = None
        self._bounds: dict[int, Bound] = {}
        self._hashes: dict[int, str] = {}
        self._is_whole = True

    def look(self, part: Part) -> None:
        """Every checkpoint and its signature; then the row that names the newest.

        Their trees, too: of a part of the workflows only those that it has a leaf in.
        """
        heads, self._is_whole = _Heads(part), part == Part()
        for row in rows.checkpoints():
            self._found.checkpoints += 1
            try:
                self._look_at(row, heads)
            except (TypeError, ValueError, KeyError, AttributeError):
                self._add(Kind.CHECKPOINT_CHANGED, row.number, "cannot be read")
            self._last = row
        for number in heads.left():
            self._add(Kind.HEADS_CHANGED, number, "has heads and is missing")
        self._look_at_the_end()

    def timeline(self) -> Timeline:
        """For the events: what they must agree with."""
        newest = self._last.number if self._last else 0
        if self._bound:
            self._bounds[newest + 1] = self._bound
        return Timeline(self._position, newest, self._bounds)

    def compare(self, path: Path) -> None:
        """Whether the checkpoints kept elsewhere are those in the database. Raises OSError."""
        for anchor in anchors.read(path):
            if anchor is None:
                self._found.unreadable_anchors += 1
                continue
            self._found.anchors += 1
            self._compare(anchor)

    def _look_at(self, row: StoredCheckpoint, heads: "_Heads") -> None:
        number, last = row.number, self._last
        root, has_heads = heads.root(number, row.totals)
        for missing in range(last.number + 1 if last else 1, min(number, self._expected() + 100)):
            self._add(Kind.CHECKPOINT_MISSING, missing, "is missing")
        self._hashes[number] = row.hash
        if not _is_signed(row):
            known = row.kid in signing_keys.public_keys()
            kind = Kind.SIGNATURE_BAD if known else Kind.KEY_UNKNOWN
            says = "does not bear a signature of its key"
            self._add(kind, number, says if known else f"is signed with a key {row.kid!r} we lack")
        digest = hashlib.sha256(_bytes(row.body)).hexdigest()
        said = json.loads(row.body)
        previous = last.hash if last else ""
        same = checkpoints.body(
            number, dt.datetime.fromisoformat(row.made_at), said["previousHash"], said["root"]
        )
        if digest != row.hash:
            self._add(Kind.CHECKPOINT_CHANGED, number, "was changed: its body has another hash")
        if said["root"] != root and (has_heads or self._is_whole):
            self._add(Kind.HEADS_CHANGED, number, "covers other heads than it was signed over")
        if same != row.body:
            says = "was changed: its columns and its body differ"
            self._add(Kind.CHECKPOINT_CHANGED, number, says)
        if number == self._expected() and said["previousHash"] != previous:
            self._add(Kind.CHECKPOINT_REPLACED, number - 1, f"is not the one that {number} follows")
        self._remember(row)

    def _remember(self, row: StoredCheckpoint) -> None:
        if self._bound:
            self._bounds[row.number] = self._bound
        totals = canonical.loads(row.totals)
        self._position = _place(totals["position"])
        if totals["beyond"]:
            time = dt.datetime.fromisoformat(row.made_at) - TOLERANCE
            self._bound = Bound(_place(totals["beyond"]), time.isoformat(timespec="microseconds"))

    def _look_at_the_end(self) -> None:
        head, last = rows.chain_head(), self._last
        is_at = (last.number, last.hash) if last else (0, "")
        if head is None and last is None:
            return
        if head is None or head[0] != is_at[0] or head[1] != is_at[1]:
            says = "is not the newest one that the chain remembers"
            if head and last and isinstance(head[0], int) and head[0] > last.number:
                self._add(Kind.CHECKPOINT_MISSING, last.number + 1, "or a later one is missing")
                return
            self._add(Kind.CHAIN_HEAD_CHANGED, is_at[0], says)

    def _compare(self, anchor: anchors.Anchor) -> None:
        number = anchor.number
        if not _is_anchor_signed(anchor):
            says = "is kept elsewhere without a good signature"
            self._add(Kind.ANCHOR_BAD, number, says)
        elif number not in self._hashes:
            self._add(Kind.ANCHOR_MISSING, number, "is kept elsewhere and missing from here")
        elif self._hashes[number] != anchor.hash:
            self._add(Kind.ANCHOR_DIFFERS, number, "is another one than the one kept elsewhere")

    def _expected(self) -> int:
        return self._last.number + 1 if self._last else 1

    def _add(self, kind: Kind, number: int, says: str) -> None:
        finding = Finding(kind, f"Checkpoint {number} {says}.", checkpoint=number)
        self._found.add(finding)


class _Heads:
    """Walks over the leaves beside the checkpoints, so that neither is held in memory."""

    def __init__(self, part: Part) -> None:
        self._rows: Iterator[tuple[int, int, rows.Claim]] = rows.heads(part)
        self._next = next(self._rows, None)
        self._strays: set[int] = set()

    def root(self, number: int, totals: str) -> tuple[str, bool]:
        """The root over the stored heads of a checkpoint, which come in order, and whether there
        are any."""
        tree, expected = Root(), 1
        tree.add(_bytes(totals))
        while self._next is not None and self._next[0] <= number:
            owner, place, claim = self._next
            if owner < number:
                self._strays.add(owner)
            else:
                # A leaf that stands elsewhere than it stood spoils the root.
                tree.add(checkpoints.leaf(*claim[:4]) if place == expected else b"")
                expected += 1
            self._next = next(self._rows, None)
        return tree.hexdigest(), expected > 1

    def left(self) -> list[int]:
        """Checkpoints that have heads and are none."""
        while self._next is not None:
            self._strays.add(self._next[0])
            self._next = next(self._rows, None)
        return sorted(self._strays)


def _is_signed(row: StoredCheckpoint) -> bool:
    return _verifies(row.kid, row.signature, row.body)


def _is_anchor_signed(anchor: anchors.Anchor) -> bool:
    raw = _bytes(anchor.body)
    try:
        named = json.loads(raw)["number"]
    except (ValueError, TypeError, KeyError):
        return False
    is_whole = hashlib.sha256(raw).hexdigest() == anchor.hash and named == anchor.number
    return is_whole and _verifies(anchor.kid, anchor.signature, anchor.body)


def _verifies(kid: str, signature: str, body: str) -> bool:
    """In hex as we write it: other spellings of the same bytes are changes, too."""
    try:
        raw = bytes.fromhex(signature)
    except (ValueError, TypeError):
        return False
    return raw.hex() == signature and signing_keys.verify(kid, raw, _bytes(body))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _place(text: str) -> tuple[int, int]:
    xid, _, row_id = text.partition("-")
    return int(xid), int(row_id)
