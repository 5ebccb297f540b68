"""The table of channels. Adding one is a file beside this one and a line here."""

from deliveries.channels.base import Channel
from deliveries.channels.email import EmailChannel
from deliveries.channels.slack import SlackChannel
from deliveries.channels.sms import SmsChannel
from deliveries.channels.telegram import TelegramChannel

TABLE = (EmailChannel, SlackChannel, SmsChannel, TelegramChannel)
CHANNELS: dict[str, type[Channel]] = {channel.name: channel for channel in TABLE}


def get_channel(name: str) -> Channel:
    """The channel of that name. Raises KeyError for an unknown one."""
    return CHANNELS[name]()


def channel_choices() -> list[tuple[str, str]]:
    """Name and label of every channel; a callable, so a new channel needs no migration."""
    return [(name, channel.label) for name, channel in CHANNELS.items()]
