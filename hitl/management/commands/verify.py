"""Say whether the log is what was written, and if not, which event was touched."""

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from events.proof import verification
from events.proof.findings import Found
from events.proof.rows import Part
from hitl.management.base import HitlCommand
from workflows.selectors import standings

SHOWN = 50


class Command(HitlCommand):
    """`manage.py verify [--workflow ID | --since TIME] [--anchors FILE] [--processes N] [--json]`;
    exit code 1 where anything was changed, removed, reordered or invented."""

    help = "Verify every event, chain and checkpoint; changes nothing. docs/proof.md says how."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--workflow", type=UUID, metavar="ID", help="only this one's log")
        which.add_argument(
            "--since", type=_time, metavar="TIME", help="only logs with events since, ISO 8601"
        )
        parser.add_argument(
            "--anchors",
            type=Path,
            metavar="FILE",
            help="checkpoints kept elsewhere; without it CHECKPOINT_FILE, where there is one",
        )
        parser.add_argument("--processes", type=int, help="how many to use on PostgreSQL")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        anchors = options["anchors"] or _own_anchors()
        try:
            found = verification.verify(
                part=_part(options["workflow"], options["since"]),
                anchors=anchors,
                standings=standings,
                processes=options["processes"],
            )
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from None
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(found), indent=2))
        else:
            self._tell(found, anchors)
        if not found.is_sound:
            raise SystemExit(1)

    def _tell(self, found: Found, anchors: Path | None) -> None:
        first = found.first()
        if first is None:
            self.stdout.write(self.style.SUCCESS("Nothing has been changed."))
        else:
            what = f"event {first.seq} of workflow {first.workflow_id}"
            at = what if first.workflow_id else f"checkpoint {first.checkpoint}"
            self.stdout.write(self.style.ERROR(f"The log has been tampered with, first at {at}."))
            self._list(found)
        told = (
            f"{found.events} events of {found.workflows} workflows, {found.checkpoints} checkpoints"
        )
        self.stdout.write(f"Looked at {told}.")
        if found.uncovered:
            self.stdout.write(f"Not yet covered by a checkpoint: {found.uncovered} events.")
        if anchors is None:
            self.stdout.write("Compared with no checkpoints kept elsewhere: see docs/proof.md.")
        else:
            self.stdout.write(f"Compared with {found.anchors} checkpoints in {anchors}.")
        if found.unreadable_anchors:
            self.stdout.write(f"Lines of it that cannot be read: {found.unreadable_anchors}.")

    def _list(self, found: Found) -> None:
        for each in sorted(found.kept, key=lambda f: (f.workflow_id, f.seq, f.checkpoint))[:SHOWN]:
            self.stdout.write(f"  {each.kind.value}: {each.says}")
        rest = sum(found.kinds.values()) - min(len(found.kept), SHOWN)
        if rest:
            self.stdout.write(f"  and {rest} more: see --json")


def _own_anchors() -> Path | None:
    path = Path(settings.CHECKPOINT_FILE) if settings.CHECKPOINT_FILE else None
    return path if path and path.exists() else None


def _part(workflow_id: UUID | None, since: dt.datetime | None) -> Part | None:
    if workflow_id:
        return Part.of(workflow_id)
    return Part(since=since.isoformat(sep=" ")) if since else None


def _time(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _as_dict(found: Found) -> dict[str, Any]:
    first = found.first()
    return {
        "ok": found.is_sound,
        "events": found.events,
        "workflows": found.workflows,
        "checkpoints": found.checkpoints,
        "anchors": found.anchors,
        "uncovered": found.uncovered,
        "kinds": dict(found.kinds),
        "first": asdict(first) if first else None,
        "findings": [asdict(each) for each in found.kept],
    }
