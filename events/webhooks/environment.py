"""The endpoint that LLM_BACKEND_HOST names: the agents' platform, told the outcomes of all teams.

The row follows the environment: changed there, it changes here; emptied there, it is switched off.
"""

from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction

from events.types import EventType
from events.webhooks.models import WebhookEndpoint, WebhookSecret
from hitl.lib.db import database_now
from hitl.lib.errors import InvalidInput
from hitl.lib.http import check_url
from hitl.lib.sealing import Unreadable, seal, unseal
from hitl.lib.webhook_signing import is_secret, new_secret

ENDPOINT_ID = UUID("6d1d2f1c-5a0e-5f0b-9b7b-0f6f1e0c7a11")
OUTCOMES = [
    EventType.HUMAN_RESPONDED, EventType.WORKFLOW_COMPLETED, EventType.WORKFLOW_FAILED,
    EventType.WORKFLOW_UNKNOWN, EventType.WORKFLOW_REJECTED, EventType.WORKFLOW_TIMEOUT,
    EventType.WORKFLOW_CANCELLED, EventType.WORKFLOW_ROLLED_BACK,
]  # fmt: skip


def url() -> str:
    """The endpoint's URL, "" where none is named; a bare host is reached by https."""
    named = str(settings.LLM_BACKEND_HOST).strip()
    return named if not named or "://" in named else f"https://{named}"


def hosts() -> tuple[str, ...]:
    """What the operator permits by naming it: this host on this port, private or not."""
    target = urlsplit(url())
    return (target.netloc, target.hostname or "") if target.netloc else ()


def check() -> str:
    """What is wrong with the variables, as a sentence; "" where nothing is."""
    try:
        if url():
            check_url(url(), allow_http=True, allow_hosts=hosts())
    except InvalidInput as error:
        return f"LLM_BACKEND_HOST is no address to post to: {error}"
    if settings.LLM_BACKEND_SECRET and not is_secret(settings.LLM_BACKEND_SECRET):
        return "LLM_BACKEND_SECRET is not whsec_ and 24 to 64 bytes in base64."
    return ""


@transaction.atomic
def sync() -> WebhookEndpoint | None:
    """Bring the row into line with the environment; doing it again changes nothing.

    What switched itself off stays off until the address changes or somebody switches it on.
    """
    found = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=ENDPOINT_ID).first()
    named = "" if check() else url()
    if not named:
        _off(found)
        return None
    endpoint = found or WebhookEndpoint(pk=ENDPOINT_ID, description="LLM_BACKEND_HOST")
    by_hand = endpoint.disabled_reason == WebhookEndpoint.Disabled.BY_HAND
    if endpoint.url != named or by_hand or endpoint.events != [str(each) for each in OUTCOMES]:
        endpoint.url, endpoint.events = named, [str(each) for each in OUTCOMES]
        endpoint.is_active, endpoint.disabled_reason, endpoint.disabled_at = True, "", None
        endpoint.failures, endpoint.first_failure_at, endpoint.rests_until = 0, None, None
        endpoint.save()
    _secret(endpoint)
    return endpoint


def secret() -> str:
    """What signs at present. Raises Unreadable; "" where there is no such endpoint."""
    row = WebhookSecret.objects.filter(endpoint_id=ENDPOINT_ID, expires_at=None).first()
    return unseal(row.sealed) if row else ""


def _off(endpoint: WebhookEndpoint | None) -> None:
    if endpoint is not None and endpoint.is_active:
        endpoint.is_active, endpoint.disabled_at = False, database_now()
        endpoint.disabled_reason = WebhookEndpoint.Disabled.BY_HAND
        endpoint.save()


def _secret(endpoint: WebhookEndpoint) -> None:
    """The one of the environment, else one that is made once."""
    wanted = settings.LLM_BACKEND_SECRET
    row = endpoint.secrets.filter(expires_at=None).first()
    if row is None:
        endpoint.secrets.create(sealed=seal(wanted or new_secret()))
    elif wanted and _opened(row) != wanted:
        row.sealed = seal(wanted)
        row.save(update_fields=["sealed"])


def _opened(row: WebhookSecret) -> str:
    try:
        return unseal(row.sealed)
    except Unreadable:
        return ""
