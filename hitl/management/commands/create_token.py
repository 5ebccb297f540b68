"""Sign a short-lived JWT for a person or an agent: the token on stdout, and nothing else there."""

import datetime as dt
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.accounts.services import issue_agent_token, issue_user_token
from hitl.management.base import HitlCommand
from hitl.management.find import find_agent, find_user

LONGEST_MINUTES = 24 * 60


class Command(HitlCommand):
    """`manage.py create_token --user EMAIL | --agent NAME [--team SLUG] [--minutes 60]`."""

    help = "Print a JWT with which a person or an agent may call the API for a while."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", metavar="EMAIL", help="the person's login")
        who.add_argument("--agent", metavar="NAME", help="the agent's name")
        parser.add_argument("--team", help="the team's short name, where several could be meant")
        parser.add_argument("--minutes", type=int, default=60, help="how long it holds; default 60")

    def handle(self, *args: Any, minutes: int, **options: Any) -> None:
        if not 1 <= minutes <= LONGEST_MINUTES:
            raise CommandError(f"--minutes takes 1 to {LONGEST_MINUTES}: tokens cannot be revoked.")
        lifetime = dt.timedelta(minutes=minutes)
        if options["user"]:
            token = issue_user_token(find_user(options["user"]), lifetime=lifetime)
        else:
            agent = find_agent(options["agent"], options["team"])
            token = issue_agent_token(agent, lifetime=lifetime)
        self.stdout.write(token)
