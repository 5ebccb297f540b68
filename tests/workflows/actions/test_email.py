"""Carrying out by mail, through a real mail server told to take, refuse, stall and hang up."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from hitl.lib import canonical
from tests.deliveries.smtp import MailServer, free_port, mail_server
from workflows.actions.base import ActionFailed, Job
from workflows.actions.email import EmailAction

MAIL = {"to": "customer@example.com", "subject": "Your refund", "body": "120 EUR are on their way."}


@pytest.fixture
def smtp(settings: Settings) -> Iterator[MailServer]:
    with mail_server(settings) as server:
        yield server


def job(**changes: Any) -> Job:
    data = MAIL | changes
    return Job(
        workflow_id="w-1", name="Mail", team="Support", action_type="email.send", data=data,
        raw=canonical.dumps(data), fingerprint=canonical.fingerprint(data), key="w-1-1", attempt=1,
    )  # fmt: skip


def failed(**changes: Any) -> ActionFailed:
    with pytest.raises(ActionFailed) as caught:
        EmailAction().run(job(**changes))
    return caught.value


def test_the_approved_fields_become_the_mail(smtp: MailServer) -> None:
    result = EmailAction().run(job(cc=["boss@example.com"], replyTo="help@example.com"))

    (mail,) = smtp.accepted
    assert (mail["to"], mail["cc"], mail["reply-to"]) == (
        "customer@example.com", "boss@example.com", "help@example.com",
    )  # fmt: skip
    assert mail["subject"] == "Your refund"
    assert mail.get_content().strip() == "120 EUR are on their way."
    assert result == {"messageId": "<w-1-1@hitl.action>", "to": ["customer@example.com"]}


def test_line_breaks_in_the_subject_make_no_header(smtp: MailServer) -> None:
    EmailAction().run(job(subject="Hello\r\nBcc: thief@example.com"))

    (mail,) = smtp.accepted
    assert mail["bcc"] is None
    assert "thief" in mail["subject"]


@pytest.mark.parametrize(
    "changes",
    [{"to": []}, {"to": "nobody"}, {"to": "a@b.example\nBcc: c@d.example"}, {"body": 7}],
)
def test_data_that_is_no_mail_is_refused_for_good(
    smtp: MailServer, changes: dict[str, Any]
) -> None:
    error = failed(**changes)

    assert (error.permanent, error.may_have_happened) == (True, False)
    assert smtp.attempts == 0


@pytest.mark.parametrize(
    ("does", "permanent", "may_have_happened"),
    [
        ("refuse-recipient", True, False),
        ("refuse-sender", True, False),
        ("refuse-data", True, False),
        ("busy-data", False, False),
        ("drop-after-data", False, True),
    ],
)
def test_what_the_server_says_is_what_we_claim_to_know(
    smtp: MailServer, does: str, permanent: bool, may_have_happened: bool
) -> None:
    smtp.does = does

    error = failed()

    assert (error.permanent, error.may_have_happened) == (permanent, may_have_happened)


def test_greylisting_is_tried_again(smtp: MailServer) -> None:
    smtp.does = "busy-recipient"

    error = failed()

    assert (error.permanent, error.may_have_happened) == (False, False)


def test_no_server_means_it_did_not_happen(smtp: MailServer, settings: Settings) -> None:
    settings.EMAIL_PORT = free_port()

    assert not failed().may_have_happened
