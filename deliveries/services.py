"""The Delivery Manager: want, claim, send, settle. The only writer of deliveries.

A row is written in the transaction that wants the message; sending happens outside any transaction;
a sweep finds what is due, so losing a queue message or a worker loses nothing. What a person is
asked is decided under the lock of the workflow's event stream: locks go stream, then delivery.
"""

import datetime as dt
import hashlib
import logging
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Expression, F, Q, QuerySet, Value, When
from django.urls import reverse
from django.utils.crypto import salted_hmac

from deliveries import breaker, early_words, routing
from deliveries.channels import CHANNELS, get_channel
from deliveries.channels.base import ChannelError, Message, Receipt, Report
from deliveries.models import Delivery, DeliveryToken, ReplyCode
from deliveries.routing import Recipient
from deliveries.wakeups import SEND, UPDATE, wake, wake_all
from events import services as events
from events.models import EventStream
from events.restores import gate
from events.types import EventType, Source, approval_sent
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
SILENT_SECONDS = 5.0  # a failed attempt that took so long got no answer


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
    stage: int = 0,
    wave: int = 0,
    not_before: Mapping[UUID, dt.datetime] | None = None,
) -> list[Delivery]:
    """Write one pending delivery per address, in the caller's transaction.

    Two people behind one address get one message, addressed to the first of them. `not_before`
    says whose message waits until when, by the id of the user.
    """
    require_transaction()
    waits = not_before or {}
    by_address = {(each.channel, each.address): each for each in reversed(recipients)}
    rows = [
        Delivery(
            workflow_id=workflow_id,
            team_id=team_id,
            round=round,
            stage=stage,
            wave=wave,
            kind=message.kind,
            channel=recipient.channel,
            user=recipient.user,
            recipient=recipient.address,
            message=message.as_dict(),
            max_attempts=settings.DELIVERY_MAX_ATTEMPTS,
            next_retry_at=waits.get(recipient.user.pk, now) if recipient.user else now,
        )
        for recipient in reversed(by_address.values())
    ]
    return Delivery.objects.bulk_create(rows)


def send(delivery_id: UUID) -> None:
    """Try one delivery: claim it, talk to the provider outside any transaction, settle it."""
    if _rests(delivery_id):
        return  # the provider asked us to wait, or stopped answering: it becomes due later
    delivery = claim(delivery_id)
    if delivery is None:
        return  # sent, cancelled, not due, or taken by another worker
    started = time.monotonic()
    try:
        receipt = _hand_over(delivery)
    except ChannelError as error:
        seconds = time.monotonic() - started
        settle_failure(delivery, error)
        _mind_the_provider(delivery.channel, error, seconds)
    except Exception:
        logger.exception("channel broke", extra={"delivery": str(delivery.pk)})
        settle_failure(delivery, ChannelError("The channel failed unexpectedly; see the log."))
    else:
        # First what is known of the message: the breaker's cache may be gone, and then the message
        # would be sent once more.
        settle_success(delivery, receipt)
        breaker.note_answer(delivery.channel)


def _rests(delivery_id: UUID) -> bool:
    """Put the delivery off while its channel rests; no attempt is counted."""
    channel = Delivery.objects.filter(pk=delivery_id).values_list("channel", flat=True).first()
    left = breaker.seconds_left(channel) if channel else 0.0
    if left:
        # Spread out, so that they do not all knock in the second the rest is over.
        wait = dt.timedelta(seconds=left + secrets.randbelow(3000) / 1000)
        now = database_now()
        Delivery.objects.filter(
            OPEN, pk=delivery_id, claimed_at=None, next_retry_at__lte=now
        ).update(next_retry_at=now + wait)
    return bool(left)


def _mind_the_provider(channel: str, error: ChannelError, seconds: float) -> None:
    if error.retry_after:
        breaker.rest(channel, min(error.retry_after, MAX_RETRY_SECONDS))
    elif seconds >= SILENT_SECONDS:
        breaker.note_silence(channel)


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
    rows = Delivery.objects.filter(OPEN, pk=delivery_id, next_retry_at__lte=now)
    rows = gate.unheld(rows.filter(Q(claimed_at__isnull=True) | Q(claimed_at__lt=stale)))
    taken = rows.update(claimed_at=now, attempts=F("attempts") + 1)
    return Delivery.objects.select_related("user").get(pk=delivery_id) if taken else None


