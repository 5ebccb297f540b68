"""Make a key that signs receipts and checkpoints: a line for `.env` on stdout."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from hitl.lib import signing_keys
from hitl.management.base import HitlCommand


class Command(HitlCommand):
    """`manage.py signing_key [--next]`."""

    help = "Print SIGNING_KEYS with a fresh key, and the present ones for verifying."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--next",
            action="store_true",
            help="publish the fresh key only; it signs once it is moved to the front",
        )

    def handle(self, *args: Any, next: bool, **options: Any) -> None:
        fresh, present = signing_keys.generate(), settings.SIGNING_KEYS
        former = [signing_keys.public_half(entry) for entry in present]
        entries = [*present, fresh] if next else [fresh, *former]
        self.stdout.write(f"SIGNING_KEYS={','.join(dict.fromkeys(entries))}")
        self.say("Put it into .env and restart every process; keep it out of the database.")
