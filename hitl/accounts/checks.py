"""System checks: names and proxies, on which limits and origins rest."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning


def proxies_are_named(**_: Any) -> list[CheckMessage]:
    """Behind a proxy that nobody named, all visitors have one address."""
    is_behind = bool(getattr(settings, "SECURE_PROXY_SSL_HEADER", None))
    if not is_behind or settings.TRUSTED_PROXIES:
        return []
    text = "All visitors share the proxy's address, and so its limits and its wrong passwords."
    hint = "Name the proxy's address in TRUSTED_PROXIES."
    return [Warning(text, hint=hint, id="accounts.W001")]


def hosts_are_named(**_: Any) -> list[CheckMessage]:
    """A wildcard would let any site's pages open sockets and make links to itself."""
    if "*" not in settings.ALLOWED_HOSTS or settings.DEBUG:
        return []
    text = "ALLOWED_HOSTS is a wildcard, so any name would count as this server's."
    hint = "Name the hosts under which people and agents reach it."
    return [Error(text, hint=hint, id="accounts.E001")]
