"""System checks that name half-configured channels before somebody waits for a message."""

from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from deliveries.channels import CHANNELS

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def sandbox_is_embedded_only(**_: Any) -> list[CheckMessage]:
    """The sandbox shows everybody's personal links to the server's operator."""
    if not settings.SANDBOX or settings.EMBEDDED:
        return []
    hint = "It is for the embedded mode: configure the channels' accounts instead."
    return [Error("SANDBOX is on beside a DATABASE_URL.", hint=hint, id="deliveries.E002")]


def channels_are_whole(**_: Any) -> list[CheckMessage]:
    """Name what is missing where some but not all of a channel's settings are filled."""
    found: list[CheckMessage] = []
    for name, channel in CHANNELS.items():
        missing = channel.missing()
        if missing:
            hint = f"Fill {', '.join(missing)} too, or empty the others."
            text = f"The channel {name} is configured by halves."
            found.append(Warning(text, hint=hint, id="deliveries.W001"))
    return found


def mail_reaches_people(**_: Any) -> list[CheckMessage]:
    """Outside the sandbox: an account to send from, as somebody, with links that lead here."""
    if settings.SANDBOX:
        return []
    if not CHANNELS["email"].is_on():
        hint = "Set EMAIL_URL, for instance smtp+tls://user:password@mail.example.com:587."
        text = "No mail account is configured: approvers learn of requests on the dashboard only."
        return [Warning(text, hint=hint, id="deliveries.W002")]
    if not settings.EMAIL_URL or urlsplit(settings.EMAIL_URL).hostname in LOOPBACK:
        return []
    return _what_a_stranger_sees()


def _what_a_stranger_sees() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    if "@" not in sender or sender.rpartition("@")[2] in LOOPBACK:
        hint = "Set DEFAULT_FROM_EMAIL to an address that EMAIL_URL's account may send from."
        text = f"Mail would be sent from {sender!r}, which mail servers refuse."
        found.append(Warning(text, hint=hint, id="deliveries.W003"))
    if urlsplit(settings.PUBLIC_URL).hostname in LOOPBACK:
        hint = "Set PUBLIC_URL to the address under which people reach this server."
        text = "Links in mails would lead to the reader's own machine."
        found.append(Warning(text, hint=hint, id="deliveries.W004"))
    return found


CHECKS = (sandbox_is_embedded_only, channels_are_whole, mail_reaches_people)