def _hand_over(delivery: Delivery) -> Receipt:
    channel, key = get_channel(delivery.channel), str(delivery.pk)
    if delivery.attempts > 1:
        # An earlier attempt may have got through and its worker died before it could say so.
        found = channel.find(to=delivery.recipient, key=key, since=delivery.created_at)
        if found:
            return found
    message = delivery.to_message()
    code = channel.new_code(message)
    if code:
        _keep_code(delivery, code, expires=channel.codes_expire)
    return channel.send(
        message,
        to=delivery.recipient,
        key=key,
        link=make_link(delivery),
        code=code,
        earlier=_earlier(delivery),
    )


def _earlier(delivery: Delivery) -> dict[str, str] | None:
    """Where the provider has the message that a reminder comes back to."""
    if delivery.kind != Delivery.Kind.REMINDER:
        return None
    found = Delivery.objects.filter(
        workflow_id=delivery.workflow_id,
        channel=delivery.channel,
        recipient=delivery.recipient,
        sent_at__isnull=False,
    )
    ids: dict[str, str] | None = (
        found.order_by("-sent_at").values_list("metadata", flat=True).first()
    )
    return ids


def _keep_code(delivery: Delivery, code: str, *, expires: bool) -> None:
    life = dt.timedelta(minutes=settings.REPLY_CODE_MINUTES)
    ends = database_now() + life if expires else None
    ReplyCode.objects.create(delivery=delivery, digest=code_digest(code), expires_at=ends)


def code_digest(code: str) -> str:
    """What is stored of a reply code: keyed, since five letters can be tried out."""
    return salted_hmac("deliveries.reply-code", code.upper(), algorithm="sha256").hexdigest()


def make_link(delivery: Delivery) -> str:
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
        **_ids(delivery, receipt),
    )
    if changed:
        _record_sent(delivery, now)
    else:
        _note_late_success(delivery, receipt, now)
    its_id = receipt.provider_ids.get("messageId", "")
    transaction.on_commit(lambda: _catch_up(delivery.channel, its_id), robust=True)


def _ids(delivery: Delivery, receipt: Receipt) -> dict[str, Any]:
    """What the provider calls the message; `messageId` is what its later posts will name."""
    return {
        "metadata": {**delivery.metadata, **receipt.provider_ids},
        "provider_id": receipt.provider_ids.get("messageId", "")[:255],
    }


def _note_late_success(delivery: Delivery, receipt: Receipt, now: dt.datetime) -> None:
    """It went out although cancelled or given up meanwhile: on record, with the ids to find it."""
    changed = Delivery.objects.filter(
        pk=delivery.pk,
        sent_at=None,
        status__in=(Delivery.Status.CANCELLED, Delivery.Status.FAILED),
    ).update(sent_at=now, claimed_at=None, **_ids(delivery, receipt))
    if changed:
        _record_sent(delivery, now, late=True)


def _record_sent(delivery: Delivery, now: dt.datetime, **extra: Any) -> None:
    if delivery.kind == Delivery.Kind.APPROVAL:
        _record(approval_sent(delivery.channel), delivery, now, **extra)


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
        _give_up(delivery, now, sentence)
    elif not changed:
        _cancelled_in_flight(delivery).update(claimed_at=None, last_error=sentence)


def _give_up(delivery: Delivery, now: dt.datetime, error: str) -> None:
    """Record the failure and turn to the person's next channel, while the answer is wanted."""
    head = events.head(delivery.workflow_id)
    asked = head.status == STILL_ASKED and head.round == delivery.round and _still_asks(delivery)
    recipient = routing.next_for(delivery) if asked and delivery.kind in ASKING else None
    told: dict[str, Any] = {}
    if recipient:
        told["next"] = {"channel": recipient.channel, "recipient": recipient.address}
    _record(EventType.DELIVERY_FAILED, delivery, now, error=error, **told)
    if recipient:
        _request_another(delivery, recipient, now)
    elif asked and delivery.kind in ASKING and not _alive(delivery):
        _record(EventType.DELIVERY_UNDELIVERABLE, delivery, now, error=error)


@transaction.atomic
def report_unreached(delivery_id: UUID) -> None:
    """Put on record that nobody has been reached for long, though it is still tried."""
    delivery = Delivery.objects.get(pk=delivery_id)
    events.lock_stream(delivery.workflow_id)
    delivery.refresh_from_db()
    head = events.head(delivery.workflow_id)
    waits = delivery.status == Delivery.Status.PENDING and _still_asks(delivery)
    if waits and head.status == STILL_ASKED and head.round == delivery.round:
        error = delivery.last_error or "The message has not gone out yet."
        kind = EventType.DELIVERY_UNDELIVERABLE
        _record(kind, delivery, database_now(), error=error, retrying=True)


def _still_asks(delivery: Delivery) -> bool:
    """Whether this copy is of use: its stage is open and its receiver has not answered."""
    return Delivery.objects.filter(pk=delivery.pk, outcome="").exists()


