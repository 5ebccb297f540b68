"""Reads of deliveries and of the links in them."""

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from deliveries.models import Delivery, DeliveryToken, ReplyCode
from deliveries.services import ASKING, code_digest, token_digest
from events.models import Event
from events.restores import gate
from events.types import EventType
from hitl.lib.db import database_now

# Whoever has been tried for so long without success counts as not reached; a look each minute makes
# that an alarm within five.
PATIENCE = dt.timedelta(minutes=4)


def due(now: dt.datetime, *, limit: int, without: Collection[str] = ()) -> list[UUID]:
    """Deliveries to attempt now, oldest first; those stuck with a dead worker included.

    `without` names channels that are left alone for now.
    """
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    rows = (
        Delivery.objects.filter(status=Delivery.Status.PENDING, next_retry_at__lte=now)
        .filter(Q(claimed_at__isnull=True) | Q(claimed_at__lt=stale))
        .exclude(channel__in=without)
        .order_by("next_retry_at")
    )
    return list(gate.unheld(rows).values_list("pk", flat=True)[:limit])


def updates_due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Sent messages that should tell the outcome by now, oldest first."""
    rows = gate.unheld(Delivery.objects.filter(update_due_at__lte=now))
    return list(rows.order_by("update_due_at").values_list("pk", flat=True)[:limit])


def of_workflow(workflow_id: UUID) -> QuerySet[Delivery]:
    """All messages about one workflow, oldest first."""
    return Delivery.objects.filter(workflow_id=workflow_id).order_by("created_at", "pk")


def reaches_nobody() -> Q:
    """Of requests (any rows with their `pk` and `round`), those whose question has reached nobody,
    nor soon will: a condition, so that a list costs one query.

    Only copies that still ask count: whoever was reached in a closed stage, or has answered, cannot
    help any more. `is_lost` says the same of rows at hand.
    """
    same = {"workflow_id": OuterRef("pk"), "round": OuterRef("round")}
    copies = Delivery.objects.filter(kind__in=ASKING, outcome="", **same)
    # By our clock: this is for lists that are looked at, where the database's costs a query.
    late = Q(status=Delivery.Status.PENDING, created_at__lte=timezone.now() - PATIENCE)
    failed = Q(status=Delivery.Status.FAILED) | late
    hopeful = copies.exclude(failed | Q(status=Delivery.Status.CANCELLED))
    return Q(Exists(copies.filter(failed))) & ~Q(Exists(hopeful))


def unreached(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Of each open question that has reached nobody for long, and was not reported, one copy."""
    sent = (Delivery.Status.SENT, Delivery.Status.DELIVERED)
    same = {name: OuterRef(name) for name in ("workflow_id", "round", "stage")}
    reached = Delivery.objects.filter(kind__in=ASKING, outcome="", status__in=sent, **same)
    reported = Event.objects.filter(
        workflow_id=OuterRef("workflow_id"),
        type=EventType.DELIVERY_UNDELIVERABLE,
        timestamp__gte=OuterRef("created_at"),
    )
    rows = Delivery.objects.filter(
        ~Exists(reached),
        ~Exists(reported),
        status=Delivery.Status.PENDING,
        kind__in=ASKING,
        outcome="",
        created_at__lte=now - PATIENCE,
    )
    late = gate.unheld(rows).order_by("-created_at")[:limit]
    first = {row.workflow_id: row.pk for row in late}
    return list(first.values())


def still_asks(delivery: Delivery, round_: int) -> bool:
    """Whether this copy asks for an answer that is still wanted, in this round."""
    return delivery.round == round_ and delivery.kind in ASKING and not delivery.outcome


def is_lost(copies: Collection[Delivery], now: dt.datetime) -> bool:
    """Whether these copies have reached nobody: given up, or tried for long."""
    statuses = {
        Delivery.Status.FAILED
        if copy.status == Delivery.Status.PENDING and copy.created_at <= now - PATIENCE
        else copy.status
        for copy in copies
    }
    given_up = {Delivery.Status.FAILED, Delivery.Status.CANCELLED}
    return Delivery.Status.FAILED in statuses and statuses <= given_up


def failed(workflow_id: UUID, round_: int) -> list[UUID]:
    """The messages of this round that have failed, of those that still ask."""
    return list(
        Delivery.objects.filter(
            workflow_id=workflow_id, round=round_, status=Delivery.Status.FAILED, outcome=""
        ).values_list("pk", flat=True)
    )


def get(delivery_id: UUID) -> Delivery | None:
    """One delivery with its receiver and team."""
    return Delivery.objects.select_related("user", "team").filter(pk=delivery_id).first()


def by_code(channel: str, address: str, code: str) -> Delivery | None:
    """The message to this address that carried this code, while the code is good."""
    found = (
        ReplyCode.objects.select_related("delivery__user", "delivery__team")
        .filter(
            digest=code_digest(code),
            expires_at__gt=database_now(),
            delivery__channel=channel,
            delivery__recipient=address,
        )
        .order_by("-pk")
        .first()
    )
    return found.delivery if found else None


def by_reply_address(channel: str, token: str) -> ReplyCode | None:
    """The code in the address of an answer, with the message it belongs to."""
    rows = ReplyCode.objects.select_related("delivery__user", "delivery__team")
    found = rows.filter(digest=code_digest(token), expires_at=None, delivery__channel=channel)
    return found.first()


def link(token: str) -> DeliveryToken | None:
    """The link a token opens, or None for one we never made."""
    return _links().filter(digest=token_digest(token)).first()


def link_by_id(link_id: int, *, delivery_id: UUID) -> DeliveryToken | None:
    """The same link once its token has been left behind; None where the two do not belong."""
    return _links().filter(pk=link_id, delivery_id=delivery_id).first()


def _links() -> QuerySet[DeliveryToken]:
    return DeliveryToken.objects.select_related("delivery__user", "delivery__team")
