"""System checks that name half-configured channels before somebody waits for a message."""

from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from deliveries.channels import CHANNELS
from deliveries.channels.email import inbound, provider

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def sandbox_is_embedded_only(**_: Any) -> list[CheckMessage]:
    """The sandbox shows everybody's personal links to the server's operator."""
    if not settings.SANDBOX or settings.EMBEDDED:
        return []
    hint = "It is for the embedded mode: configure the channels' accounts instead."
    return [Error("SANDBOX is on beside a DATABASE_URL.", hint=hint, id="deliveries.E002")]


def channels_are_whole(**_: Any) -> list[CheckMessage]:
    """Name what is missing where some but not all of a channel's settings are filled.

    A server of production does not start like that: its messages would lead nowhere, or nobody
    could tell a genuine answer from a forged one. Embedded, where one tries things out, it warns.
    """
    found: list[CheckMessage] = []
    for name, channel in CHANNELS.items():
        missing = channel.missing()
        if missing:
            hint = f"Fill {', '.join(missing)} too, or empty the others."
            text = f"The channel {name} is configured by halves."
            if settings.EMBEDDED:
                found.append(Warning(text, hint=hint, id="deliveries.W001"))
            else:
                found.append(Error(text, hint=hint, id="deliveries.E001"))
    return found


def mail_reaches_people(**_: Any) -> list[CheckMessage]:
    """Outside the sandbox: an account to send from, as somebody, with links that lead here."""
    if settings.SANDBOX:
        return []
    if not CHANNELS["email"].is_on():
        hint = "Set EMAIL_URL (smtp+tls://user:password@mail.example.com:587) or EMAIL_PROVIDER."
        text = "No mail account is configured: approvers learn of requests on the dashboard only."
        return [Warning(text, hint=hint, id="deliveries.W002")]
    is_local = not settings.EMAIL_URL or urlsplit(settings.EMAIL_URL).hostname in LOOPBACK
    return [] if is_local and not settings.EMAIL_PROVIDER else _what_a_stranger_sees()


def _what_a_stranger_sees() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    if "@" not in sender or sender.rpartition("@")[2] in LOOPBACK:
        hint = "Set DEFAULT_FROM_EMAIL to an address that the mail account may send from."
        text = f"Mail would be sent from {sender!r}, which mail servers refuse."
        found.append(Warning(text, hint=hint, id="deliveries.W003"))
    if urlsplit(settings.PUBLIC_URL).hostname in LOOPBACK:
        hint = "Set PUBLIC_URL to the address under which people reach this server."
        text = "Links in mails would lead to the reader's own machine."
        found.append(Warning(text, hint=hint, id="deliveries.W004"))
    return found


def mail_provider_is_clear(**_: Any) -> list[CheckMessage]:
    """One way to send, a secret that is one, and answers that arrive."""
    found: list[CheckMessage] = []
    if settings.EMAIL_PROVIDER and settings.EMAIL_URL:
        hint = "Empty one of the two."
        text = "EMAIL_PROVIDER and EMAIL_URL are both set; mails go through the provider."
        found.append(Warning(text, hint=hint, id="deliveries.W005"))
    secrets = settings.ANYMAIL.get("WEBHOOK_SECRET") or []
    if not all(map(provider.SECRET.fullmatch, secrets)):
        hint = "Give it the form user:password, and the provider https://user:password@…"
        text = "ANYMAIL_WEBHOOK_SECRET is no login, so nothing the mail provider posts is taken."
        found.append(Warning(text, hint=hint, id="deliveries.W006"))
    if settings.REPLY_ADDRESS and not inbound.is_usable(settings.REPLY_ADDRESS):
        hint = "It is a mailbox of at most 31 letters, like approvals@in.example.com."
        text = "No token fits into REPLY_ADDRESS, so mails cannot be answered."
        found.append(Error(text, hint=hint, id="deliveries.E003"))
    elif settings.REPLY_ADDRESS and not provider.takes_replies():
        hint = (
            "It needs ANYMAIL_WEBHOOK_SECRET and one of these as EMAIL_PROVIDER: "
            f"{', '.join(sorted(provider.POST_MAILS))}."
        )
        text = "REPLY_ADDRESS is set, but nobody would post us what arrives there."
        found.append(Warning(text, hint=hint, id="deliveries.W007"))
    return found


CHECKS = (
    sandbox_is_embedded_only,
    channels_are_whole,
    mail_reaches_people,
    mail_provider_is_clear,
)
