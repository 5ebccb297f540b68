"""Writes bundles: events, the checkpoints that cover them, keys and a verifier, in one zip file.

What is exported is what a checkpoint covers, so one is made first. An export of one workflow holds
nothing about others but hashes; one of a period holds everything and is for operators.
"""

import datetime as dt
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from events.proof import chain, checkpoints, rows, tree
from events.proof.models import Checkpoint, CheckpointHead
from events.proof.rows import Part
from hitl.lib import canonical, signing_keys
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, NotFound

FORMAT = "hitl.bundle/1"
OWN = Path(__file__).parent / "bundle"
MEDIA_TYPE = "application/zip"
CHECKPOINTS = 200  # of one workflow: the newest, which cover everything that the older ones do


class TooLarge(Conflict):
    """More than can be handed out in one answer."""

    code = "export-too-large"
    title = "The log is too large for this export"


@dataclass
class Written:
    """What a bundle holds."""

    events: int = 0
    workflows: int = 0
    checkpoints: int = 0
    bytes: int = 0


@dataclass
class _Writer:
    """One zip file in the making, which remembers the hash of every file."""

    archive: zipfile.ZipFile
    limit: int | None
    files: dict[str, str] = field(default_factory=dict)
    written: Written = field(default_factory=Written)

    def add(self, name: str, raw: bytes) -> None:
        self.add_lines(name, [raw])

    def add_lines(self, name: str, pieces: Iterable[bytes]) -> None:
        """A file in pieces. Raises TooLarge."""
        digest = hashlib.sha256()
        with self.archive.open(name, "w", force_zip64=True) as file:
            for piece in pieces:
                self.written.bytes += len(piece)
                if self.limit is not None and self.written.bytes > self.limit:
                    raise TooLarge("Let an operator export it: manage.py export_log --workflow.")
                digest.update(piece)
                file.write(piece)
        self.files[name] = digest.hexdigest()

    def close(self, subject: dict[str, Any], *, is_complete: bool) -> None:
        """Everything but the log itself."""
        self.add("keys.json", json.dumps(signing_keys.jwks(), indent=2).encode())
        for name in ("README.txt", "verify_bundle.py"):
            self.add(name, (OWN / name).read_bytes())
        manifest = {
            "format": FORMAT,
            "files": self.files,
            "isComplete": is_complete,
            "madeAt": _iso(database_now()),
            "subject": subject,
        }
        raw = canonical.dumps(manifest)
        kid, signature = signing_keys.sign(raw)
        signed = json.dumps({"kid": kid, "signature": signature.hex()}).encode()
        self.archive.writestr("manifest.json", raw)
        self.archive.writestr("manifest.sig.json", signed)


def write_workflow(file: IO[bytes], workflow_id: UUID, *, limit: int | None = None) -> Written:
    """The log of one workflow. Raises NotFound, TooLarge (beyond `limit` bytes), NoSigningKey."""
    if not rows.streams(Part.of(workflow_id)):
        raise NotFound("There is no such workflow.")
    checkpoints.make(including=workflow_id)
    with rows.snapshot(), _writing(file, limit) as writer:
        claims = rows.claims(Part.of(workflow_id))[str(workflow_id)]
        last = claims[-1].seq
        writer.add_lines(
            "events.jsonl", _events(writer.written, [workflow_id], {workflow_id: last})
        )
        numbers = sorted({claim.checkpoint for claim in claims})[-CHECKPOINTS:]
        writer.add_lines("checkpoints.jsonl", _with_paths(writer.written, numbers, workflow_id))
        writer.close({"workflowId": str(workflow_id)}, is_complete=False)
    return writer.written


def write_period(file: IO[bytes], since: dt.datetime, until: dt.datetime) -> Written:
    """The logs of every workflow that moved in a period, whole up to its end.

    The checkpoints are complete and without gaps, so that nothing can have been left out. Raises
    NotFound where no checkpoint reaches that far, NoSigningKey.
    """
    checkpoints.sweep()
    with rows.snapshot(), _writing(file, None) as writer:
        covering = _covering(since, until)
        heads = CheckpointHead.objects.filter(
            checkpoint_id__gte=covering[0].number, checkpoint_id__lte=covering[-1].number
        )
        reach: dict[UUID, int] = {}
        for workflow_id, seq in heads.values_list("workflow_id", "seq").iterator():
            reach[workflow_id] = max(seq, reach.get(workflow_id, 0))
        events = _events(writer.written, sorted(reach), reach)
        writer.add_lines("events.jsonl", events)
        writer.add_lines("checkpoints.jsonl", _complete(writer.written, covering))
        writer.close({"from": _iso(since), "to": _iso(until)}, is_complete=True)
    return writer.written


def headers(workflow_id: UUID) -> dict[str, str]:
    """For an answer over HTTP: a file to keep, and nothing that a cache may hand to others."""
    name = f'attachment; filename="hitl-{workflow_id}.zip"'
    return {"Content-Disposition": name, "Cache-Control": "no-store"}


@contextmanager
def _writing(file: IO[bytes], limit: int | None) -> Iterator[_Writer]:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        yield _Writer(archive, limit)


def _covering(since: dt.datetime, until: dt.datetime) -> Sequence[Checkpoint]:
    """From the first checkpoint after the start to the first one after the end, or the newest."""
    numbers = Checkpoint.objects.order_by("number").values_list("number", flat=True)
    first = numbers.filter(made_at__gte=since).first()
    if first is None:
        raise NotFound("No checkpoint was made since then.")
    last = numbers.filter(made_at__gte=until).first() or numbers.last()
    return list(Checkpoint.objects.filter(number__gte=first, number__lte=last).order_by("number"))


def _events(
    written: Written, workflow_ids: Iterable[UUID], reach: dict[UUID, int]
) -> Iterator[bytes]:
    for workflow_id in workflow_ids:
        written.workflows += 1
        for event in rows.events(Part.of(workflow_id)):
            if event.seq <= reach[workflow_id]:
                written.events += 1
                head = f'{{"hash":"{event.hash}","place":"{event.place}","content":'
                yield head.encode() + chain.content(event) + b"}\n"


def _with_paths(written: Written, numbers: Sequence[int], workflow_id: UUID) -> Iterator[bytes]:
    """Of each checkpoint the one leaf, and the hashes that lead from it to the root."""
    for row in Checkpoint.objects.filter(number__in=numbers).order_by("number").iterator():
        leaves, places = _leaves(row), []
        for head in CheckpointHead.objects.filter(checkpoint=row, workflow_id=workflow_id):
            places.append(head.leaf)
        paths = tree.paths(leaves, places)
        written.checkpoints += 1
        yield _line(row, [(leaves[place], paths[place]) for place in places], is_complete=False)


def _complete(written: Written, covering: Sequence[Checkpoint]) -> Iterator[bytes]:
    for row in covering:
        written.checkpoints += 1
        yield _line(row, [(leaf, []) for leaf in _leaves(row)], is_complete=True)


def _leaves(row: Checkpoint) -> list[bytes]:
    heads = row.heads.order_by("leaf").values_list("workflow_id", "seq", "hash", "places")
    return [row.totals.encode(), *(checkpoints.leaf(*head) for head in heads.iterator())]


def _line(
    row: Checkpoint, leaves: Sequence[tuple[bytes, list[str]]], *, is_complete: bool
) -> bytes:
    values = {
        "body": row.body,
        "isComplete": is_complete,
        "kid": row.kid,
        "leaves": [[leaf.decode(), path] for leaf, path in leaves],
        "signature": row.signature,
    }
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
