"""Take over policies and rules from a YAML file; doing it again changes nothing."""

import sys
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.lib.errors import InvalidInput
from hitl.management.base import HitlCommand
from hitl.management.find import find_team
from workflows import policy_files


class Command(HitlCommand):
    """`manage.py import_policies [--team SLUG] FILE [--dry-run] [--prune]`."""

    help = "Make a team's policies and rules what a YAML file says: all of it, or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file to read; - for stdin")
        parser.add_argument("--team", help="the team's short name, where there are several")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="archive policies that the file does not name, and take away rules it has not",
        )

    def handle(self, *args: Any, file: str, team: str | None, **options: Any) -> None:
        home = find_team(team)
        try:
            steps = policy_files.take_over(
                home, _text(file), dry_run=options["dry_run"], prune=options["prune"]
            )
        except InvalidInput as error:
            raise CommandError("\n      ".join(policy_files.sentences(error))) from None
        for step in steps:
            self.stdout.write(str(step))
        self.say("Nothing was saved." if options["dry_run"] else f"Saved in {home.name}.")


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8 text.") from None
