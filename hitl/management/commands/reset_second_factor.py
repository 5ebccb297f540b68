"""Take a person's second factors away, for somebody who lost the phone and the recovery codes."""

from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.accounts import factors
from hitl.accounts.models import User
from hitl.management.base import HitlCommand


class Command(HitlCommand):
    """`manage.py reset_second_factor EMAIL`."""

    help = "Remove all second factors of a person, who then logs in with the password alone."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            raise CommandError(f"Nobody here logs in as {email}.")
        if not factors.reset(user):
            self.say(f"{user.email} has no second factor.")
            return
        self.say(f"{user.email} has no second factor any more and logs in with the password alone.")
