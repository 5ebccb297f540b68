"""A mail provider's HTTP API through django-anymail: its errors, and what it posts to us.

What it posts counts only with the basic-auth secret, and with the provider's own signature where
django-anymail can check one. Without the secret there is no door at all.
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailError,
    AnymailRecipientsRefused,
    AnymailWebhookValidationFailure,
)
from django.conf import settings
from django.core.mail import get_connection
from django.http import HttpRequest, UnreadablePostError
from django.utils import timezone
from django.utils.module_loading import import_string

from deliveries.channels.base import ChannelError, Forged

logger = logging.getLogger(__name__)

# What a provider calls itself in django-anymail, and what it can post.
VIEWS = {
    "brevo": "Brevo",
    "mailersend": "MailerSend",
    "mailgun": "Mailgun",
    "mailjet": "Mailjet",
    "mailtrap": "Mailtrap",
    "mandrill": "Mandrill",
    "postal": "Postal",
    "postmark": "Postmark",
    "resend": "Resend",
    "sendgrid": "SendGrid",
    "sparkpost": "SparkPost",
    "unisender_go": "UnisenderGo",
}
# These post the whole mail. The others post an address to fetch it from, within our answer.
POST_MAILS = frozenset(
    {"mailersend", "mailgun", "mailjet", "mandrill", "postal", "postmark", "sendgrid", "sparkpost"}
)
SECRET = re.compile(r"[^:]+:.+")
TRACKING, INBOUND = "tracking", "inbound"
BODY_LIMIT = 10 * 1024 * 1024  # mails bring attachments, which nobody reads here
TRANSIENT = (401, 403, 408, 409, 425, 429)


def takes_posts() -> bool:
    """Whether the configured provider may post at all: it does so with a secret of ours."""
    secrets = settings.ANYMAIL.get("WEBHOOK_SECRET") or [""]
    return settings.EMAIL_PROVIDER in VIEWS and all(map(SECRET.fullmatch, secrets))


def takes_replies() -> bool:
    """Whether mails to REPLY_ADDRESS reach us."""
    return bool(settings.REPLY_ADDRESS) and takes_posts() and settings.EMAIL_PROVIDER in POST_MAILS


def missing() -> list[str]:
    """Settings that the provider cannot do without, by django-anymail's names."""
    try:
        get_connection()
        if takes_posts():
            import_string(_view_path(TRACKING))()
        if takes_replies():
            import_string(_view_path(INBOUND))()
    except AnymailConfigurationError as error:
        return re.findall("ANYMAIL_[A-Z_]+", str(error))[:1]
    return []


# --- What it answers ------------------------------------------------------------------------------


def message_id(status: Any) -> str:
    """The provider's id of a mail it took, the same that its later posts will name.

    Raises ChannelError where the answer says that it was not taken after all.
    """
    if status.status and status.status <= {"failed"}:
        raise ChannelError("The mail provider could not take the mail.")
    return str(status.message_id or "")


def translate(error: Exception, clean: Callable[[str], str]) -> ChannelError | None:
    """What went wrong with a provider, as ours; None for what is not a provider's error.

    `clean` takes secrets and lengths out of a stranger's words.
    """
    match error:
        case AnymailConfigurationError():
            return ChannelError("The mail provider's account is not set up: run manage.py check.")
        case AnymailRecipientsRefused():
            said = _and("The mail provider refuses the recipient", clean(_words(error.response)))
            return ChannelError(said, permanent=True)
        case AnymailAPIError() if error.response is not None:
            return _answered(error.response, clean)
        case requests.RequestException():
            return _unreached(error)
        case AnymailError():
            # An address that is none, or something in the mail that this provider cannot carry.
            return ChannelError("The mail provider cannot take this mail.", permanent=True)
    return None


def _answered(response: requests.Response, clean: Callable[[str], str]) -> ChannelError:
    status = response.status_code
    if 200 <= status < 300:
        return ChannelError(
            "The mail provider's answer cannot be read: the mail may have gone out or not."
        )
    if status in (401, 403):
        # The operator will mend the key; the message is not to blame.
        sentence = f"The mail provider does not accept our login ({status})."
    else:
        sentence = _and(f"The mail provider answered {status}", clean(_words(response)))
    return ChannelError(
        sentence,
        permanent=400 <= status < 500 and status not in TRANSIENT,
        retry_after=_retry_after(response.headers),
    )


def _unreached(error: Exception) -> ChannelError:
    before = (requests.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.SSLError)
    # Nothing but its name tells a connection that never stood from one that broke.
    nobody_there = re.search("NewConnectionError|NameResolutionError", repr(error.__cause__))
    if isinstance(error, before) or nobody_there:
        return ChannelError("The mail provider cannot be reached.")
    return ChannelError("The mail provider did not answer: the mail may have gone out or not.")


def _and(sentence: str, said: str) -> str:
    return f"{sentence}: {said}" if said else f"{sentence}."


def _words(response: requests.Response | None) -> str:
    """The sentence in a provider's error, under the names that providers give it."""
    try:
        data = response.json() if response is not None else None
    except ValueError:
        return ""
    found = data.get("errors") if isinstance(data, Mapping) else None
    first = found[0] if isinstance(found, list) and found else data
    names = ("Message", "message", "ErrorMessage", "error", "detail")
    said = [first.get(name) for name in names] if isinstance(first, Mapping) else [first]
    return next((each for each in said if isinstance(each, str)), "")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header (RFC 9110, section 10.2.3)."""
    told = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", told):
        return float(told)
    try:
        return max((parsedate_to_datetime(told) - timezone.now()) / timedelta(seconds=1), 0.0)
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None


# --- What it posts --------------------------------------------------------------------------------


def verify(request: HttpRequest) -> None:
    """Check the secret and the provider's signature. Raises Forged."""
    if not takes_posts():
        raise Forged
    _read_all(request)
    try:
        _view(request).run_validators(request)
    except (AnymailWebhookValidationFailure, UnicodeError, ValueError, UnreadablePostError):
        raise Forged from None
    except AnymailConfigurationError as error:
        # A signature could be checked if its key were set, so nothing is believed without.
        logger.error("the mail provider's key is missing", extra={"why": str(error)})
        raise Forged from None


def events(request: HttpRequest) -> list[Any]:
    """What a verified post tells, in django-anymail's terms; nothing where it makes no sense."""
    try:
        return list(_view(request).parse_events(request))
    except Exception:
        # Its parsers trust the shape: whatever a provider makes up next must not be repeated.
        logger.exception("the mail provider's post could not be read")
        return []


def _view(request: HttpRequest) -> Any:
    """Django-anymail's view of the kind that the path names."""
    what = request.path.rstrip("/").rpartition("/")[2]
    if what not in (TRACKING, INBOUND):
        raise Forged
    if what == INBOUND and settings.EMAIL_PROVIDER not in POST_MAILS:
        raise Forged
    return import_string(_view_path(what))()


def _view_path(what: str) -> str:
    provider = settings.EMAIL_PROVIDER
    kind = "Combined" if provider == "mandrill" else what.title()
    return f"anymail.webhooks.{provider}.{VIEWS[provider]}{kind}WebhookView"


def _read_all(request: HttpRequest) -> None:
    """Read the body here: Django's own limit is made for forms, not for mails with pictures."""
    if not hasattr(request, "_body"):
        request._body = request.read(BODY_LIMIT + 1)
    if len(request.body) > BODY_LIMIT:
        logger.warning("a post of the mail provider is too large")
        raise Forged
