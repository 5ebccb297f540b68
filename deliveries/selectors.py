"""Reads of deliveries and of the links in them."""

import datetime as dt
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from deliveries.models import Delivery, DeliveryToken
from deliveries.services import token_digest


def due(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Deliveries to attempt now, oldest first; those stuck with a dead worker included."""
    stale = now - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS)
    return list(
        Delivery.objects.filter(status=Delivery.Status.PENDING, next_retry_at__lte=now)
        .filter(Q(claimed_at__isnull=True) | Q(claimed_at__lt=stale))
        .order_by("next_retry_at")
        .values_list("pk", flat=True)[:limit]
    )


def of_workflow(workflow_id: UUID) -> QuerySet[Delivery]:
    """All messages about one workflow, oldest first."""
    return Delivery.objects.filter(workflow_id=workflow_id).order_by("created_at", "pk")


def by_token(token: str) -> Delivery | None:
    """The delivery a link belongs to, or None for a token we never made."""
    found = (
        DeliveryToken.objects.select_related("delivery__user")
        .filter(digest=token_digest(token))
        .first()
    )
    return found.delivery if found else None
