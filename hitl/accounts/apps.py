"""App configuration."""

from django.apps import AppConfig
from django.core.checks import register

from hitl.accounts.checks import hosts_are_named, proxies_are_named


class AccountsConfig(AppConfig):
    name = "hitl.accounts"
    label = "accounts"
    verbose_name = "People and agents"

    def ready(self) -> None:
        register(proxies_are_named)
        register(hosts_are_named)
