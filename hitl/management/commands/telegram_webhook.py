"""Have Telegram post the bot's updates to this server, or no longer."""

from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from deliveries.channels.telegram import TelegramChannel
from hitl.management.base import HitlCommand


class Command(HitlCommand):
    """`manage.py telegram_webhook [--remove]`."""

    help = "Tell Telegram to post answers to this server (PUBLIC_URL)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--remove", action="store_true", help="post them nowhere any more")

    def handle(self, *args: Any, remove: bool, **options: Any) -> None:
        if not TelegramChannel.is_on():
            raise CommandError("Set TELEGRAM_BOT_TOKEN and TELEGRAM_WEBHOOK_SECRET first.")
        if remove:
            TelegramChannel().remove_webhook()
            self.say("Telegram posts nothing any more.")
            return
        self.say(f"Telegram posts answers to {TelegramChannel().set_webhook()} from now on.")
