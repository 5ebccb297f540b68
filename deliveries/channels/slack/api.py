"""Calls to Slack's Web API: one try each, bounded in time, every failure a ChannelError.

No retries here: each one is an attempt on the delivery's books. The sentence of an error is made
from Slack's error code alone: never from what was sent, where the token and the message are.
"""

import datetime as dt
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from deliveries.channels.base import ChannelError
from hitl.lib.http import moment
from hitl.lib.text import one_line

TIMEOUT = 5  # seconds to connect, and again to be answered
RETRY_AFTER = 30.0  # when Slack says "too many" without saying for how long

# What the app needs, as docs/slack-app-manifest.yaml asks for it.
SCOPES = (
    "channels:history",  # find a message whose answer was lost, in channels
    "chat:write",
    "groups:history",
    "im:history",  # the same in direct messages
    "im:write",
    "users:read",  # users:read.email is not given without it
    "users:read.email",
)

# Slack's codes for "later". Every other code is a refusal that trying again does not change.
TRANSIENT = frozenset(
    {
        "accesslimited",
        "external_channel_migrating",
        "fatal_error",  # this one and the next: some of it may have happened all the same
        "internal_error",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
SAID = {
    "account_inactive": "the app was removed from the workspace, or the account is closed",
    "channel_not_found": "there is no such conversation, or the app may not see it",
    "expired_trigger_id": "the button was pressed too long ago; press it again",
    "invalid_auth": "it does not accept SLACK_BOT_TOKEN",
    "is_archived": "the channel is archived",
    "missing_scope": "the app lacks a permission; install it again from the manifest",
    "not_in_channel": "the app is not in that channel; invite it",
    "token_revoked": "SLACK_BOT_TOKEN was revoked",
    "user_not_found": "there is no such person in the workspace",
}
_CODE = re.compile("[a-z0-9_]{1,60}")

# The SDK logs what it sends and gets; our own errors say what matters.
quiet = logging.getLogger("deliveries.channels.slack.sdk")
quiet.setLevel(logging.CRITICAL)


class Refused(ChannelError):
    """Slack's own word that it did not do it; `reason` is its error code."""

    def __init__(self, reason: str) -> None:
        sentence = f"Slack refuses: {SAID.get(reason, 'its error code tells why')} ({reason})."
        super().__init__(sentence, permanent=reason not in TRANSIENT)
        self.reason = reason


def client(*, timeout: int | None = None) -> WebClient:
    """The SDK's client with our token, without its retries. Raises ChannelError without a token."""
    if not settings.SLACK_BOT_TOKEN:
        raise ChannelError("No Slack app is configured: set SLACK_BOT_TOKEN.", permanent=True)
    return WebClient(
        token=settings.SLACK_BOT_TOKEN,
        base_url=settings.SLACK_API_URL,
        timeout=timeout or TIMEOUT,
        retry_handlers=[],
        logger=quiet,
    )


def call(method: Callable[..., Any], /, **arguments: Any) -> dict[str, Any]:
    """Slack's answer to one call. Raises ChannelError, Refused where Slack said why."""
    answer: dict[str, Any] = _try(method, arguments).data
    return answer


def part(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """An object within an answer; empty where there is none."""
    value = answer.get(name)
    return value if isinstance(value, dict) else {}


def _try(method: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    # `from None` throughout: what the SDK and urllib raise can quote headers and bodies.
    try:
        return method(**arguments)
    except SlackApiError as error:
        failure = _refused(error)
    except TimeoutError:
        failure = ChannelError("Slack did not answer in time: the message may have arrived or not.")
    except (OSError, HTTPException) as error:
        failure = _unreached(error)
    except Exception:  # whatever the SDK makes of an answer that is not Slack's
        failure = ChannelError("Slack's answer is not one of its API.")
    raise failure from None


def _unreached(error: Exception) -> ChannelError:
    """urllib wraps what went wrong before the request was out, and only that."""
    if isinstance(getattr(error, "reason", None), TimeoutError):
        return ChannelError("Slack cannot be reached: the connection timed out.")
    if hasattr(error, "reason"):
        return ChannelError("Slack cannot be reached.")
    return ChannelError("The connection to Slack broke: the message may have arrived or not.")


def _refused(error: SlackApiError) -> ChannelError:
    response = error.response
    if response.status_code == 429:
        return too_many(response.headers)
    code = response.data.get("error") if isinstance(response.data, dict) else None
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return ChannelError(f"Slack answered with HTTP status {response.status_code}.")
    if code in ("ratelimited", "rate_limited"):
        return too_many(response.headers)
    return Refused(code)


def too_many(headers: Mapping[str, Any]) -> ChannelError:
    """The error of an answer 429, with the time that Slack wants us to wait."""
    given = next((str(each) for name, each in headers.items() if name.lower() == "retry-after"), "")
    wait = float(given) if re.fullmatch("[0-9]{1,6}", given) else RETRY_AFTER
    return ChannelError("Slack asks to send less.", retry_after=wait)


def answer_to(url: str, text: str, blocks: list[dict[str, Any]]) -> None:
    """Say something through a response_url to the one who pressed. Raises ChannelError."""
    if not is_slacks(url):
        raise ChannelError("The address to answer to is not Slack's.", permanent=True)
    webhook = WebhookClient(url, timeout=TIMEOUT, retry_handlers=[], logger=quiet)
    arguments = {"text": text, "blocks": blocks, "response_type": "ephemeral"}
    response = _try(webhook.send, arguments | {"replace_original": False})
    if response.status_code == 429:
        raise too_many(response.headers)
    if response.status_code != 200:
        _gone(response.status_code)


def _gone(status: int) -> NoReturn:
    # 404 is what Slack says after five uses or half an hour.
    sentence = f"The address to answer to is used up (HTTP status {status})."
    raise ChannelError(sentence, permanent=status < 500)


def is_slacks(url: str) -> bool:
    """Whether a response_url belongs to the Slack we talk to: hooks.slack.com beside slack.com."""
    try:
        given, ours = urlsplit(url), urlsplit(settings.SLACK_API_URL)
    except ValueError:
        return False
    hosts = (ours.netloc, f"hooks.{ours.netloc}")
    is_clean = re.fullmatch("[!-~]{1,2000}", url) is not None
    return is_clean and given.scheme == ours.scheme and given.netloc in hosts


def bot() -> str:
    """The user id of our own bot, which tells our messages from what others post."""
    return _bot(settings.SLACK_BOT_TOKEN, settings.SLACK_API_URL)


@lru_cache(maxsize=8)
def _bot(token: str, url: str) -> str:
    return str(call(client().auth_test).get("user_id", ""))


@dataclass(frozen=True)
class Identity:
    """Who our token makes us; `time` is Slack's clock."""

    bot: str
    workspace: str
    scopes: list[str]
    time: dt.datetime | None


def identify() -> Identity:
    """Ask Slack about our token. Raises ChannelError."""
    answer = _try(client().auth_test, {})
    headers = {name.lower(): str(value) for name, value in answer.headers.items()}
    return Identity(
        bot=one_line(str(answer.data.get("user") or answer.data.get("user_id") or "?"), 80),
        workspace=one_line(str(answer.data.get("team") or answer.data.get("team_id") or "?"), 80),
        scopes=[s for part in headers.get("x-oauth-scopes", "").split(",") if (s := part.strip())],
        time=moment(headers.get("date", "")),
    )


def scopes() -> list[str]:
    """The scopes that Slack has given our token. Raises ChannelError."""
    return identify().scopes


def check_app_token() -> None:
    """Ask for a connection that is never opened. Raises ChannelError where we would get none."""
    call(client().apps_connections_open, app_token=settings.SLACK_APP_TOKEN)
