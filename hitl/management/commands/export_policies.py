"""Write a team's policies and rules as YAML: to a file, or on stdout."""

from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.management.base import HitlCommand
from hitl.management.find import find_team
from workflows import policy_files


class Command(HitlCommand):
    """`manage.py export_policies [--team SLUG] [FILE]`."""

    help = "Write a team's policies and rules as YAML, for people who keep them in git."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", nargs="?", help="where to write; default: stdout")
        parser.add_argument("--team", help="the team's short name, where there are several")

    def handle(self, *args: Any, file: str | None, team: str | None, **options: Any) -> None:
        text = policy_files.export(find_team(team))
        if file is None:
            self.stdout.write(text, ending="")
            return
        try:
            Path(file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
        self.say(f"Written to {file}.")
