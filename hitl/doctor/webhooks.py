"""Where webhooks go, whether somebody listens there, and whether their secrets can be opened."""

from django.conf import settings

from events.models import WebhookEndpoint, WebhookSecret
from events.webhooks import environment
from events.webhooks.payload import host
from events.webhooks.selectors import BY_ITSELF
from hitl.doctor.findings import FAIL, OFF, OK, WARN, Finding
from hitl.lib.sealing import Unreadable, unseal

TOPIC = "webhooks"


def look() -> list[Finding]:
    """The environment's endpoint, the others, and the secrets of all."""
    return [*_environment(), *_endpoints(), *_secrets()]


def _environment() -> list[Finding]:
    problem = environment.check()
    if problem:
        remedy = "Mend it in the environment or .env, and start the server again."
        return [Finding(TOPIC, FAIL, problem, "Outcomes are reported to nobody.", remedy)]
    if not environment.url():
        return [Finding(TOPIC, OFF, "LLM_BACKEND_HOST is not set: outcomes are not reported.")]
    says = f"Outcomes are reported to {environment.url()}"
    if settings.LLM_BACKEND_SECRET:
        return [Finding(TOPIC, OK, f"{says}, signed with LLM_BACKEND_SECRET.")]
    try:
        secret = environment.secret()
    except Unreadable:
        return []  # told with the other secrets
    if not secret:
        why = "Its row is made by the worker within a minute of its start."
        return [Finding(TOPIC, WARN, f"{says} from the worker's start on.", why)]
    return [Finding(TOPIC, OK, f"{says}, signed with {secret}")]


def _endpoints() -> list[Finding]:
    rows = WebhookEndpoint.objects.filter(disabled_reason__in=BY_ITSELF)
    remedy = "Mend the receiver, switch the endpoint on again, and replay the time since then."
    return [
        Finding(
            TOPIC, WARN, f"{host(each.url)} is switched off.",
            f"{each.get_disabled_reason_display()}.", remedy,
        )
        for each in rows.order_by("disabled_at")[:10]
    ]  # fmt: skip


def _secrets() -> list[Finding]:
    lost = 0
    for sealed in WebhookSecret.objects.values_list("sealed", flat=True):
        try:
            unseal(sealed)
        except Unreadable:
            lost += 1
    if not lost:
        return []
    says = f"Secrets that no key opens: {lost}."
    why = "They were sealed with a key that is gone; nothing can be signed with them."
    remedy = "Put the old key (or the old SECRET_KEY) back at the end of ENCRYPTION_KEYS."
    return [Finding(TOPIC, FAIL, says, why, remedy)]
