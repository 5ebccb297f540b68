"""Rewrites messages that went out: how far the question is, and once it is settled, the outcome.

Invariant: no live button is left behind. Two rewrites of one message may overtake each other on the
way to the provider, so whoever finds afterwards that something newer was wanted has it drawn again.
"""

import datetime as dt
import logging
from dataclasses import replace
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from deliveries import services
from deliveries.channels import get_channel
from deliveries.channels.base import ChannelError
from deliveries.models import Delivery
from deliveries.wakeups import UPDATE, wake
from events.restores import gate
from hitl.lib import backoff
from hitl.lib.db import database_now

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15
MAX_ATTEMPTS = 30
FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0


def update(delivery_id: UUID) -> None:
    """Make one sent message tell what its row says: claim it, call the provider, note the end."""
    delivery = _claim(delivery_id)
    if delivery is None:
        return  # done, not due, or taken by another worker
    if delivery.sent_at is None and not _find(delivery):
        return
    try:
        _draw(delivery)
    except ChannelError as error:
        _again(delivery, error)
    except Exception:
        logger.exception("update broke", extra={"delivery": str(delivery.pk)})
        _again(delivery, ChannelError("The channel failed unexpectedly; see the log."))
    else:
        if not _mine(delivery).update(update_due_at=None, last_error=""):
            _draw_again(delivery)


def _draw(delivery: Delivery) -> None:
    """The outcome without buttons; without one, the question as it stands, with its buttons."""
    message = delivery.to_message()
    told = replace(message, choices=[], outcome=delivery.outcome) if delivery.outcome else message
    get_channel(delivery.channel).update(
        told,
        to=delivery.recipient,
        provider_ids=delivery.metadata,
        key=str(delivery.pk),
        link=services.make_link(delivery) if told.choices else "",
    )


def _draw_again(delivery: Delivery) -> None:
    """Another one was at it meanwhile. The provider shows whose call came last, perhaps ours: where
    something else is wanted by now, it is drawn once more."""
    now = Delivery.objects.get(pk=delivery.pk)
    if (now.outcome, now.message) != (delivery.outcome, delivery.message):
        Delivery.objects.filter(pk=delivery.pk).update(
            update_due_at=database_now(), update_attempts=0
        )
        wake(UPDATE, delivery.pk)


@transaction.atomic(durable=True)
def _claim(delivery_id: UUID) -> Delivery | None:
    """Take a due update for a while: moving its due time is the claim, and a dead worker's ends."""
    now = database_now()
    rows = gate.unheld(Delivery.objects.filter(pk=delivery_id, update_due_at__lte=now))
    taken = rows.update(
        update_due_at=now + dt.timedelta(seconds=LEASE_SECONDS),
        update_attempts=F("update_attempts") + 1,
    )
    return Delivery.objects.get(pk=delivery_id) if taken else None


def _find(delivery: Delivery) -> bool:
    """Look for a message whose sender may have died before it could say that it went out."""
    if not delivery.outcome:
        return _wait_for_sender(delivery)
    channel = get_channel(delivery.channel)
    try:
        receipt = channel.find(
            to=delivery.recipient, key=str(delivery.pk), since=delivery.created_at
        )
    except ChannelError as error:
        _again(delivery, error)
        return False
    if receipt:
        services.settle_success(delivery, receipt)
        delivery.refresh_from_db()
        return True
    stale = database_now() - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    if delivery.claimed_at is None or delivery.claimed_at < stale:
        _mine(delivery).update(update_due_at=None, claimed_at=None)  # it never went out
    else:
        _again(delivery, ChannelError(""))
    return False


def _wait_for_sender(delivery: Delivery) -> bool:
    """The question is still to go out, by somebody who may have read it before it changed."""
    if delivery.claimed_at is None:
        _mine(delivery).update(update_due_at=None)  # the next attempt reads it anew
    else:
        _again(delivery, ChannelError(""))
    return False


def _again(delivery: Delivery, error: ChannelError) -> None:
    if error.permanent or delivery.update_attempts >= MAX_ATTEMPTS:
        _mine(delivery).update(update_due_at=None, last_error=str(error)[:500])
        return
    wait = backoff.delay(delivery.update_attempts, first=FIRST_SECONDS, maximum=LONGEST_SECONDS)
    asked = dt.timedelta(seconds=error.retry_after or 0)
    _mine(delivery).update(
        update_due_at=database_now() + max(wait, asked), last_error=str(error)[:500]
    )


def _mine(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=delivery.pk, update_due_at=delivery.update_due_at)
