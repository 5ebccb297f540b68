"""Endpoints with their secrets, and the usual steps with messages."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook

from events.models import WebhookEndpoint, WebhookMessage
from events.webhooks import endpoints, sending
from hitl.accounts.models import Team
from hitl.lib.db import database_now
from tests.receiver import Received


@dataclass
class Hook:
    """An endpoint, and the secret its owner was shown."""

    endpoint: WebhookEndpoint
    secret: str

    def verify(self, received: Received) -> dict[str, Any]:
        """What the official library reads, or its exception."""
        found: dict[str, Any] = Webhook(self.secret).verify(received.body, received.headers)
        return found

    @property
    def now(self) -> WebhookEndpoint:
        """The endpoint as it is stored at this moment."""
        return WebhookEndpoint.objects.get(pk=self.endpoint.pk)

    def messages(self, **filters: Any) -> list[WebhookMessage]:
        rows = WebhookMessage.objects.filter(endpoint=self.endpoint, **filters)
        return list(rows.order_by("event_id", "created_at"))

    def drain(self) -> int:
        return sending.drain(self.endpoint.pk)

    def time_passes(self, **ago: float) -> None:
        """Everything that waits for a time has waited long enough."""
        past = database_now() - dt.timedelta(**ago or {"seconds": 1})
        waiting = WebhookMessage.objects.filter(endpoint=self.endpoint, status="pending")
        waiting.update(next_attempt_at=past)
        WebhookMessage.objects.filter(endpoint=self.endpoint, claimed_at__isnull=False).update(
            claimed_at=past - dt.timedelta(hours=1)
        )
        WebhookEndpoint.objects.filter(pk=self.endpoint.pk).update(rests_until=None)


def make_hook(team: Team, url: str, **values: Any) -> Hook:
    issued = endpoints.create(team_id=team.pk, url=url, **values)
    return Hook(issued.endpoint, issued.secret)


def types(hook: Hook) -> list[str]:
    return [message.type for message in hook.messages()]
