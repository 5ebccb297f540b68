"""E-mail, over SMTP or a provider's API. `channel.py` is the contract; the rest works for it."""

from deliveries.channels.email.channel import EmailChannel

__all__ = ("EmailChannel",)
