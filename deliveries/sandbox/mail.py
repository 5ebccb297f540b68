"""A mail server that keeps every mail, for the sandbox page of the embedded mode."""

import smtplib
from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from deliveries.models import SandboxMessage
from deliveries.sandbox import outages
from deliveries.sandbox.outages import Outage
from hitl.lib.text import one_line

CHANNEL = "email"
RECIPIENT_LIMIT = 254
SUBJECT_LIMIT = 998


class EmailBackend(BaseEmailBackend):
    """A Django mail backend that keeps what a mail server would have been given."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Keep every mail as its receiver would see it. Raises like SMTP for forged headers."""
        rows = [_row(mail) for mail in email_messages if mail.recipients()]
        _fail(rows)
        SandboxMessage.objects.bulk_create(rows)
        return len(rows)


def _fail(rows: list[SandboxMessage]) -> None:
    """Do what mail servers do in an outage that somebody asked for."""
    match outages.current(CHANNEL):
        case Outage.REFUSE:
            refused = {row.recipient: (550, b"5.1.1 no such mailbox here") for row in rows}
            raise smtplib.SMTPRecipientsRefused(refused)
        case Outage.DOWN | Outage.HANG:
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")


def _row(mail: EmailMessage) -> SandboxMessage:
    message = mail.message()  # refuses line ends in headers, as on the way to a real server
    alternatives = getattr(mail, "alternatives", [])
    html = [str(part[0]) for part in alternatives if part[1] == "text/html"]
    return SandboxMessage(
        channel=CHANNEL,
        recipient=one_line(", ".join(mail.recipients()), RECIPIENT_LIMIT),
        subject=one_line(str(mail.subject), SUBJECT_LIMIT),
        text=str(mail.body),
        html=html[0] if html else "",
        headers={name: str(value) for name, value in message.items()},
    )
