"""Guessing made slow: some tries are free, then each wrong one doubles the wait.

Counted in rows, so that a cache that is erased, or down, neither opens nor closes the door. A try
counts before it is judged: however many are made at once, no more than the free ones are judged.
"""

import datetime as dt
import hashlib

from django.db import transaction
from django.utils import timezone

from hitl.accounts.models import Tries
from hitl.lib.errors import HitlError

FREE = 5
FIRST_WAIT = dt.timedelta(seconds=30)
LONGEST_WAIT = dt.timedelta(minutes=15)
FORGOTTEN_AFTER = dt.timedelta(days=1)


class TooManyTries(HitlError):
    """Too many were wrong; `detail` says how long to wait, `wait` in seconds."""

    code = "rate-limited"
    status = 429
    title = "Too many attempts"

    def __init__(self, wait: dt.timedelta) -> None:
        self.wait = self.retry_after = max(int(wait.total_seconds()), 1)
        super().__init__(f"Too many attempts. Try again in {_words(self.wait)}.")


@transaction.atomic
def begin(what: str, whose: str, *, free: int = FREE) -> None:
    """Count one try of `whose` (hashed, so it may be an address). Raises TooManyTries."""
    row = _row(_digest(what, whose))
    now = timezone.now()
    if row.blocked_until and now < row.blocked_until:
        raise TooManyTries(row.blocked_until - now)
    if row.last_at < now - FORGOTTEN_AFTER:
        row.count = 0
    row.count += 1
    row.last_at = now
    row.blocked_until = now + _wait(row.count - free) if row.count >= free else None
    row.save()


def forgive(what: str, whose: str) -> None:
    """It was right: forget the wrong ones."""
    Tries.objects.filter(key=_digest(what, whose)).delete()


def _row(key: str) -> Tries:
    now = timezone.now()
    _, is_new = Tries.objects.get_or_create(key=key, defaults={"last_at": now})
    if is_new:  # strangers make rows by guessing addresses, so they also clear them away
        Tries.objects.filter(last_at__lt=now - FORGOTTEN_AFTER).delete()
    return Tries.objects.select_for_update().get(key=key)


def _wait(doublings: int) -> dt.timedelta:
    wait: dt.timedelta = FIRST_WAIT * 2 ** min(doublings, 10)
    return min(wait, LONGEST_WAIT)


def _digest(what: str, whose: str) -> str:
    return hashlib.sha256(f"{what}\n{whose}".encode("utf-8", "surrogatepass")).hexdigest()


def _words(seconds: int) -> str:
    if seconds <= 90:
        return f"{seconds} second{'s' if seconds > 1 else ''}"
    return f"{-(-seconds // 60)} minutes"
