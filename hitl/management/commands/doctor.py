"""Say what works and what does not, and what to do about it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from hitl import doctor
from hitl.doctor import FAIL, OK, WARN, Finding, channels
from hitl.management.base import HitlCommand

INDENT = " " * 20


class Command(HitlCommand):
    """`manage.py doctor [--send-test [CHANNEL:]ADDRESS] [--json]`; 1 where something failed."""

    help = "Look at settings, database, queue, clock, obligations and channels; say what to do."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--send-test",
            metavar="ADDRESS",
            help="write a few words there too: a mail address, a phone number, channel:address",
        )
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, send_test: str | None, **options: Any) -> None:
        found = doctor.examine()
        if send_test:
            found.append(channels.send_test(send_test))
        failed = any(each.level == FAIL for each in found)
        if options["json"]:
            told = {"ok": not failed, "findings": [asdict(each) for each in found]}
            self.stdout.write(json.dumps(told, indent=2, ensure_ascii=False))
        else:
            for each in found:
                self.stdout.write(self._line(each))
        if failed:
            raise SystemExit(1)

    def _line(self, found: Finding) -> str:
        style = self.style
        paints = {OK: style.SUCCESS, WARN: style.WARNING, FAIL: style.ERROR}
        level = found.level.ljust(6)
        level = paints[found.level](level) if found.level in paints else level
        lines = [f"{level}{found.topic.ljust(14)}{found.says}"]
        if found.why:
            lines.append(f"{INDENT}Why: {found.why}")
        if found.remedy:
            lines.append(f"{INDENT}Do:  {found.remedy}")
        return "\n".join(lines)
