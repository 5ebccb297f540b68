"""Hands a mail to a mail server or to a provider, and tells what became of that in our terms."""

import contextlib
import re
import smtplib
from collections.abc import Iterator
from email.utils import parseaddr
from typing import NoReturn

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from deliveries.channels.base import ChannelError, Health
from deliveries.channels.email import provider
from hitl.lib.text import one_line

NOWHERE = "django.core.mail.backends.dummy.EmailBackend"
SAID_LIMIT = 200
NO_ACCOUNT = "No mail account is configured: set EMAIL_URL or EMAIL_PROVIDER."


def is_on() -> bool:
    """Whether mail goes anywhere: to a server, a provider or the sandbox."""
    return settings.EMAIL_BACKEND != NOWHERE


def send(mail: EmailMessage, *, secrets: tuple[str, ...] = ()) -> str:
    """Hand over one mail; the id under which later posts will name it. Raises ChannelError.

    `secrets` are links and tokens in it that no error may quote.
    """
    if not all(map(str.isprintable, mail.recipients())):
        # Some providers would read what stands behind a line end as more receivers.
        raise ChannelError("This is not an address.", permanent=True)
    with _connection(secrets) as connection:
        connection.send_messages([mail])
    status = getattr(mail, "anymail_status", None)
    return provider.message_id(status) if status else mail.extra_headers["Message-ID"]


def check() -> Health:
    """Connect, log in and name the sender, then hang up. Raises ChannelError."""
    with _connection(()) as connection:
        return _greet(connection)


@contextlib.contextmanager
def _connection(secrets: tuple[str, ...]) -> Iterator[BaseEmailBackend]:
    """An open connection, whose errors come out as ours."""
    if not is_on():
        raise ChannelError(NO_ACCOUNT, permanent=True)
    connection: BaseEmailBackend | None = None
    try:
        connection = get_connection()
        _open(connection)
        yield connection
    except ChannelError:
        raise
    except Exception as error:
        _refused(error, secrets)
    finally:
        # The mail server has taken or refused the mail by now, however badly it says goodbye.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if connection:
                connection.close()


def _greet(connection: BaseEmailBackend) -> Health:
    """What an open connection tells; other back ends than SMTP tell nothing before they send."""
    server = getattr(connection, "connection", None)
    if not isinstance(server, smtplib.SMTP):
        return Health("Mail is handed to a provider that tells nothing before a message is sent.")
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    server.ehlo_or_helo_if_needed()
    code, said = server.mail(sender)
    if code >= 400:
        raise smtplib.SMTPSenderRefused(code, said, sender)
    server.rset()
    login = f" as {settings.EMAIL_HOST_USER}" if settings.EMAIL_HOST_USER else ""
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    return Health(f"{where} lets us in{login} and takes mail from {sender}.")


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


def _refused(error: Exception, secrets: tuple[str, ...]) -> NoReturn:
    """Translate what happened after the connection stood."""
    ours = provider.translate(error, lambda said: _scrub(said, secrets))
    if ours:
        raise ours from error
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, said = next(iter(error.recipients.values()))
            _answered("The mail server refuses the recipient", code, said, secrets, error)
        case smtplib.SMTPSenderRefused():
            _answered("The mail server refuses the sender", *error.args[:2], secrets, error)
        case smtplib.SMTPResponseException():
            _answered("The mail server refuses the mail", *error.args[:2], secrets, error)
        case smtplib.SMTPNotSupportedError() | UnicodeError() | ValueError():
            # Line ends in the address (BadHeaderError), or letters the server cannot take.
            sentence = "The mail server cannot take this address."
            raise ChannelError(sentence, permanent=True) from error
        case OSError() | smtplib.SMTPException():
            sentence = "The connection to the mail server broke: the mail may have arrived or not."
            raise ChannelError(sentence) from error
        case _:
            raise error


def _answered(
    sentence: str, code: int, said: bytes | str, secrets: tuple[str, ...], error: Exception
) -> NoReturn:
    """A reply of 500 and more is final (RFC 5321, section 4.2.1), any other may pass."""
    detail = f"{sentence} ({code} {_scrub(said, secrets)})."
    raise ChannelError(detail, permanent=code >= 500) from error


def _scrub(said: bytes | str, secrets: tuple[str, ...]) -> str:
    """The server's words without any address: filters like to quote the link they dislike."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    for secret in filter(None, secrets):
        text = text.replace(secret.rstrip("/").rpartition("/")[2], "…")
    return one_line(re.sub(r"\S*(?:://|/l/)\S*", "…", text), SAID_LIMIT)


def _kind(error: Exception) -> str:
    return one_line(str(getattr(error, "strerror", None) or type(error).__name__), SAID_LIMIT)
