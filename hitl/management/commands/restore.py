"""Put a backup of an embedded server back in place."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db import connection

from hitl import backups, data_folder
from hitl.lib.urls import absolute
from hitl.management.base import HitlCommand


class Command(HitlCommand):
    """`manage.py restore FILE`; the server must not run."""

    help = "Exchange the database of a stopped embedded server for a backup; the old one is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="what manage.py backup has written")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("The data lives in PostgreSQL: use pg_restore, see docs/backup.md.")
        with data_folder.claimed(settings.DATA_DIR, absolute("/")):
            connection.close()
            aside = backups.put_back(file, Path(settings.DATABASES["default"]["NAME"]))
        if aside is not None:
            self.say(f"What was there is now {aside}.")
        self.say(
            "Restored. Start the server: nothing is sent or carried out before somebody has said "
            "what happened since, see manage.py reconcile."
        )
