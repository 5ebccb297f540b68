"""E-mail over any Django mail backend: real SMTP by EMAIL_URL, the sandbox without it.

Links only ever open a page, whose POST decides: mail scanners follow links.
"""

import contextlib
import datetime as dt
import re
import smtplib
from email.utils import parseaddr
from typing import Any, NoReturn

import mjml
import uuid_utils.compat
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.validators import validate_email
from django.template.loader import render_to_string

from deliveries.channels.base import (
    Channel,
    ChannelError,
    Choice,
    Health,
    Message,
    Note,
    Proof,
    Receipt,
    bad_address,
)
from hitl.lib.text import one_line

SUBJECT_LIMIT = 150
NOWHERE = "django.core.mail.backends.dummy.EmailBackend"
SAID_LIMIT = 200
NO_ACCOUNT = "No mail account is configured: set EMAIL_URL."


class EmailChannel(Channel):
    """Asks by mail with one link per choice; tells by mail without any."""

    name = "email"
    label = "E-mail"
    contact_kind = "email"
    settings = ("EMAIL_URL",)
    proof = Proof.LINK
    example = "ann@example.com"

    @classmethod
    def is_on(cls) -> bool:
        """Whether mail goes anywhere: to a server, a provider or the sandbox."""
        return settings.EMAIL_BACKEND != NOWHERE

    @classmethod
    def read_address(cls, text: str) -> str:
        """Lower case, as it is compared everywhere."""
        address = super().read_address(text).lower()
        try:
            validate_email(address)
        except ValidationError:
            raise bad_address("This is not an e-mail address.") from None
        return address

    def send(
        self, message: Message, *, to: str, key: str, link: str = "", code: str = ""
    ) -> Receipt:
        """Hand one mail to the mail server; its Message-ID is made from `key`."""
        mail = compose(message, to=to, key=key, link=link)
        _hand_over(mail, secret=link)
        return Receipt({"messageId": mail.extra_headers["Message-ID"]})

    def say(self, note: Note, *, to: str) -> None:
        """A short mail, with one button where there is a link."""
        _hand_over(compose_note(note, to=to), secret=note.url)

    def check(self) -> Health:
        """Connect, log in and name the sender, then hang up."""
        if not self.is_on():
            raise ChannelError(NO_ACCOUNT, permanent=True)
        connection = get_connection()
        try:
            _open(connection)
            return _greet(connection)
        except smtplib.SMTPException as error:
            _refused(error, "")
        finally:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                connection.close()


def _hand_over(mail: EmailMultiAlternatives, *, secret: str) -> None:
    if not EmailChannel.is_on():
        raise ChannelError(NO_ACCOUNT, permanent=True)
    connection = get_connection()
    try:
        _open(connection)
        connection.send_messages([mail])
    except ChannelError:
        raise
    except Exception as error:
        _refused(error, secret)
    finally:
        # The mail server has taken or refused the mail by now, however badly it says goodbye.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            connection.close()


def _greet(connection: BaseEmailBackend) -> Health:
    """What an open connection tells; other back ends than SMTP tell nothing before they send."""
    server = getattr(connection, "connection", None)
    if not isinstance(server, smtplib.SMTP):
        return Health("Mail is handed to a provider that tells nothing before a message is sent.")
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    code, said = server.mail(sender)
    if code >= 400:
        raise smtplib.SMTPSenderRefused(code, said, sender)
    server.rset()
    login = f" as {settings.EMAIL_HOST_USER}" if settings.EMAIL_HOST_USER else ""
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    return Health(f"{where} lets us in{login} and takes mail from {sender}.")


