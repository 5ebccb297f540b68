"""Accounts at the sandbox's providers, for channels that have none of their own.

They look like the providers' own, so the channels' code runs unchanged: it calls this very server
instead, with tokens that nobody else knows and that are good for nothing elsewhere.
"""

import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hitl.lib import local_secrets

FILE = "sandbox.json"
PATH = "/sandbox/providers"
_hex = partial(secrets.token_hex, 16)

MAKERS: local_secrets.Makers = {
    "SLACK_BOT_TOKEN": lambda: f"xoxb-sandbox-{_hex()}",
    "SLACK_SIGNING_SECRET": _hex,
    "TWILIO_ACCOUNT_SID": lambda: f"AC{_hex()}",
    "TWILIO_AUTH_TOKEN": _hex,
    "TELEGRAM_BOT_TOKEN": lambda: f"{secrets.randbelow(10**9) + 10**9}:{_hex()}",
    "TELEGRAM_WEBHOOK_SECRET": _hex,
}
# No such area code exists, so this number can never be somebody's.
PHONE = "+15550000000"
# What an account consists of. Where one of these is configured, the channel is left alone.
NEEDS = {
    "slack": ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN"),
    "sms": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"),
    "telegram": ("TELEGRAM_BOT_TOKEN", "TELEGRAM_WEBHOOK_SECRET"),
}


def load(folder: Path, base: str, configured: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """The settings of each channel that the sandbox stands in for, by the channel's name.

    `base` is the address under which this server reaches itself.
    """
    made = {**local_secrets.load(folder, FILE, MAKERS), "TWILIO_FROM": PHONE}
    urls = {
        "slack": {"SLACK_API_URL": f"{base}{PATH}/slack/api/"},
        "sms": {"TWILIO_API_URL": f"{base}{PATH}/twilio"},
        "telegram": {"TELEGRAM_API_URL": f"{base}{PATH}/telegram"},
    }
    return {
        channel: urls[channel] | {name: made[name] for name in names if name in made}
        for channel, names in NEEDS.items()
        if not any(configured.get(name) for name in names)
    }
