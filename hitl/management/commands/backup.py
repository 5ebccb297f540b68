"""Copy the database of an embedded server into a file, also while it runs."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl import backups
from hitl.management.base import HitlCommand


class Command(HitlCommand):
    """`manage.py backup FILE`."""

    help = "Copy the database of an embedded server into a file; it may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="where to; must not exist yet")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError(
                "The data lives in PostgreSQL: use pg_dump or a base backup, see docs/backup.md."
            )
        backups.take(Path(settings.DATABASES["default"]["NAME"]), file)
        self.say(f"Copied to {file}. Keep the .json files of {settings.DATA_DIR} with it.")
