"""What a mail provider posts, in our terms: a mail's fate, or somebody's answer by mail.

An answer is tied to its mail by the token in the address it was sent to. What machines write is
left out: absence notes, bounces, lists. Two machines would write to each other for ever.
"""

import re
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr
from typing import Any

from django.conf import settings

from deliveries.channels.base import Reply, Report
from deliveries.channels.email import trust, words
from hitl.lib.text import one_line

SENTENCE_LIMIT, NAME_LIMIT = 300, 120
TOKEN = re.compile(r"[a-z2-7]{32}")
MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
FAILED = {
    "bounced": "The receiver's mail server sent the mail back",
    "rejected": "The mail provider does not send to this address",
    "failed": "The mail provider could not send the mail",
}
COMPLAINED = "The receiver reported the mail as unwanted, so the provider will send no more."
MACHINES = re.compile(r"(?:mailer-daemon|postmaster|no-?reply)@", re.IGNORECASE)
ABSENT = re.compile(
    r"(?:automatic reply|auto(?:matic)?[- ]?(?:response|reply)|out of (?:the )?office|undeliver)",
    re.IGNORECASE,
)


# --- What became of our mails ---------------------------------------------------------------------


def report(event: Any) -> Report | None:
    """A provider's later word on one of our mails; None for what changes nothing."""
    if not event.message_id:
        return None
    if event.event_type == "delivered":
        return Report(event.message_id, delivered=True)
    if event.event_type == "complained":
        return Report(event.message_id, delivered=True, error=COMPLAINED)
    if event.event_type not in FAILED:
        return None  # opened, clicked, deferred …: machines open mails too
    said = _harmless(event.mta_response or event.description or event.reject_reason or "")
    sentence = FAILED[event.event_type]
    return Report(event.message_id, error=f"{sentence}: {said}" if said else f"{sentence}.")


def _harmless(said: Any) -> str:
    """A stranger's words without the links that they may quote."""
    return one_line(re.sub(r"\S*(?:://|/l/)\S*", "…", str(said)), SENTENCE_LIMIT)


# --- Answers --------------------------------------------------------------------------------------


def address(token: str) -> str:
    """Where answers to one mail go: REPLY_ADDRESS with the mail's token in it."""
    mailbox, _, domain = settings.REPLY_ADDRESS.rpartition("@")
    return f"{mailbox}+{token}@{domain}"


def is_usable(reply_address: str) -> bool:
    """Whether a token fits into it: at most 64 characters stand before the @ (RFC 5321)."""
    mailbox, _, domain = reply_address.rpartition("@")
    return bool(re.fullmatch(r"[\w.-]{1,31}", mailbox) and re.fullmatch(r"[\w.-]+\.\w+", domain))


def reply(event: Any) -> Reply | None:
    """Somebody's answer by mail, read; None for machines and for mails to another address."""
    mail = event.message
    to, sender = _reply_address(mail), _sender(mail)
    if not to or not sender or is_from_machine(mail):
        return None
    said = words.read(_text(mail), writer=sender[0])
    token = to.rpartition("@")[0].rpartition("+")[2]
    message_id = _first(MESSAGE_ID, _header(mail, "Message-ID"))
    its_id = message_id or event.event_id
    return Reply(
        action="mail",
        sender=sender[1],
        code=token,
        decision=said.decision,
        comment=said.comment,
        doubt=trust.doubt(event, sender[1]),
        handle={
            "replyTo": to,
            "messageId": message_id,
            "subject": one_line(_header(mail, "Subject"), NAME_LIMIT),
        },
        # A letter's own id is its writer's to choose, so it counts for this address only.
        event_id=f"{token} {its_id}" if its_id else "",
    )


def _reply_address(mail: Any) -> str:
    """The address of ours that it was sent to, in the form in which we gave it out."""
    given = [str(mail.envelope_recipient or "")]
    given += [each for name in ("To", "Cc", "Delivered-To") for each in _addresses(mail, name)]
    mailbox, _, domain = settings.REPLY_ADDRESS.lower().rpartition("@")
    for each in (one.lower() for one in given):
        name, _, host = each.rpartition("@")
        token = name.removeprefix(f"{mailbox}+")
        if host == domain and name != token and TOKEN.fullmatch(token):
            return address(token)
    return ""


def _sender(mail: Any) -> tuple[str, str] | None:
    """The one name and address in From; None where there are several or none."""
    found = getaddresses([str(value) for value in mail.get_all("From", [])])
    if len(found) != 1 or "@" not in found[0][1]:
        return None
    return one_line(found[0][0], NAME_LIMIT), found[0][1].lower()


def is_from_machine(mail: Any) -> bool:
    """Whether nobody wrote this: RFC 3834, and what those send who have not read it."""
    automatic = _header(mail, "Auto-Submitted").split(";")[0].strip().lower()
    sender = parseaddr(_header(mail, "From"))[1]
    return (
        automatic not in ("", "no")
        or _header(mail, "Precedence").strip().lower() in ("bulk", "junk", "list", "auto_reply")
        or any(mail.get(name) for name in ("X-Autoreply", "X-Autorespond", "List-Id"))
        or mail.envelope_sender in ("", "<>")
        or _header(mail, "Content-Type").lower().startswith("multipart/report")
        or ABSENT.match(_header(mail, "Subject")) is not None
        or MACHINES.match(sender) is not None
    )


def _text(mail: Any) -> str:
    try:
        return mail.text if (mail.text or "").strip() else words.from_html(mail.html or "")
    except (LookupError, ValueError):  # a character set that nobody knows
        return ""


def _header(mail: EmailMessage, name: str) -> str:
    """The topmost header of that name, however it was encoded."""
    return str((mail.get_all(name) or [""])[0])


def _addresses(mail: EmailMessage, name: str) -> list[str]:
    return [found for _, found in getaddresses([str(each) for each in mail.get_all(name, [])])]


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0] if found else ""
