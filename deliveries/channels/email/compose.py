"""Draws the mails: a request with its buttons, a short note, the answer to an answer.

Text and HTML are equally complete. What strangers wrote is quoted or indented, and never markup.
"""

import datetime as dt
import re
from email.utils import parseaddr
from typing import Any

import mjml
import uuid_utils.compat
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template.loader import render_to_string

from deliveries.channels.base import Choice, Message, Note, Reply
from deliveries.channels.email import inbound, opt_out
from hitl.lib.text import one_line

SUBJECT_LIMIT = 150
NOTICE_LIMIT, NAME_LIMIT = 600, 150
# Whoever answers machines leaves ours in peace (RFC 3834).
QUIET = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


def request(
    message: Message, *, to: str, key: str, link: str, code: str = ""
) -> EmailMultiAlternatives:
    """The whole mail about one request; with `code`, answers to it come back to us."""
    context = _context(message, link) | {"may_reply": bool(code)}
    # In text nothing is markup, so nothing is escaped; every hostile line is quoted or indented.
    text = render_to_string("deliveries/email/message.txt", context)
    html = mjml.mjml2html(render_to_string("deliveries/email/message.mjml", context))
    thread = f"<{message.thread}@{_domain()}>"
    mail = EmailMultiAlternatives(
        subject=one_line(message.subject, SUBJECT_LIMIT),
        body=text,
        to=[to],
        reply_to=[inbound.address(code)] if code else None,
        headers={
            # Stable over attempts: a mail that went out twice is recognised as the same one.
            "Message-ID": f"<{key}@{_domain()}>",
            "In-Reply-To": thread,
            "References": thread,
            **QUIET,
            **opt_out.headers(key),
        },
    )
    mail.attach_alternative(html, "text/html")
    return mail


def note(note: Note, *, to: str) -> EmailMultiAlternatives:
    """A short mail outside of any request."""
    context = {"note": note, "lines": note.text.splitlines()}
    mail = EmailMultiAlternatives(
        subject=one_line(note.subject, SUBJECT_LIMIT),
        body=render_to_string("deliveries/email/note.txt", context),
        to=[to],
        headers={"Message-ID": _new_id(), **QUIET},
    )
    html = mjml.mjml2html(render_to_string("deliveries/email/note.mjml", context))
    mail.attach_alternative(html, "text/html")
    return mail


def answer(reply: Reply, text: str) -> EmailMessage:
    """What we say to somebody's mail, below it in the thread. Plain text: it is a few words."""
    subject = re.sub(r"^(?:re|aw|sv):\s*", "", reply.handle.get("subject", ""), flags=re.IGNORECASE)
    theirs = reply.handle.get("messageId", "")
    thread = {"In-Reply-To": theirs, "References": theirs} if theirs else {}
    return EmailMessage(
        subject=one_line(f"Re: {subject}", SUBJECT_LIMIT),
        body=render_to_string("deliveries/email/answer.txt", {"said": text}),
        to=[reply.sender],
        reply_to=[reply.handle["replyTo"]],
        headers={"Message-ID": _new_id(), **thread, **QUIET, "Auto-Submitted": "auto-replied"},
    )


def _new_id() -> str:
    return f"<{uuid_utils.compat.uuid7()}@{_domain()}>"


def _context(message: Message, link: str) -> dict[str, Any]:
    return {
        "message": message,
        "facts": [
            {"label": fact.label, "path": fact.path, "lines": fact.value.splitlines() or [""]}
            for fact in message.facts
        ],
        "reason_lines": message.reason.splitlines(),
        # One line each, so that in text none of them can begin a line of its own.
        "notice": one_line(message.notice, NOTICE_LIMIT),
        "progress": one_line(message.progress, NOTICE_LIMIT),
        "on_behalf": one_line(message.on_behalf, NAME_LIMIT),
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
