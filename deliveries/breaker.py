"""Leaves a provider alone that asked for it or stopped answering, so that no other waits for it.

The state lives in the cache, shared by the workers: losing it costs a few attempts and no message.
"""

from django.core.cache import cache
from django.utils import timezone

from deliveries.channels import CHANNELS

SILENCES = 3  # so many time-outs in a row, and the channel rests
SILENCE_WINDOW_SECONDS = 120
REST_SECONDS = 30


def rest(channel: str, seconds: float) -> None:
    """Send nothing over this channel for so long (a Retry-After, or our own patience)."""
    until = timezone.now().timestamp() + seconds
    cache.set(_key(channel, "until"), until, timeout=int(seconds) + 1)


def seconds_left(channel: str) -> float:
    """How long the channel still rests; 0 when it may be used."""
    until = cache.get(_key(channel, "until"))
    return max(0.0, until - timezone.now().timestamp()) if until else 0.0


def resting() -> list[str]:
    """The channels that are not to be used at this moment."""
    return [name for name in CHANNELS if seconds_left(name)]


def note_silence(channel: str) -> None:
    """An attempt got no answer in time; the third in a row lets the channel rest."""
    key = _key(channel, "silences")
    cache.add(key, 0, timeout=SILENCE_WINDOW_SECONDS)
    try:
        silences = cache.incr(key)
    except ValueError:  # it expired between the two calls
        return
    if silences >= SILENCES:
        rest(channel, REST_SECONDS)


def note_answer(channel: str) -> None:
    """The provider answered, whatever it said."""
    cache.delete(_key(channel, "silences"))


def _key(channel: str, what: str) -> str:
    return f"deliveries:{channel}:{what}"
