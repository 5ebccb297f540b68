"""The Delivery Manager: want, claim, send, settle. The only writer of deliveries.

A row is written in the transaction that wants the message; sending happens outside any transaction;
a sweep finds what is due, so losing a queue message or a worker loses nothing. What a person is
asked is decided under the lock of the workflow's event stream: locks go stream, then delivery.
"""

import datetime as dt
import hashlib
import logging
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse

from deliveries.channels import get_channel
from deliveries.channels.base import ChannelError, Message, Receipt
from deliveries.models import Delivery, DeliveryToken
from events import services as events
from events.models import Event, EventStream
from events.types import EventType, Source
from hitl.accounts.models import User
from hitl.lib import backoff
from hitl.lib.actor import SYSTEM
from hitl.lib.db import database_now, require_transaction
from hitl.lib.errors import Conflict, NotFound
from hitl.lib.urls import absolute

logger = logging.getLogger(__name__)

OPEN = Q(status=Delivery.Status.PENDING)
# What asks for an answer is pointless once there is one; what tells the outcome is not.
ASKING = (Delivery.Kind.APPROVAL, Delivery.Kind.REMINDER)
STILL_ASKED = "PENDING"  # the workflow's status, as its newest event tells it
MAX_RETRY_SECONDS = 6 * 3600.0
ERROR_LIMIT = 500


@dataclass(frozen=True)
class Recipient:
    """One person at one address."""

    user: User | None
    channel: str
    address: str


class CannotResend(Conflict):
    """The message cannot be sent again; `detail` says why."""

    code = "cannot-resend"
    title = "The message cannot be sent again"


def request(
    recipients: list[Recipient],
    message: Message,
    *,
    workflow_id: UUID,
    team_id: UUID,
    round: int,  # the wire name
    now: dt.datetime,
) -> list[Delivery]:
    """Write one pending delivery per address, in the caller's transaction.

    Two people behind one address get one message, addressed to the first of them.
    """
    require_transaction()
    by_address = {(each.channel, each.address): each for each in reversed(recipients)}
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
        for recipient in reversed(by_address.values())
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


def claim(delivery_id: UUID) -> Delivery | None:
    """Take a due delivery for one attempt, or None. Refuses to run inside a transaction.

    A row whose worker died is taken over after DELIVERY_CLAIM_SECONDS. When that was the last
    attempt it fails instead: a message that kills its workers must not do so for ever.
    """
    delivery = _take(delivery_id)
    if delivery is None or delivery.attempts <= delivery.max_attempts:
        return delivery
    delivery.attempts = delivery.max_attempts
    settle_failure(delivery, ChannelError("The worker died while sending; the last try is over."))
    return None


@transaction.atomic(durable=True)
def _take(delivery_id: UUID) -> Delivery | None:
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
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@transaction.atomic
def settle_success(delivery: Delivery, receipt: Receipt) -> None:
    """The provider took it: note when and under which ids.

    A success counts whoever reports it: a worker that was given up for dead has sent the message
    all the same. Only the first one is recorded.
    """
    events.lock_stream(delivery.workflow_id)
    now = database_now()
    status = Delivery.Status.DELIVERED if receipt.delivered else Delivery.Status.SENT
    changed = Delivery.objects.filter(OPEN, pk=delivery.pk).update(
        status=status,
        claimed_at=None,
        next_retry_at=None,
        sent_at=now,
        delivered_at=now if receipt.delivered else None,
        last_error="",
        metadata={**delivery.metadata, **receipt.provider_ids},
    )
    if changed:
        _record_sent(delivery, now)
    else:
        _note_late_success(delivery, receipt, now)


def _note_late_success(delivery: Delivery, receipt: Receipt, now: dt.datetime) -> None:
    """It went out although cancelled or given up meanwhile: on record, with the ids to find it."""
    changed = Delivery.objects.filter(
        pk=delivery.pk,
        sent_at=None,
        status__in=(Delivery.Status.CANCELLED, Delivery.Status.FAILED),
    ).update(sent_at=now, claimed_at=None, metadata={**delivery.metadata, **receipt.provider_ids})
    if changed:
        _record_sent(delivery, now, late=True)


def _record_sent(delivery: Delivery, now: dt.datetime, **extra: Any) -> None:
    if delivery.kind == Delivery.Kind.APPROVAL:
        _record(EventType(f"approval.sent.{delivery.channel}"), delivery, now, **extra)