def _request_another(delivery: Delivery, recipient: Recipient, now: dt.datetime) -> None:
    message = delivery.to_message()
    rows = request(
        [recipient],
        message,
        workflow_id=delivery.workflow_id,
        team_id=delivery.team_id,
        round=delivery.round,
        stage=delivery.stage,
        wave=delivery.wave,
        now=now,
    )
    for row in rows:
        wake(SEND, row.pk)


def _alive(delivery: Delivery) -> bool:
    """Whether anybody whose answer is wanted has been reached, or still may be."""
    return (
        Delivery.objects.filter(
            workflow_id=delivery.workflow_id,
            round=delivery.round,
            stage=delivery.stage,
            kind__in=ASKING,
            outcome="",
        )
        .exclude(status__in=(Delivery.Status.FAILED, Delivery.Status.CANCELLED))
        .exists()
    )


def _wait(delivery: Delivery, error: ChannelError) -> dt.timedelta:
    first = settings.DELIVERY_FIRST_RETRY.get(
        delivery.channel, settings.DELIVERY_FIRST_RETRY_SECONDS
    )
    planned = backoff.delay(delivery.attempts, first=first, maximum=MAX_RETRY_SECONDS)
    asked = dt.timedelta(seconds=min(error.retry_after or 0, MAX_RETRY_SECONDS))
    return max(planned, asked)


def cancel_open(workflow_id: UUID, *, users: Collection[UUID] | None = None) -> int:
    """Nobody (of `users`) needs to be asked any more: cancel what has not gone out, count it.

    The caller holds the lock of the workflow's stream. A message that is in flight at this moment
    keeps its claim, and its worker notes on the cancelled row whether it went out.
    """
    require_transaction()
    rows = Delivery.objects.filter(OPEN, workflow_id=workflow_id, kind__in=ASKING)
    if users is not None:
        rows = rows.filter(user_id__in=users)
    return rows.update(status=Delivery.Status.CANCELLED, next_retry_at=None)


def conclude(
    workflow_id: UUID,
    *,
    outcome: str,
    now: dt.datetime,
    users: Collection[UUID] | None = None,
) -> None:
    """The question is settled (for `users`): cancel what has not gone out, rewrite what has.

    `outcome` is the sentence every copy shows from now on. The caller holds the stream's lock.
    What is in flight at this moment is rewritten as soon as it is known to be out.
    """
    rows = Delivery.objects.filter(workflow_id=workflow_id)
    if users is not None:
        rows = rows.filter(user_id__in=users)
    _conclude(rows, Value(outcome[:ERROR_LIMIT]), now)


def conclude_all(outcomes: Mapping[UUID, str], *, now: dt.datetime) -> None:
    """The same for many requests at once, each with the sentence of its own."""
    by_sentence: dict[str, list[UUID]] = {}
    for workflow_id, outcome in outcomes.items():
        by_sentence.setdefault(outcome[:ERROR_LIMIT], []).append(workflow_id)
    cases = [When(workflow_id__in=ids, then=Value(said)) for said, ids in by_sentence.items()]
    if cases:
        _conclude(Delivery.objects.filter(workflow_id__in=outcomes), Case(*cases), now)


def _conclude(rows: QuerySet[Delivery], outcome: Expression, now: dt.datetime) -> None:
    require_transaction()
    cancelled = Delivery.Status.CANCELLED
    rows = rows.filter(kind__in=ASKING).exclude(status=cancelled, claimed_at=None, sent_at=None)
    never_out = OPEN & Q(claimed_at=None, sent_at=None)
    redrawn = ~never_out & Q(channel__in=_updatable())
    # Also of those that nobody can rewrite it is known from here on that they ask no more.
    rows.update(
        status=_set("status", cancelled, where=OPEN),
        next_retry_at=_set("next_retry_at", None, where=OPEN),
        outcome=_set("outcome", outcome, where=~never_out),
        update_due_at=_set("update_due_at", now, where=redrawn),
        update_attempts=_set("update_attempts", 0, where=redrawn),
    )
    due = rows.filter(channel__in=_updatable(), update_due_at=now)
    wake_all(UPDATE, list(due.values_list("pk", flat=True)))


def _set(name: str, value: Any, *, where: Q) -> Case:
    """For one update that changes some rows in another way than others."""
    said = value if isinstance(value, Expression) else Value(value)
    field: Any = Delivery._meta.get_field(name)
    return Case(When(where, then=said), default=F(name), output_field=field)


