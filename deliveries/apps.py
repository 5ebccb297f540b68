"""App configuration."""

from importlib import import_module

from django.apps import AppConfig
from django.core.checks import register

from deliveries.channels import TABLE
from deliveries.checks import CHECKS
from hitl.accounts import kinds


class DeliveriesConfig(AppConfig):
    name = "deliveries"
    verbose_name = "Messages"

    def ready(self) -> None:
        # A web process wakes workers too, so it has to know the tasks by name.
        import_module("deliveries.tasks")
        for check in CHECKS:
            register(check)
        for channel in TABLE:
            label = channel.contact_label or channel.label
            kinds.register(channel.contact_kind, label, channel.read_address)
