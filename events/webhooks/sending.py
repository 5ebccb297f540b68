"""Claim a due message, post it outside any transaction, settle it.

At least once: a worker that dies between the post and its note leaves a claim that lapses, and the
message is sent again under the same `webhook-id`. Locks go endpoint, then message. An endpoint has
few messages in flight at once, and a single one while it fails: a slow one delays only itself.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from events.restores import gate
from events.webhooks import environment, payload, schedule
from events.webhooks.models import ERROR_LIMIT, WebhookAttempt, WebhookEndpoint, WebhookMessage
from events.webhooks.wakeups import ring
from hitl.lib import http
from hitl.lib.db import database_now
from hitl.lib.sealing import Unreadable, unseal
from hitl.lib.webhook_signing import sign

logger = logging.getLogger(__name__)

PENDING = WebhookMessage.Status.PENDING
ANSWER_READ = 65_536  # bytes read of an answer
ANSWER_KEPT = 4_096  # characters kept of it
DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Claimed:
    """A message in this worker's hands, and the attempt that it makes."""

    message: WebhookMessage
    endpoint: WebhookEndpoint
    number: int
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What came of a post. `status` is None where nobody answered."""

    status: int | None = None
    answer: str = ""
    error: str = ""
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def drain(endpoint_id: UUID, *, release: Callable[[], None] = lambda: None) -> int:
    """Send what is due for one endpoint, one after the other; returns how many were tried.

    `release` is called before each post: a receiver's slowness must not keep a connection to the
    database. After DRAIN_SECONDS another worker is asked to go on, so that all get their turn.
    """
    tried, until = 0, time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        claimed = claim(endpoint_id)
        if claimed is None:
            return tried
        release()
        send(claimed)
        tried += 1
    ring(endpoint_id)
    return tried


def send(claimed: Claimed) -> None:
    """One attempt with a claimed message, and its note."""
    try:
        result = post(claimed)
    except Exception:
        logger.exception("webhook broke", extra={"webhook": claimed.message.webhook_id})
        result = Result(error="The message could not be sent; the server's log says why.")
    settle(claimed, result)


# --- Claim ----------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def claim(endpoint_id: UUID) -> Claimed | None:
    """The endpoint's next due message for one attempt, or None. Refuses to run in a transaction.

    None too while the endpoint is off, rests, or has as many in flight as it may have. A claim
    whose worker died is taken over after WEBHOOK_CLAIM_SECONDS.
    """
    endpoint = _locked(endpoint_id)
    now = database_now()
    if endpoint is None or not endpoint.is_active:
        return None
    if endpoint.rests_until is not None and endpoint.rests_until > now:
        return None
    stale = now - dt.timedelta(seconds=settings.WEBHOOK_CLAIM_SECONDS)
    in_flight = endpoint.messages.filter(claimed_at__gte=stale).count()
    if in_flight >= (1 if endpoint.failures else settings.WEBHOOK_IN_FLIGHT):
        return None
    message = due(now).filter(endpoint=endpoint).order_by("next_attempt_at").first()
    if message is None or _has_killed(message):
        return None
    return _take(message, endpoint, now)


def _has_killed(message: WebhookMessage) -> bool:
    """Whether its last try took the worker with it: that must not go on for ever."""
    if message.tries < schedule.MAX_TRIES:
        return False
    message.status, message.next_attempt_at = WebhookMessage.Status.FAILED, None
    message.claimed_at = None
    message.last_error = "The worker died while sending; the last try is over."
    message.save(update_fields=["status", "next_attempt_at", "claimed_at", "last_error"])
    return True


def due(now: dt.datetime) -> QuerySet[WebhookMessage]:
    """Messages to be sent now, whatever their endpoints; none that a restore holds back."""
    stale = now - dt.timedelta(seconds=settings.WEBHOOK_CLAIM_SECONDS)
    rows = WebhookMessage.objects.filter(
        Q(claimed_at__isnull=True) | Q(claimed_at__lt=stale),
        status=PENDING,
        next_attempt_at__lte=now,
    )
    return gate.unheld(rows, "event__workflow_id")


def _locked(endpoint_id: UUID) -> WebhookEndpoint | None:
    rows = WebhookEndpoint.objects.select_for_update(no_key=True)
    return rows.filter(pk=endpoint_id).first()


def _take(message: WebhookMessage, endpoint: WebhookEndpoint, now: dt.datetime) -> Claimed:
    message.claimed_at, message.attempts = now, message.attempts + 1
    message.save(update_fields=["claimed_at", "attempts"])
    WebhookAttempt.objects.create(
        message=message, number=message.attempts, url=endpoint.url, started_at=now
    )
    good = endpoint.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=now))
    return Claimed(message, endpoint, message.attempts, tuple(each.sealed for each in good))


# --- Post -----------------------------------------------------------------------------------------


def post(claimed: Claimed) -> Result:
    """Sign and post once. Any answer but 2xx is a failure, redirects too; none is followed."""
    body = claimed.message.body.encode()
    try:
        headers = _headers(claimed, body, int(time.time()))
    except Unreadable as error:
        return Result(error=f"{error}; rotate the secret, or bring the key back.")
    try:
        response = http.post(
            claimed.endpoint.url,
            body=body,
            headers=headers,
            timeout_total=settings.WEBHOOK_TIMEOUT_SECONDS,
            max_response=ANSWER_READ,
            **rules(claimed.endpoint.is_from_environment),
        )
    except http.OutboundError as error:
        return Result(error=str(error))
    return Result(
        status=response.status,
        answer=_text(response),
        error="" if response.is_success else _refusal(response.status),
        retry_after=response.headers.get("retry-after"),
    )


def rules(is_from_environment: bool) -> http.Rules:
    """Where webhooks may go: as HTTP actions, and what the operator named by LLM_BACKEND_HOST."""
    found: http.Rules = {
        "allow_http": settings.OUTBOUND_ALLOW_HTTP,
        "allow_networks": tuple(settings.OUTBOUND_ALLOW),
    }
    if is_from_environment:
        found["allow_http"] = True
        found["allow_hosts"] = environment.hosts()
    return found


def _headers(claimed: Claimed, body: bytes, timestamp: int) -> dict[str, str]:
    name = claimed.message.webhook_id
    signatures = [sign(unseal(each), name, timestamp, body) for each in claimed.secrets]
    return {
        "Content-Type": payload.CONTENT_TYPES[claimed.message.body_format],
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _text(response: http.Response) -> str:
    # PostgreSQL takes no NUL in a text.
    text = response.body.decode("utf-8", "replace").replace("\x00", "\ufffd")
    return text[:ANSWER_KEPT]


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"The endpoint answered {status}: redirects are not followed. Use the final address."
    return f"The endpoint answered {status}."


# --- Settle ---------------------------------------------------------------------------------------


def settle(claimed: Claimed, result: Result) -> None:
    """Note what came of it, on the attempt, the message and the endpoint."""
    if result.is_success:
        settle_success(claimed, result)
    else:
        settle_failure(claimed, result)


@transaction.atomic
def settle_success(claimed: Claimed, result: Result) -> None:
    """It arrived. That counts whoever reports it, also a worker that was given up for dead."""
    if claimed.endpoint.failures:
        _calm_down(claimed.endpoint.pk)
    now = timezone.now()  # for people: nothing falls due by it
    _note(claimed, result, now)
    WebhookMessage.objects.filter(pk=claimed.message.pk).exclude(
        status=WebhookMessage.Status.DELIVERED
    ).update(
        status=WebhookMessage.Status.DELIVERED,
        claimed_at=None,
        next_attempt_at=None,
        delivered_at=now,
        last_error="",
    )


def _calm_down(endpoint_id: UUID) -> None:
    """The run of failures that was there at the claim is over."""
    WebhookEndpoint.objects.filter(pk=endpoint_id, failures__gt=0).update(
        failures=0, first_failure_at=None, rests_until=None
    )


@transaction.atomic
def settle_failure(claimed: Claimed, result: Result) -> None:
    """It did not arrive: set the next try, or give it up; and mind how the endpoint does."""
    endpoint = _locked(claimed.endpoint.pk)
    if endpoint is None:
        return  # deleted meanwhile, with its messages
    now = database_now()
    _note(claimed, result, now)
    error = result.error[:ERROR_LIMIT]
    if result.status == schedule.GONE:
        wait = None
    else:
        wait = schedule.wait(claimed.message.tries, retry_after=result.retry_after, now=now)
    changes: dict[str, Any] = {"claimed_at": None, "last_error": error}
    if wait is None:
        changes |= {"status": WebhookMessage.Status.FAILED, "next_attempt_at": None}
    else:
        changes["next_attempt_at"] = now + wait
    if _mine(claimed).update(**changes):
        _mind(endpoint, result, now)
    else:
        _released(claimed).update(claimed_at=None, last_error=error)


def _mind(endpoint: WebhookEndpoint, result: Result, now: dt.datetime) -> None:
    """Count the failure, let the endpoint rest, switch it off where it is gone or hopeless."""
    endpoint.failures += 1
    endpoint.first_failure_at = endpoint.first_failure_at or now
    rest = schedule.rest(
        endpoint.failures, status=result.status, retry_after=result.retry_after, now=now
    )
    endpoint.rests_until = now + rest if rest else None
    endpoint.save(update_fields=["failures", "first_failure_at", "rests_until"])
    hopeless = now - endpoint.first_failure_at >= dt.timedelta(hours=settings.WEBHOOK_DISABLE_HOURS)
    if result.status == schedule.GONE:
        switch_off(endpoint, WebhookEndpoint.Disabled.GONE, now)
    elif hopeless:
        switch_off(endpoint, WebhookEndpoint.Disabled.FAILING, now)


def switch_off(
    endpoint: WebhookEndpoint, reason: WebhookEndpoint.Disabled, now: dt.datetime
) -> None:
    """Send nothing more, park what waits, and owe the owners a notice unless one of them did it.

    The caller holds the endpoint's lock. What is parked can be replayed.
    """
    if not endpoint.is_active:
        return
    endpoint.is_active, endpoint.disabled_reason, endpoint.disabled_at = False, reason, now
    by_hand = reason == WebhookEndpoint.Disabled.BY_HAND
    endpoint.notice_due_at = None if by_hand else now
    endpoint.save(
        update_fields=["is_active", "disabled_reason", "disabled_at", "notice_due_at", "updated_at"]
    )
    endpoint.messages.filter(status=PENDING).update(
        status=WebhookMessage.Status.CANCELLED, next_attempt_at=None
    )
    logger.warning("webhook endpoint off", extra={"endpoint": str(endpoint.pk), "why": reason})


def _note(claimed: Claimed, result: Result, now: dt.datetime) -> None:
    WebhookAttempt.objects.filter(message=claimed.message, number=claimed.number).update(
        finished_at=now,
        status_code=result.status,
        answer=result.answer,
        error=result.error[:ERROR_LIMIT],
    )


def _mine(claimed: Claimed) -> QuerySet[WebhookMessage]:
    """The row, if it is still pending under this very claim (a stale worker writes nothing)."""
    return WebhookMessage.objects.filter(
        pk=claimed.message.pk, status=PENDING, claimed_at=claimed.message.claimed_at
    )


def _released(claimed: Claimed) -> QuerySet[WebhookMessage]:
    """The row, where it was cancelled while it was in our hands."""
    return WebhookMessage.objects.filter(
        pk=claimed.message.pk,
        status=WebhookMessage.Status.CANCELLED,
        claimed_at=claimed.message.claimed_at,
    )
