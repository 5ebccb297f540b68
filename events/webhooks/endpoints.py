"""What people do with endpoints: add, change, switch on and off, rotate, try, remove.

Callers have checked who may. A secret leaves here once, when it is made.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from events.webhooks import filters, payload, sending
from events.webhooks.models import (
    DESCRIPTION_LIMIT,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from events.webhooks.wakeups import wake
from hitl.accounts.models import User
from hitl.lib.db import database_now
from hitl.lib.errors import Conflict, FieldError, InvalidInput, NotFound
from hitl.lib.http import check_url
from hitl.lib.sealing import seal
from hitl.lib.webhook_signing import new_private_key, new_secret, public_key

V1, V1A = "v1", "v1a"
MAX_ENDPOINTS = 50  # a team
MAX_OVERLAP = dt.timedelta(days=7)
MAX_LIVE_SECRETS = 5
NO_ENDPOINT = "There is no such webhook endpoint."
CHANGEABLE = ("url", "description", "events", "body_format", "is_active")


class EndpointOff(Conflict):
    """Nothing is sent to an endpoint that is switched off."""

    code = "webhook-off"
    title = "The webhook endpoint is switched off"


@dataclass(frozen=True)
class Issued:
    """An endpoint with the secret that was just made for it; of Ed25519, the public key."""

    endpoint: WebhookEndpoint
    secret: str


@transaction.atomic
def create(
    *,
    team_id: UUID,
    url: str,
    events: Sequence[str] = (),
    description: str = "",
    body_format: str = WebhookEndpoint.Format.STANDARD,
    signature: str = V1,
    created_by: User | None = None,
) -> Issued:
    """Add an endpoint. Raises InvalidInput for an address or a filter that cannot work."""
    if WebhookEndpoint.objects.filter(team_id=team_id).count() >= MAX_ENDPOINTS:
        raise InvalidInput(f"A team has at most {MAX_ENDPOINTS} webhook endpoints.")
    endpoint = WebhookEndpoint.objects.create(
        team_id=team_id,
        url=_url(url),
        events=filters.check(events),
        description=_description(description),
        body_format=_format(body_format),
        created_by=created_by,
    )
    return Issued(endpoint, _issue(endpoint, signature))


@transaction.atomic
def change(endpoint_id: UUID, changes: Mapping[str, Any]) -> WebhookEndpoint:
    """Change what is named of CHANGEABLE. Switched off, what waits is parked; it may be replayed.

    Raises NotFound and InvalidInput.
    """
    endpoint = lock(endpoint_id)
    checks = {
        "url": _url,
        "events": filters.check,
        "description": _description,
        "body_format": _format,
    }
    for name, check in checks.items():
        if name in changes:
            setattr(endpoint, name, check(changes[name]))
    endpoint.save(update_fields=[*checks, "updated_at"])
    if changes.get("is_active") is True:
        _switch_on(endpoint)
    elif changes.get("is_active") is False:
        sending.switch_off(endpoint, WebhookEndpoint.Disabled.BY_HAND, database_now())
    return endpoint


def _switch_on(endpoint: WebhookEndpoint) -> None:
    """A clean slate: earlier failures do not count against it. What was parked stays parked."""
    if endpoint.is_active:
        return
    endpoint.is_active, endpoint.disabled_reason, endpoint.disabled_at = True, "", None
    endpoint.failures, endpoint.first_failure_at, endpoint.rests_until = 0, None, None
    endpoint.notice_due_at = None
    endpoint.save()


@transaction.atomic
def remove(endpoint_id: UUID) -> None:
    """Delete the endpoint with its secrets and its log. Raises NotFound."""
    lock(endpoint_id).delete()


@transaction.atomic
def rotate(
    endpoint_id: UUID, *, overlap: dt.timedelta = dt.timedelta(days=1), signature: str = ""
) -> Issued:
    """Make a new secret. The old one signs beside it for `overlap`, then no more.

    `signature` changes the kind: v1 (HMAC) or v1a (Ed25519). Raises NotFound, and InvalidInput
    for an overlap that is negative or longer than a week.
    """
    if not dt.timedelta(0) <= overlap <= MAX_OVERLAP:
        message = f"The overlap is at most {MAX_OVERLAP.days * 24} hours."
        raise InvalidInput(message, [FieldError("/overlapHours", message)])
    endpoint = lock(endpoint_id)
    now = database_now()
    old = endpoint.secrets.get(expires_at=None)
    old.expires_at = now + overlap
    old.save(update_fields=["expires_at"])
    _forget_old(endpoint, now)
    return Issued(endpoint, _issue(endpoint, signature or signature_of(old)))


def _forget_old(endpoint: WebhookEndpoint, now: dt.datetime) -> None:
    """Secrets whose time is over, and the oldest ones where somebody rotates in a hurry."""
    endpoint.secrets.filter(expires_at__lte=now).delete()
    kept = endpoint.secrets.order_by("-pk").values_list("pk", flat=True)[: MAX_LIVE_SECRETS - 1]
    endpoint.secrets.exclude(pk__in=list(kept)).delete()


def signature_of(secret: WebhookSecret) -> str:
    """The kind of signature that a secret makes."""
    return V1A if secret.public_key else V1


def _issue(endpoint: WebhookEndpoint, signature: str) -> str:
    if signature not in (V1, V1A):
        message = "Choose v1 (HMAC-SHA256) or v1a (Ed25519)."
        raise InvalidInput(message, [FieldError("/signature", message)])
    private = new_private_key() if signature == V1A else new_secret()
    public = public_key(private) if signature == V1A else ""
    endpoint.secrets.create(sealed=seal(private), public_key=public)
    # A receiver needs the public half only; the private one never leaves the server.
    return public or private


@transaction.atomic
def send_test(endpoint_id: UUID) -> WebhookMessage:
    """Put a `webhook.test` on its way. Raises NotFound, and EndpointOff."""
    endpoint = lock(endpoint_id)
    check_on(endpoint)
    now = database_now()
    message = WebhookMessage(
        endpoint=endpoint,
        team_id=endpoint.team_id,
        type=filters.TEST,
        body_format=endpoint.body_format,
        next_attempt_at=now,
    )
    message.body = payload.write(message, payload.of_test(endpoint), now)
    message.save(force_insert=True)
    wake(endpoint.pk)
    return message


def lock(endpoint_id: UUID) -> WebhookEndpoint:
    """The endpoint, locked. Raises NotFound. Locks go endpoint, then message."""
    rows = WebhookEndpoint.objects.select_for_update(no_key=True)
    endpoint = rows.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound(NO_ENDPOINT)
    return endpoint


def check_on(endpoint: WebhookEndpoint) -> None:
    """Raise EndpointOff where nothing would be sent."""
    if not endpoint.is_active:
        raise EndpointOff("Switch the endpoint on first.")


def _url(url: str) -> str:
    try:
        check_url(
            url,
            allow_http=settings.OUTBOUND_ALLOW_HTTP,
            allow_networks=tuple(settings.OUTBOUND_ALLOW),
        )
    except InvalidInput as error:
        raise InvalidInput(str(error), [FieldError("/url", str(error), "url")]) from None
    return url


def _description(text: str) -> str:
    if len(text) > DESCRIPTION_LIMIT:
        message = f"Send at most {DESCRIPTION_LIMIT} characters."
        raise InvalidInput(message, [FieldError("/description", message, "max_length")])
    return text.strip()


def _format(name: str) -> str:
    if name not in WebhookEndpoint.Format.values:
        message = f"Choose one of: {', '.join(WebhookEndpoint.Format.values)}."
        raise InvalidInput(message, [FieldError("/format", message, "invalid_choice")])
    return name
