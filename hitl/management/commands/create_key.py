"""Issue an API key for an agent: the key on stdout, once; everything else on stderr."""

import datetime as dt
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.utils import timezone

from hitl.accounts import keys
from hitl.accounts.models import Agent, Team
from hitl.accounts.services import ALL_SCOPES, SCOPES, issue_key
from hitl.management.base import HitlCommand
from hitl.management.find import find_agent, find_team


class Command(HitlCommand):
    """`manage.py create_key AGENT [--team SLUG] [--new] [--scope read …] [--expires-days N]`."""

    help = "Issue an API key for an agent and print it; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", nargs="?", help="the agent's name")
        parser.add_argument("--team", help="the team's short name, where several could be meant")
        parser.add_argument("--new", action="store_true", help="make the agent if there is none")
        parser.add_argument("--name", default="", help="what the key is for, to tell keys apart")
        parser.add_argument(
            "--scope",
            action="append",
            choices=ALL_SCOPES,
            help=f"may be repeated; default: {', '.join(SCOPES)}",
        )
        parser.add_argument("--expires-days", type=int, metavar="N", help="default: never")
        parser.add_argument(
            "--print-only",
            action="store_true",
            help="make a key that no server knows yet, for HITL_BOOTSTRAP_API_KEY",
        )

    def handle(self, *args: Any, agent: str | None, **options: Any) -> None:
        if options["print_only"]:
            self.stdout.write(keys.generate())
            return
        if not agent:
            raise CommandError("Name the agent: manage.py create_key AGENT")
        owner = self._agent(agent, options["team"], new=options["new"])
        row, secret = issue_key(
            owner,
            name=options["name"],
            scopes=options["scope"] or SCOPES,
            expires_at=_expiry(options["expires_days"]),
        )
        self.say(f"Key of {owner.name} in {owner.team.name}, good for {', '.join(row.scopes)}:")
        self.stdout.write(secret)

    def _agent(self, name: str, team: str | None, *, new: bool) -> Agent:
        if not new:
            return find_agent(name, team)
        home: Team = find_team(team)
        return Agent.objects.get_or_create(team=home, name=name)[0]


def _expiry(days: int | None) -> dt.datetime | None:
    if days is None:
        return None
    if not 1 <= days <= 3650:
        raise CommandError("--expires-days takes 1 to 3650.")
    return timezone.now() + dt.timedelta(days=days)
