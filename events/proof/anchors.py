"""Checkpoints outside the database: a line of the log each, and a file that only ever grows.

Whoever rewrites the database, even with the signing key, cannot take back what lies elsewhere.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from events.proof.models import Checkpoint
from hitl.lib.errors import Conflict

logger = logging.getLogger(__name__)

TAIL_BYTES = 64 * 1024


class OtherCheckpoints(Conflict):
    """The file remembers checkpoints that are not those of this database."""

    code = "anchors-differ"


@dataclass(frozen=True)
class Anchor:
    """One line of the file."""

    number: int
    body: str
    hash: str
    kid: str
    signature: str


def publish(checkpoint: Checkpoint) -> None:
    """Tell the log, and bring the file up to date. What is missing there comes with the next."""
    logger.info(
        "checkpoint %d: %s", checkpoint.number, checkpoint.hash, extra={"kid": checkpoint.kid}
    )
    if not settings.CHECKPOINT_FILE:
        return
    try:
        extend(Path(settings.CHECKPOINT_FILE))
    except (OSError, OtherCheckpoints) as error:
        logger.error("checkpoints cannot be kept outside the database: %s", error)


def extend(path: Path) -> None:
    """Append every checkpoint that the file lacks. Raises OtherCheckpoints and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        last, is_whole = _last(file)
        rows = Checkpoint.objects.order_by("number")
        if last is not None:
            _require_same(path, last)
            rows = rows.filter(number__gt=last.number)
        if not is_whole:
            file.write(b"\n")  # a line torn by a crash is closed and passed over
        for row in rows.iterator():
            file.write(line(row).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def problem(path: Path) -> str:
    """A sentence where the file does not go with the database, else ""."""
    try:
        with path.open("rb") as file:
            last, _ = _last(file)
        if last is not None:
            _require_same(path, last)
    except (OSError, OtherCheckpoints) as error:
        return str(error)
    return ""


def unknown(path: Path) -> Anchor | None:
    """The file's newest checkpoint where the database does not have it.

    A file that cannot be read, or is not there yet, knows nothing.
    """
    try:
        with path.open("rb") as file:
            last, _ = _last(file)
    except OSError:
        return None
    if last is None or Checkpoint.objects.filter(number=last.number, hash=last.hash).exists():
        return None
    return last


def line(checkpoint: Checkpoint) -> str:
    """What the file keeps of one."""
    kept = {
        "body": checkpoint.body,
        "hash": checkpoint.hash,
        "kid": checkpoint.kid,
        "number": checkpoint.number,
        "signature": checkpoint.signature,
    }
    return json.dumps(kept, ensure_ascii=False)


def read(path: Path) -> Iterator[Anchor | None]:
    """The file's lines; None for one that cannot be read. Raises OSError."""
    with path.open("rb") as file:
        for raw in file:
            if raw.strip():
                yield _parse(raw)


def _parse(raw: bytes) -> Anchor | None:
    try:
        values = json.loads(raw)
        number = int(values.pop("number"))
        return Anchor(number, **{name: str(value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _last(file: IO[bytes]) -> tuple[Anchor | None, bool]:
    """The newest line that can be read, and whether the file ends with a whole one."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read()
    found = (_parse(raw) for raw in reversed(tail.splitlines()) if raw.strip())
    return next((each for each in found if each), None), not tail or tail.endswith(b"\n")


def _require_same(path: Path, last: Anchor) -> None:
    row = Checkpoint.objects.filter(number=last.number).first()
    if row is None or row.hash != last.hash:
        raise OtherCheckpoints(
            f"{path} ends with checkpoint {last.number}, which "
            + ("is another one in" if row else "is missing from")
            + " the database. Run manage.py verify; after a restored backup, put the file aside."
        )
