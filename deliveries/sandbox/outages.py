"""Outages on request: what a provider does for a while, so that retry and fallback can be watched.

They live in the cache, which the one process of the embedded mode shares, and end by themselves.
"""

import datetime as dt
from dataclasses import dataclass

from django.core.cache import cache
from django.db import models
from django.utils import timezone


class Outage(models.TextChoices):
    """How a provider fails."""

    REFUSE = "refuse", "Refuses every message"
    DOWN = "down", "Answers with an error"
    HANG = "hang", "Does not answer"


@dataclass(frozen=True)
class Running:
    """An outage that has begun, and when it ends."""

    kind: Outage
    until: dt.datetime


def begin(channel: str, kind: Outage, minutes: int) -> None:
    """Let the provider fail for so long, instead of any outage it has."""
    until = timezone.now() + dt.timedelta(minutes=minutes)
    cache.set(_key(channel), (kind.value, until), timeout=60 * minutes)


def end(channel: str) -> None:
    """The provider works again."""
    cache.delete(_key(channel))


def running(channel: str) -> Running | None:
    """The provider's outage at this moment."""
    found = cache.get(_key(channel))
    return Running(Outage(found[0]), found[1]) if found else None


def current(channel: str) -> Outage | None:
    """How the provider fails at this moment, if it does."""
    found = running(channel)
    return found.kind if found else None


def _key(channel: str) -> str:
    return f"sandbox:outage:{channel}"
