"""Carries out by a signed HTTP POST (Standard Webhooks signature) of exactly the approved bytes."""

import base64
import datetime as dt
import hashlib
import hmac
from typing import Any

from django.conf import settings

from hitl.lib import http, strict_json
from hitl.lib.errors import FieldError, HitlError, InvalidInput
from workflows.actions.base import Action, ActionFailed, Job

RESULT_TEXT = 4000


class HttpAction(Action):
    """`config`: `{"url": "https://…", "secret"?: "whsec_…"}`, else ACTION_SIGNING_SECRET signs.

    The body is the approved data, byte for byte. `Idempotency-Key` is the same for every attempt.
    """

    name = "http"

    def check_config(self, config: dict[str, Any]) -> None:
        url = str(config.get("url", ""))
        try:
            http.check_url(url, **_rules())
        except HitlError as error:
            raise InvalidInput(
                str(error), [FieldError("/executorConfig/url", str(error))]
            ) from None
        if not _secret(config):
            message = "Set executorConfig.secret (whsec_…) or ACTION_SIGNING_SECRET."
            raise InvalidInput(message, [FieldError("/executorConfig/secret", message)])

    def run(self, job: Job) -> Any:
        secret = _secret(job.config)
        if not secret:
            raise ActionFailed(
                "There is no signing secret for HTTP actions; set ACTION_SIGNING_SECRET.",
                permanent=True,
                may_have_happened=False,
            )
        try:
            response = http.post(
                str(job.config.get("url", "")),
                body=job.raw,
                headers=self._headers(job, secret),
                **_rules(),
            )
        except http.OutboundError as error:
            raise ActionFailed(
                str(error),
                permanent=error.kind == "blocked",
                may_have_happened=error.may_have_been_received,
            ) from error
        return _judge(response)

    def _headers(self, job: Job, secret: bytes) -> dict[str, str]:
        message_id = f"act_{job.key}_{job.attempt}"
        timestamp = str(int(dt.datetime.now(dt.UTC).timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "hitl",
            "Idempotency-Key": f'"{job.key}"',
            "X-Hitl-Workflow": job.workflow_id,
            "X-Hitl-Action": job.action_type,
            "X-Hitl-Fingerprint": job.fingerprint,
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(secret, message_id, timestamp, job.raw),
        }


def sign(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Standard Webhooks 1.0, symmetric: `v1,` + base64(HMAC-SHA256(id.timestamp.body))."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()


def _judge(response: http.Response) -> Any:
    if 200 <= response.status < 300:
        return {"status": response.status, "body": _body(response)}
    # A 4xx says the receiver understood and refused; after a 5xx nobody knows how far it came.
    raise ActionFailed(
        f"The receiver answered {response.status}.",
        permanent=response.status < 500 and response.status not in (408, 425, 429),
        may_have_happened=response.status >= 500 or response.status == 408,
    )


def _body(response: http.Response) -> Any:
    try:
        return strict_json.loads(response.body)
    except HitlError:
        return response.body[:RESULT_TEXT].decode("utf-8", "replace")


def _secret(config: dict[str, Any]) -> bytes:
    text = str(config.get("secret") or settings.ACTION_SIGNING_SECRET)
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def _rules() -> dict[str, Any]:
    return {
        "allow_http": settings.OUTBOUND_ALLOW_HTTP,
        "allow_networks": tuple(settings.OUTBOUND_ALLOW),
    }
