"""Write events with proof into one file, which anybody can verify without this server."""

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management import CommandError
from django.core.management.base import CommandParser

from events.proof import export
from events.proof.export import Written
from hitl.lib.db import database_now
from hitl.management.base import HitlCommand


class Command(HitlCommand):
    """`manage.py export_log (--workflow ID | --from TIME [--to TIME]) --out FILE`."""

    help = "Export one request's log, or everything that moved in a period, with proof."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--workflow", type=UUID, metavar="ID")
        which.add_argument("--from", dest="since", type=_time, metavar="TIME", help="ISO 8601")
        parser.add_argument("--to", dest="until", type=_time, metavar="TIME", help="default: now")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="bundle.zip")

    def handle(self, *args: Any, out: Path, **options: Any) -> None:
        try:
            with out.open("xb") as file:
                written = self._write(file, **options)
        except FileExistsError:
            raise CommandError(f"{out} is there already.") from None
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror}.") from None
        except Exception:
            out.unlink()
            raise
        self.say(
            f"Written to {out}: {written.events} events of {written.workflows} requests, "
            f"{written.checkpoints} checkpoints. Verify it: python3 -I verify_bundle.py {out}"
        )

    def _write(
        self,
        file: Any,
        workflow: UUID | None,
        since: dt.datetime | None,
        until: dt.datetime | None,
        **_: Any,
    ) -> Written:
        if workflow is not None:
            return export.write_workflow(file, workflow)
        until = until or database_now()
        if since is None or since >= until:
            raise CommandError("The period ends before it begins.")
        return export.write_period(file, since, until)


def _time(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
