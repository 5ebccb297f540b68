"""Carries out by sending an e-mail whose fields are the approved data."""

import smtplib
from typing import Any

from django.core.mail import EmailMessage
from django.core.validators import validate_email

from hitl.lib.text import one_line
from workflows.actions.base import Action, ActionFailed, Job

SUBJECT_LIMIT = 300


class EmailAction(Action):
    """Data: `{"to": "a@b" | [..], "subject": …, "body": …, "cc"?: …, "replyTo"?: …}`."""

    name = "email"

    def run(self, job: Job) -> Any:
        mail = self._mail(job)
        try:
            mail.send()
        except smtplib.SMTPRecipientsRefused as error:
            raise ActionFailed(
                "The mail server refused every recipient.",
                permanent=all(code >= 500 for code, _ in error.recipients.values()),
                may_have_happened=False,
            ) from error
        except smtplib.SMTPResponseException as error:
            raise ActionFailed(
                f"The mail server answered {error.smtp_code}.",
                permanent=error.smtp_code >= 500,
                may_have_happened=False,
            ) from error
        except ConnectionRefusedError as error:
            raise ActionFailed(
                "The mail server does not answer.", may_have_happened=False
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise ActionFailed("The connection to the mail server broke.") from error
        return {"messageId": mail.extra_headers["Message-ID"], "to": mail.to}

    def _mail(self, job: Job) -> EmailMessage:
        data = job.data if isinstance(job.data, dict) else {}
        to, cc = _addresses(data, "to"), _addresses(data, "cc")
        if not to or not isinstance(data.get("body"), str):
            raise ActionFailed(
                "The approved data needs `to`, `subject` and `body` to be sent as a mail.",
                permanent=True,
                may_have_happened=False,
            )
        return EmailMessage(
            subject=one_line(str(data.get("subject", "")), SUBJECT_LIMIT),
            body=data["body"],
            to=to,
            cc=cc,
            reply_to=_addresses(data, "replyTo"),
            # Stable over attempts, so that a repeated mail is recognised as the same one.
            headers={"Message-ID": f"<{job.key}@hitl.action>"},
        )


def _addresses(data: dict[str, Any], key: str) -> list[str]:
    value = data.get(key, [])
    addresses = [str(item) for item in (value if isinstance(value, list) else [value])]
    for address in addresses:
        try:
            validate_email(address)
        except Exception as error:
            raise ActionFailed(
                f"`{key}` holds {address!r}, which is not an e-mail address.",
                permanent=True,
                may_have_happened=False,
            ) from error
    return addresses