def compose(message: Message, *, to: str, key: str, link: str) -> EmailMultiAlternatives:
    """The whole mail: headers, text and HTML, both equally complete."""
    context = _context(message, link)
    # In text nothing is markup, so nothing is escaped; every hostile line is quoted or indented.
    text = render_to_string("deliveries/email/message.txt", context)
    html = mjml.mjml2html(render_to_string("deliveries/email/message.mjml", context))
    thread = f"<{message.thread}@{_domain()}>"
    mail = EmailMultiAlternatives(
        subject=one_line(message.subject, SUBJECT_LIMIT),
        body=text,
        to=[to],
        headers={
            # Stable over attempts: a mail that went out twice is recognised as the same one.
            "Message-ID": f"<{key}@{_domain()}>",
            "In-Reply-To": thread,
            "References": thread,
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    mail.attach_alternative(html, "text/html")
    return mail


def compose_note(note: Note, *, to: str) -> EmailMultiAlternatives:
    """A short mail outside of any request."""
    context = {"note": note, "lines": note.text.splitlines()}
    mail = EmailMultiAlternatives(
        subject=one_line(note.subject, SUBJECT_LIMIT),
        body=render_to_string("deliveries/email/note.txt", context),
        to=[to],
        headers={
            "Message-ID": f"<{uuid_utils.compat.uuid7()}@{_domain()}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    html = mjml.mjml2html(render_to_string("deliveries/email/note.mjml", context))
    mail.attach_alternative(html, "text/html")
    return mail


def _context(message: Message, link: str) -> dict[str, Any]:
    return {
        "message": message,
        "facts": [
            {"label": fact.label, "path": fact.path, "lines": fact.value.splitlines() or [""]}
            for fact in message.facts
        ],
        "reason_lines": message.reason.splitlines(),
        "choices": [_choice(choice, link) for choice in message.choices],
        "expires_at": _moment(message.expires_at),
        "short_fingerprint": message.fingerprint.removeprefix("sha256:")[:12],
        "link": link,
    }


def _choice(choice: Choice, link: str) -> dict[str, str]:
    """One button: the same personal link, which opens with this choice already made."""
    return {
        "label": choice.label,
        "style": choice.style,
        "url": f"{link}?choice={choice.decision}",
    }


def _moment(iso: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(iso) if iso else None


def _domain() -> str:
    """The sender's domain: identifiers under it are ours to give."""
    _, at, domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")
    return domain if at and re.fullmatch(r"[A-Za-z0-9.-]+", domain) else "localhost"


def _open(connection: BaseEmailBackend) -> None:
    """Reach the mail server. Whatever goes wrong here, no mail has gone out."""
    try:
        connection.open()
    except smtplib.SMTPAuthenticationError as error:
        # The operator will mend the password; the message is not to blame.
        raise ChannelError("The mail server does not accept our login.") from error
    except smtplib.SMTPResponseException as error:
        raise ChannelError(f"The mail server answered {error.smtp_code}.") from error
    except (TimeoutError, smtplib.SMTPServerDisconnected) as error:
        raise ChannelError("The mail server does not answer, or not in time.") from error
    except (OSError, smtplib.SMTPException) as error:
        raise ChannelError(f"The mail server cannot be reached: {_kind(error)}.") from error


def _refused(error: Exception, link: str) -> NoReturn:
    """Translate what happened after the connection stood."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, said = next(iter(error.recipients.values()))
            _answered("The mail server refuses the recipient", code, said, link, error)
        case smtplib.SMTPSenderRefused():
            _answered("The mail server refuses the sender", *error.args[:2], link, error)
        case smtplib.SMTPResponseException():
            _answered("The mail server refuses the mail", *error.args[:2], link, error)
        case smtplib.SMTPNotSupportedError() | UnicodeError() | ValueError():
            # Line ends in the address (BadHeaderError), or letters the server cannot take.
            sentence = "The mail server cannot take this address."
            raise ChannelError(sentence, permanent=True) from error
        case OSError() | smtplib.SMTPException():
            sentence = "The connection to the mail server broke: the mail may have arrived or not."
            raise ChannelError(sentence) from error
        case _:
            raise error


def _answered(sentence: str, code: int, said: bytes | str, link: str, error: Exception) -> NoReturn:
    """A reply of 500 and more is final (RFC 5321, section 4.2.1), any other may pass."""
    detail = f"{sentence} ({code} {_scrub(said, link)})."
    raise ChannelError(detail, permanent=code >= 500) from error


def _scrub(said: bytes | str, link: str) -> str:
    """The server's words without any address: filters like to quote the link they dislike."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    token = link.rstrip("/").rpartition("/")[2]
    text = text.replace(token, "…") if token else text
    return one_line(re.sub(r"\S*(?:://|/l/)\S*", "…", text), SAID_LIMIT)


def _kind(error: Exception) -> str:
    return one_line(str(getattr(error, "strerror", None) or type(error).__name__), SAID_LIMIT)
