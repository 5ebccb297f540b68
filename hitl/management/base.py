"""What our commands share: `--data`, and errors as a sentence that says what to do."""

import os
import sys
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser, SystemCheckError
from django.db import DatabaseError

from hitl.lib.errors import HitlError


class HitlCommand(BaseCommand):
    """Data goes to stdout, words to stderr; exit codes: 0 done, 1 failed, 2 usage."""

    # A key can be had from a server that is configured by halves; roles that serve do check.
    requires_system_checks: Any = []

    def add_arguments(self, parser: CommandParser) -> None:
        # Read before the settings by `hitl.command_line`; named here for the help and the parser.
        parser.add_argument("--data", metavar="FOLDER", help="data folder of an embedded server")

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run; on a terminal a failure is one sentence, for Python callers a CommandError."""
        if os.environ.get("NO_COLOR") and not options.get("force_color"):
            options["no_color"] = True
        try:
            return super().execute(*args, **options)
        except SystemCheckError:
            raise  # Django prints its findings better
        except (CommandError, HitlError, DatabaseError) as error:
            sentence = _no_database(error) if isinstance(error, DatabaseError) else str(error)
            if getattr(self, "_called_from_command_line", False) and not options["traceback"]:
                self.fail(sentence, getattr(error, "returncode", 1))
            raise CommandError(sentence) from error

    def fail(self, sentence: str, code: int = 1) -> NoReturn:
        """Say what is wrong on stderr and leave."""
        self.stderr.write(f"hitl: {sentence}")
        sys.exit(code)

    def say(self, words: str) -> None:
        """A remark for the person at the keyboard, kept apart from the data on stdout."""
        self.stderr.write(words, self.style.SUCCESS)


def _no_database(error: DatabaseError) -> str:
    where = f"in {settings.DATA_DIR}" if settings.EMBEDDED else "of DATABASE_URL"
    remedy = "Start the server there once" if settings.EMBEDDED else "Run manage.py migrate"
    return f"The database {where} cannot be used ({error}). {remedy}, then try again."
