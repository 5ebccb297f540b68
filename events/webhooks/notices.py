"""Tells the owners that an endpoint switched itself off: by mail, beside the banner they see.

Who is told manages the team; for the environment's endpoint, the administrators.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q
from django.urls import reverse

from events.webhooks.models import WebhookEndpoint
from events.webhooks.payload import host, instant
from hitl.accounts.models import Role, User
from hitl.lib.db import database_now
from hitl.lib.urls import absolute

logger = logging.getLogger(__name__)


def due(*, limit: int) -> list[UUID]:
    """Endpoints whose owners have not been told yet."""
    rows = WebhookEndpoint.objects.filter(notice_due_at__lte=database_now())
    return list(rows.order_by("notice_due_at").values_list("pk", flat=True)[:limit])


def send(endpoint_id: UUID) -> None:
    """Write to the owners and note that it is done. A worker that dies between writes twice.

    What a mail server refuses raises; the sweep comes back.
    """
    endpoint = WebhookEndpoint.objects.select_related("team").filter(pk=endpoint_id).first()
    if endpoint is None or endpoint.notice_due_at is None:
        return
    for address in owners(endpoint):
        _mail(endpoint, address).send()
    WebhookEndpoint.objects.filter(pk=endpoint_id, notice_due_at=endpoint.notice_due_at).update(
        notice_due_at=None
    )


def owners(endpoint: WebhookEndpoint) -> Iterable[str]:
    """Addresses of the people who can do something about it."""
    who = (
        Q(memberships__team=endpoint.team_id, memberships__role=Role.MANAGER)
        if endpoint.team_id
        else Q(is_superuser=True)
    )
    rows = User.objects.filter(who, is_active=True).order_by("email")
    return list(rows.values_list("email", flat=True).distinct())


def _mail(endpoint: WebhookEndpoint, address: str) -> EmailMessage:
    since = instant(endpoint.first_failure_at) if endpoint.first_failure_at else "now"
    why = {
        WebhookEndpoint.Disabled.GONE: "It answered 410 Gone: it does not want any more.",
        WebhookEndpoint.Disabled.FAILING: f"Nothing has arrived there since {since}.",
    }[WebhookEndpoint.Disabled(endpoint.disabled_reason)]
    remedy = (
        "What waited is parked. Mend the receiver, switch the endpoint on again and replay the\n"
        f"time since then:\n\n{absolute(_page(endpoint))}\n"
    )
    return EmailMessage(
        subject=f"Webhook switched off: {host(endpoint.url)}",
        body=f"hitl no longer posts to {endpoint.url}\n\n{why}\n\n{remedy}",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[address],
        headers={"Auto-Submitted": "auto-generated"},
    )


def _page(endpoint: WebhookEndpoint) -> str:
    if endpoint.is_from_environment:
        return reverse("admin:events_webhookendpoint_change", args=[endpoint.pk])
    return reverse("webhook", args=[endpoint.pk])