@transaction.atomic
def settle_failure(delivery: Delivery, error: ChannelError) -> None:
    """It did not go out: fail for good, or set the time of the next attempt."""
    events.lock_stream(delivery.workflow_id)
    now = database_now()
    sentence = str(error)[:ERROR_LIMIT]
    if error.permanent or delivery.attempts >= delivery.max_attempts:
        failed: dict[str, Any] = {"status": Delivery.Status.FAILED, "next_retry_at": None}
    else:
        failed = {"next_retry_at": now + _wait(delivery, error)}
    changed = _mine(delivery).update(
        claimed_at=None, attempts=delivery.attempts, last_error=sentence, **failed
    )
    if changed and "status" in failed:
        _record(EventType.DELIVERY_FAILED, delivery, now, error=sentence)
    elif not changed:
        _cancelled_in_flight(delivery).update(claimed_at=None, last_error=sentence)


def _wait(delivery: Delivery, error: ChannelError) -> dt.timedelta:
    planned = backoff.delay(
        delivery.attempts, first=settings.DELIVERY_FIRST_RETRY_SECONDS, maximum=MAX_RETRY_SECONDS
    )
    asked = dt.timedelta(seconds=min(error.retry_after or 0, MAX_RETRY_SECONDS))
    return max(planned, asked)


def cancel_open(workflow_id: UUID) -> int:
    """Nobody needs to be asked any more: cancel what has not gone out. Returns how many.

    The caller holds the lock of the workflow's stream. A message that is in flight at this moment
    keeps its claim, and its worker notes on the cancelled row whether it went out.
    """
    require_transaction()
    return Delivery.objects.filter(OPEN, workflow_id=workflow_id, kind__in=ASKING).update(
        status=Delivery.Status.CANCELLED, next_retry_at=None
    )


@transaction.atomic
def retry_now(delivery_id: UUID) -> None:
    """Send again at once ("send again"): a failed or waiting delivery becomes due.

    Safe from anywhere: a question is only asked again while it is open and in the same round.
    Raises NotFound, or CannotResend with the reason.
    """
    found = Delivery.objects.filter(pk=delivery_id).only("workflow_id").first()
    if found is None:
        raise NotFound("There is no such delivery.")
    stream = events.lock_stream(found.workflow_id)
    delivery = Delivery.objects.select_for_update(of=("self",), no_key=True).get(pk=delivery_id)
    now = database_now()
    _check_may_resend(delivery, stream, now)
    Delivery.objects.filter(pk=delivery_id).update(
        status=Delivery.Status.PENDING, next_retry_at=now, claimed_at=None, attempts=0
    )


def _check_may_resend(delivery: Delivery, stream: EventStream, now: dt.datetime) -> None:
    if delivery.status not in (Delivery.Status.FAILED, Delivery.Status.PENDING):
        raise CannotResend(f"This message is {delivery.get_status_display().lower()}.")
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    if delivery.claimed_at and delivery.claimed_at >= stale:
        raise CannotResend("This message is being sent at this moment.")
    head = Event.objects.only("status", "round").get(
        workflow_id=stream.workflow_id, seq=stream.last_seq
    )
    asked = head.status == STILL_ASKED and head.round == delivery.round
    if delivery.kind in ASKING and not asked:
        raise CannotResend("The request no longer waits for an answer to this message.")


def record_receipt(channel: str, provider_id: str, *, delivered: bool, error: str = "") -> None:
    """A provider's later word on a message. Status never moves backwards; unknown ids are fine."""
    rows = Delivery.objects.filter(channel=channel, metadata__messageId=provider_id)
    if delivered:
        rows.filter(status=Delivery.Status.SENT).update(
            status=Delivery.Status.DELIVERED, delivered_at=database_now()
        )
    elif error:
        for delivery in rows.filter(status=Delivery.Status.SENT):
            _fail_after_sending(delivery, error[:ERROR_LIMIT])


@transaction.atomic
def _fail_after_sending(delivery: Delivery, error: str) -> None:
    events.lock_stream(delivery.workflow_id)
    changed = Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.SENT).update(
        status=Delivery.Status.FAILED, last_error=error
    )
    if changed:
        _record(EventType.DELIVERY_FAILED, delivery, database_now(), error=error)


def _mine(delivery: Delivery) -> QuerySet[Delivery]:
    """The row, if it is still pending under this very claim (a stale worker writes nothing)."""
    return Delivery.objects.filter(OPEN, pk=delivery.pk, claimed_at=delivery.claimed_at)


def _cancelled_in_flight(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        pk=delivery.pk, status=Delivery.Status.CANCELLED, claimed_at=delivery.claimed_at
    )


def _record(type_: EventType, delivery: Delivery, now: dt.datetime, **extra: Any) -> None:
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
