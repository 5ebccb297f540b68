"""Slack, over HTTP or Socket Mode. `channel.py` is the contract; the rest translates for it."""

from deliveries.channels.slack.channel import SlackChannel

__all__ = ("SlackChannel",)
