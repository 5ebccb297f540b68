"""What should have happened by now and has not, and what was given up."""

import datetime as dt

from django.conf import settings
from django.db.models import Count, Min

from deliveries.models import Delivery
from events.models import Restore
from events.restores import gate
from hitl.doctor.findings import FAIL, OK, WARN, Finding
from hitl.lib.db import database_now
from hitl.operate.obligations import KINDS, PATIENCE, Kind
from workflows import reconcile

TOPIC = "obligations"
RECENT = dt.timedelta(hours=24)


def look() -> list[Finding]:
    """Whatever is overdue, and the messages that were given up lately."""
    now = database_now()
    restore = gate.current()
    if restore is not None:
        return [_held(restore), *_given_up(now)]
    late = [each for each in (_late(now, kind) for kind in KINDS) if each]
    return [*(late or [Finding(TOPIC, OK, "Nothing is overdue.")]), *_given_up(now)]


def _held(restore: Restore) -> Finding:
    """What is overdue waits for people then, and not for a worker."""
    count = reconcile.waiting(restore).count()
    says = f"A restored backup is being worked off; {count} requests wait to be confirmed."
    why = f"Nothing is sent or carried out meanwhile. {restore.why}"
    return Finding(TOPIC, WARN, says, why, "See manage.py reconcile --list and docs/backup.md.")


def _late(now: dt.datetime, kind: Kind) -> Finding | None:
    told = kind.overdue(now - PATIENCE, now).aggregate(count=Count("pk"), oldest=Min(kind.due))
    if not told["count"]:
        return None
    says = f"{kind.says}: {told['count']}, the oldest due for {_words(now - told['oldest'])}."
    why = "Nobody comes to do it: worker or beat do not run, or cannot keep up."
    if settings.EMBEDDED:
        return Finding(TOPIC, FAIL, says, why, "Start manage.py up, and look at its log.")
    remedy = "Start manage.py worker and one manage.py beat, and look at their logs."
    return Finding(TOPIC, FAIL, says, why, remedy)


def _given_up(now: dt.datetime) -> list[Finding]:
    lost = Delivery.objects.filter(status=Delivery.Status.FAILED, updated_at__gte=now - RECENT)
    newest = lost.order_by("-updated_at").first()
    if newest is None:
        return []
    says = f"Messages given up in the last 24 hours: {lost.count()}."
    why = f"The newest, by {newest.get_channel_display()}: {newest.last_error}"
    remedy = "Mend the cause, then send them again in the admin under Messages."
    return [Finding(TOPIC, WARN, says, why, remedy)]


def _words(age: dt.timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    for name, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes >= size:
            count = minutes // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "a minute"
