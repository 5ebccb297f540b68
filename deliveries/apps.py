"""App configuration."""

from django.apps import AppConfig
from django.core.checks import register

from deliveries.checks import CHECKS


class DeliveriesConfig(AppConfig):
    name = "deliveries"
    verbose_name = "Messages"

    def ready(self) -> None:
        for check in CHECKS:
            register(check)
