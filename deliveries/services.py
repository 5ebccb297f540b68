"""The Delivery Manager: want, claim, send, settle. The only writer of deliveries.

A row is written in the transaction that wants the message; sending happens outside any transaction;
a sweep finds what is due, so losing a queue message or a worker loses nothing.
"""

import datetime as dt
import hashlib
import logging
import secrets
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from deliveries.channels import get_channel
from deliveries.channels.base import ChannelError, Message, Receipt
from deliveries.models import Delivery, DeliveryToken
from events import services as events
from events.types import EventType, Source
from hitl.accounts.models import User
from hitl.lib import backoff
from hitl.lib.actor import SYSTEM
from hitl.lib.db import database_now, require_transaction
from hitl.lib.urls import absolute

logger = logging.getLogger(__name__)

OPEN = Q(status=Delivery.Status.PENDING)
MAX_RETRY_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Recipient:
    """One person at one address."""

    user: User | None
    channel: str
    address: str


def request(
    recipients: list[Recipient],
    message: Message,
    *,
    workflow_id: UUID,
    team_id: UUID,
    round: int,  # the wire name
    now: dt.datetime,
) -> list[Delivery]:
    """Write one pending delivery per recipient, in the caller's transaction."""
    require_transaction()
    rows = [
        Delivery(
            workflow_id=workflow_id,
            team_id=team_id,
            round=round,
            kind=message.kind,
            channel=recipient.channel,
            user=recipient.user,
            recipient=recipient.address,
            message=message.as_dict(),
            max_attempts=settings.DELIVERY_MAX_ATTEMPTS,
            next_retry_at=now,
        )
        for recipient in recipients
    ]
    return Delivery.objects.bulk_create(rows)


def send(delivery_id: UUID) -> None:
    """Try one delivery: claim it, talk to the provider outside any transaction, settle it."""
    delivery = claim(delivery_id)
    if delivery is None:
        return  # sent, cancelled, not due, or taken by another worker
    try:
        receipt = _hand_over(delivery)
    except ChannelError as error:
        settle_failure(delivery, error)
    except Exception:
        logger.exception("channel broke", extra={"delivery": str(delivery.pk)})
        settle_failure(delivery, ChannelError("The channel failed unexpectedly; see the log."))
    else:
        settle_success(delivery, receipt)


@transaction.atomic(durable=True)
def claim(delivery_id: UUID) -> Delivery | None:
    """Take a due delivery for one attempt, or None. Durable: fails inside a transaction."""
    now = database_now()
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    taken = (
        Delivery.objects.filter(OPEN, pk=delivery_id, next_retry_at__lte=now)
        .filter(Q(claimed_at__isnull=True) | Q(claimed_at__lt=stale))
        .update(claimed_at=now, attempts=F("attempts") + 1)
    )
    return Delivery.objects.select_related("user").get(pk=delivery_id) if taken else None


def _hand_over(delivery: Delivery) -> Receipt:
    channel = get_channel(delivery.channel)
    return channel.send(
        delivery.to_message(),
        to=delivery.recipient,
        key=f"{delivery.pk}",
        link=_make_link(delivery),
    )


def _make_link(delivery: Delivery) -> str:
    """A personal link for this attempt: 256 random bits, of which only the SHA-256 is kept."""
    token = secrets.token_urlsafe(32)
    DeliveryToken.objects.create(delivery=delivery, digest=token_digest(token))
    return absolute(reverse("open-link", args=[token]))


