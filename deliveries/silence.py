"""Notices a channel over which nothing gets out although something wants to.

From the rows alone: what the breaker knows is in the cache, and that may be gone.
"""

import datetime as dt

from django.db.models import Q

from deliveries.models import Delivery
from hitl.lib.models import uuid7_floor

# A provider may take its time over one message; with a page's asking every 20 seconds this makes
# less than a minute.
WAITED = dt.timedelta(seconds=35)
# How far back a message that got out is looked for.
MEMORY = dt.timedelta(hours=1)
SAMPLE = 2000


def silent(now: dt.datetime) -> dict[str, float]:
    """Channels that have sent nothing since a message began to wait, and for how many seconds the
    oldest of theirs has waited. The SAMPLE messages that are due first are looked at."""
    found = {}
    for channel, begins in _waiting(now).items():
        since = max(max(begins), now - MEMORY)
        if not _has_sent(channel, since):
            found[channel] = (now - min(begins)).total_seconds()
    return found


def _waiting(now: dt.datetime) -> dict[str, list[dt.datetime]]:
    """Since when messages have waited, by channel: tried in vain, or due and not even tried."""
    rows = Delivery.objects.filter(status=Delivery.Status.PENDING).order_by("next_retry_at")
    columns = ("channel", "attempts", "created_at", "next_retry_at")
    found: dict[str, list[dt.datetime]] = {}
    for channel, attempts, created_at, due_at in rows.values_list(*columns)[:SAMPLE]:
        since = created_at if attempts else due_at
        if since <= now - WAITED:
            found.setdefault(channel, []).append(since)
    return found


def _has_sent(channel: str, since: dt.datetime) -> bool:
    recent = Delivery.objects.filter(pk__gte=uuid7_floor(since - MEMORY), channel=channel)
    return recent.filter(Q(sent_at__gte=since) | Q(delivered_at__gte=since)).exists()
