"""After a backup was restored: list what may have gone on since, confirm it, and go on."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management import CommandError
from django.core.management.base import CommandParser

from events.models import Restore
from events.restores import gate
from events.types import Source
from hitl.accounts.models import User
from hitl.management.base import HitlCommand
from workflows import reconcile
from workflows.models import Workflow
from workflows.reconcile import Outcome

ALL = "all"


class Command(HitlCommand):
    """`manage.py reconcile --list`, `--executed ID … --as EMAIL --reason …`, `--end --as EMAIL`."""

    help = "Say what became of requests after a backup was restored; nothing leaves before."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--list", action="store_true", help="what waits (the default)")
        what.add_argument(
            "--begin", action="store_true", help="a backup was restored and nobody noticed"
        )
        for outcome in Outcome:
            what.add_argument(
                f"--{outcome.value.replace('_', '-')}", nargs="+", metavar="ID",
                help=f"{outcome.label.lower()}; “{ALL}” for everything that still waits",
            )  # fmt: skip
        what.add_argument("--end", action="store_true", help="let everything go on")
        parser.add_argument("--as", dest="email", metavar="EMAIL", help="who says so")
        parser.add_argument("--reason", default="", help="how you know; kept in the log")

    def handle(self, *args: Any, email: str | None, reason: str, **options: Any) -> None:
        chosen = next((each for each in Outcome if options[each.value]), None)
        if options["begin"]:
            restore = reconcile.begin(user=_person(email), reason=reason)
            self.say(f"From now on nothing is sent or carried out. {_left(restore)}")
        elif options["end"]:
            reconcile.end(user=_person(email), note=reason)
            self.say("Everything goes on.")
        elif chosen is not None:
            count = self._confirm(chosen, options[chosen.value], _person(email), reason)
            self.say(f"Confirmed: {count}. {_left(gate.current())}")
        else:
            self._list()

    def _confirm(self, outcome: Outcome, names: list[str], user: User, reason: str) -> int:
        if names == [ALL]:
            return reconcile.confirm_all(user, outcome=outcome, reason=reason, told=self._tell)
        for workflow_id in _ids(names):
            self._tell(
                reconcile.confirm(
                    workflow_id, user=user, outcome=outcome, reason=reason, source=Source.COMMAND
                )
            )
        return len(names)

    def _list(self) -> None:
        restore = gate.current()
        if restore is None:
            self.say("The database is not a restored one, as far as anybody knows.")
            return
        self.say(f"Since {restore.created_at:%Y-%m-%d %H:%M:%S} UTC: {restore.why}")
        for workflow in reconcile.waiting(restore).iterator():
            self._tell(workflow)
        self.say(_left(restore))

    def _tell(self, workflow: Workflow) -> None:
        words = (workflow.pk, workflow.status, workflow.team.slug, workflow.agent.name)
        self.stdout.write("\t".join(map(str, (*words, workflow.action_type, workflow.name))))


def _left(restore: Restore | None) -> str:
    if restore is None:
        return ""
    count = reconcile.waiting(restore).count()
    return f"{count} requests wait to be confirmed." if count else "Nothing waits: use --end."


def _person(email: str | None) -> User:
    if not email:
        raise CommandError("Say who you are: --as EMAIL.")
    found = User.objects.filter(email__iexact=email, is_active=True).first()
    if found is None:
        raise CommandError(f"Nobody logs in as {email}.")
    return found


def _ids(names: list[str]) -> Iterator[UUID]:
    for name in names:
        try:
            yield UUID(name)
        except ValueError:
            raise CommandError(f"{name!r} is not the id of a request.") from None