def token_digest(token: str) -> str:
    """What is stored of a link's token."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def settle_success(delivery: Delivery, receipt: Receipt) -> None:
    """The provider took it: note when and under which ids, unless the row moved on meanwhile."""
    events.lock_stream(delivery.workflow_id)
    now = database_now()
    status = Delivery.Status.DELIVERED if receipt.delivered else Delivery.Status.SENT
    changed = _mine(delivery).update(
        status=status,
        claimed_at=None,
        next_retry_at=None,
        sent_at=now,
        delivered_at=now if receipt.delivered else None,
        last_error="",
        metadata={**delivery.metadata, **receipt.provider_ids},
    )
    if not changed:
        _note_late_success(delivery, receipt, now)
        return
    if delivery.kind == Delivery.Kind.APPROVAL:
        _record(EventType(f"approval.sent.{delivery.channel}"), delivery, now)


def _note_late_success(delivery: Delivery, receipt: Receipt, now: dt.datetime) -> None:
    """It went out although it was cancelled meanwhile: keep the ids, the message is out there."""
    Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.CANCELLED).update(
        sent_at=now, claimed_at=None, metadata={**delivery.metadata, **receipt.provider_ids}
    )


@transaction.atomic
def settle_failure(delivery: Delivery, error: ChannelError) -> None:
    """It did not go out: fail for good, or set the time of the next attempt."""
    events.lock_stream(delivery.workflow_id)
    now = database_now()
    final = error.permanent or delivery.attempts >= delivery.max_attempts
    sentence = str(error)[:500]
    if not final:
        wait = backoff.delay(
            delivery.attempts,
            first=settings.DELIVERY_FIRST_RETRY_SECONDS,
            maximum=MAX_RETRY_SECONDS,
        )
        if error.retry_after:
            wait = max(wait, dt.timedelta(seconds=min(error.retry_after, MAX_RETRY_SECONDS)))
        _mine(delivery).update(claimed_at=None, next_retry_at=now + wait, last_error=sentence)
        return
    changed = _mine(delivery).update(
        status=Delivery.Status.FAILED, claimed_at=None, next_retry_at=None, last_error=sentence
    )
    if changed:
        _record(EventType.DELIVERY_FAILED, delivery, now, error=sentence)


def cancel_open(workflow_id: UUID) -> int:
    """Nobody needs to be asked any more: cancel what has not gone out. Returns how many."""
    require_transaction()
    return Delivery.objects.filter(OPEN, workflow_id=workflow_id).update(
        status=Delivery.Status.CANCELLED, next_retry_at=None
    )


def retry_now(delivery_id: UUID) -> None:
    """Send again at once ("send again"): a failed or waiting delivery becomes due."""
    Delivery.objects.filter(
        pk=delivery_id, status__in=(Delivery.Status.FAILED, Delivery.Status.PENDING)
    ).update(
        status=Delivery.Status.PENDING,
        next_retry_at=database_now(),
        claimed_at=None,
        attempts=0,
    )


def record_receipt(channel: str, provider_id: str, *, delivered: bool, error: str = "") -> None:
    """A provider's later word on a message. Status never moves backwards; unknown ids are fine."""
    rows = Delivery.objects.filter(channel=channel, metadata__messageId=provider_id)
    if delivered:
        rows.filter(status=Delivery.Status.SENT).update(
            status=Delivery.Status.DELIVERED, delivered_at=timezone.now()
        )
    elif error:
        for delivery in rows.filter(status=Delivery.Status.SENT):
            _fail_after_sending(delivery.pk, error)


@transaction.atomic
def _fail_after_sending(delivery_id: UUID, error: str) -> None:
    delivery = Delivery.objects.get(pk=delivery_id)
    events.lock_stream(delivery.workflow_id)
    changed = Delivery.objects.filter(pk=delivery_id, status=Delivery.Status.SENT).update(
        status=Delivery.Status.FAILED, last_error=error[:500]
    )
    if changed:
        _record(EventType.DELIVERY_FAILED, delivery, database_now(), error=error[:500])


def _mine(delivery: Delivery) -> QuerySet[Delivery]:
    """The row, if it is still pending under this very claim (a stale worker writes nothing)."""
    return Delivery.objects.filter(OPEN, pk=delivery.pk, claimed_at=delivery.claimed_at)


def _record(type_: EventType, delivery: Delivery, now: dt.datetime, **extra: str) -> None:
    events.record(
        type_,
        workflow_id=delivery.workflow_id,
        actor=SYSTEM,
        source=Source.SYSTEM,
        data={
            "deliveryId": str(delivery.pk),
            "channel": delivery.channel,
            "recipient": delivery.recipient,
            "attempts": delivery.attempts,
            "fingerprint": delivery.message.get("fingerprint", ""),
            **extra,
        },
        now=now,
    )