def refresh_progress(workflow_id: UUID, *, progress: str, now: dt.datetime) -> int:
    """Let every copy that still asks tell how far it is; how many tell something new.

    What has not gone out will say it from the start; what has is drawn again, buttons and all,
    where the channel can. A mail that is out stays as it was. The caller holds the stream's lock.
    """
    require_transaction()
    rows = Delivery.objects.select_for_update(of=("self",), no_key=True).filter(
        ~Q(status=Delivery.Status.CANCELLED) | Q(sent_at__isnull=False),
        workflow_id=workflow_id,
        kind__in=ASKING,
        outcome="",
    )
    changed = []
    for row in rows.order_by("pk"):
        is_out = row.sent_at is not None
        may_be_out = is_out or row.claimed_at is not None
        if row.message.get("progress", "") == progress or (is_out and not _can_update(row)):
            continue
        row.message = {**row.message, "progress": progress}
        if may_be_out and _can_update(row):
            row.update_due_at, row.update_attempts = now, 0
            wake(UPDATE, row.pk)
        changed.append(row)
    Delivery.objects.bulk_update(changed, ["message", "update_due_at", "update_attempts"])
    return len(changed)


def _updatable() -> list[str]:
    return [name for name, channel in CHANNELS.items() if channel.can_update]


def _can_update(delivery: Delivery) -> bool:
    return delivery.channel in _updatable()


def refresh(delivery_id: UUID, *, outcome: str) -> None:
    """Somebody pressed a button that should be gone: rewrite that message now."""
    changed = Delivery.objects.filter(pk=delivery_id, sent_at__isnull=False).update(
        outcome=outcome[:ERROR_LIMIT], update_due_at=database_now(), update_attempts=0
    )
    if changed:
        wake(UPDATE, delivery_id)


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
    wake(SEND, delivery_id)


def _check_may_resend(delivery: Delivery, stream: EventStream, now: dt.datetime) -> None:
    if delivery.status not in (Delivery.Status.FAILED, Delivery.Status.PENDING):
        raise CannotResend(f"This message is {delivery.get_status_display().lower()}.")
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    if delivery.claimed_at and delivery.claimed_at >= stale:
        raise CannotResend("This message is being sent at this moment.")
    head = events.head(stream.workflow_id)
    asked = head.status == STILL_ASKED and head.round == delivery.round and not delivery.outcome
    if delivery.kind in ASKING and not asked:
        raise CannotResend("The request no longer waits for an answer to this message.")


def record_receipt(channel: str, provider_id: str, *, delivered: bool, error: str = "") -> None:
    """A provider's later word on a message. Status never moves backwards; unknown ids are fine."""
    rows = Delivery.objects.filter(channel=channel, provider_id=provider_id[:255])
    if provider_id and not rows.exists():
        early_words.keep(channel, Report(provider_id, delivered, error))
        _catch_up(channel, provider_id)  # our note may have been made in this very moment
    elif provider_id:
        _note_receipt(rows, delivered, error[:ERROR_LIMIT])


def _note_receipt(rows: QuerySet[Delivery], delivered: bool, error: str) -> None:
    if delivered:
        rows.filter(status=Delivery.Status.SENT).update(
            status=Delivery.Status.DELIVERED, delivered_at=database_now()
        )
    elif error:
        for delivery in rows.filter(status=Delivery.Status.SENT):
            _fail_after_sending(delivery, error)
    if error:  # also about what has arrived: a complaint, or a mail that was sent back later
        rows.filter(status=Delivery.Status.DELIVERED).update(last_error=error)


def _catch_up(channel: str, provider_id: str) -> None:
    """Note what the provider said before we had noted that the message is out."""
    rows = Delivery.objects.filter(channel=channel, provider_id=provider_id[:255])
    if provider_id and rows.exists():
        word = early_words.take(channel, provider_id)
        if word:
            _note_receipt(rows, word.delivered, word.error[:ERROR_LIMIT])


@transaction.atomic
def _fail_after_sending(delivery: Delivery, error: str) -> None:
    events.lock_stream(delivery.workflow_id)
    changed = Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.SENT).update(
        status=Delivery.Status.FAILED, last_error=error
    )
    if changed:
        _give_up(delivery, database_now(), error)


def _mine(delivery: Delivery) -> QuerySet[Delivery]:
    """The row, if it is still pending under this very claim (a stale worker writes nothing)."""
    return Delivery.objects.filter(OPEN, pk=delivery.pk, claimed_at=delivery.claimed_at)


def _cancelled_in_flight(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        pk=delivery.pk, status=Delivery.Status.CANCELLED, claimed_at=delivery.claimed_at
    )


def _record(type_: str, delivery: Delivery, now: dt.datetime, **extra: Any) -> None:
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
