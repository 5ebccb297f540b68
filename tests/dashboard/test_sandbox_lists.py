"""The sandbox's list: mails one by one, chats as one entry each, narrowed by channel and person."""

import datetime as dt
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from deliveries.models import SandboxMessage
from deliveries.sandbox import sms
from hitl.accounts.models import User
from tests.dashboard import screens
from tests.dashboard.browser import text
from tests.dashboard.screens import words

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sandbox(settings: Settings) -> None:
    settings.SANDBOX = True
    settings.SANDBOX_ACCOUNTS = {"sms": {}, "slack": {}}
    settings.EMAIL_BACKEND = "deliveries.sandbox.EmailBackend"


@pytest.fixture
def client(manager: User) -> Client:
    manager.is_staff = True
    manager.save()
    client = Client()
    client.force_login(manager)
    return client


def text_message(user: User, words_: str, **more: Any) -> SandboxMessage:
    screens.reach(user, "sms")
    return SandboxMessage.objects.create(
        channel="sms", recipient=sms.address(user), subject=words_, text=words_, **more
    )


def mail(user: User, subject: str) -> None:
    EmailMessage(subject, "body", to=[user.email]).send()


def shown(client: Client, query: str = "") -> str:
    return words(text(client.get(f"/sandbox/list/{query}")))


def test_chat_is_one_entry_with_its_newest_message(client: Client, approver: User) -> None:
    text_message(approver, "First question")
    text_message(approver, "Second question")
    listed = shown(client)
    assert "Second question" in listed
    assert "First question" not in listed
    assert listed.count("Ann Approver") == 1


def test_mails_are_entries_each(client: Client, approver: User) -> None:
    mail(approver, "First mail")
    mail(approver, "Second mail")
    listed = shown(client)
    assert listed.index("Second mail") < listed.index("First mail")
    assert listed.count("Ann Approver") == 2


def test_channel_and_person_narrow_it(client: Client, approver: User, colleague: User) -> None:
    text_message(approver, "Text to Ann")
    text_message(colleague, "Text to Carl")
    mail(approver, "Mail to Ann")
    mail(colleague, "Mail to Carl")

    assert "Mail" not in shown(client, "?channel=sms")
    assert "Text" not in shown(client, "?channel=email")
    ann = shown(client, f"?person={approver.pk}")
    assert "Text to Ann" in ann
    assert "Mail to Ann" in ann
    assert "Carl" not in ann
    both = shown(client, f"?person={approver.pk}&channel=sms")
    assert "Text to Ann" in both
    assert "Mail" not in both


@pytest.mark.parametrize("query", ["?channel=pigeon", "?person=x", "?before=-1", "?before=9" * 30])
def test_nonsense_narrows_nothing(client: Client, approver: User, query: str) -> None:
    text_message(approver, "Text to Ann")
    assert client.get(f"/sandbox/{query}").status_code == 200
    if "before" not in query:
        assert "Text to Ann" in shown(client, query)


def test_links_keep_what_it_is_narrowed_to(client: Client, approver: User) -> None:
    text_message(approver, "Text to Ann")
    page = text(client.get(f"/sandbox/?channel=sms&person={approver.pk}"))
    assert f"/?channel=sms&amp;person={approver.pk}#m-" in page
    assert f"?channel=email&amp;person={approver.pk}" in page
    assert "As Ann Approver" in page


def test_open_forms_are_no_entries(client: Client, approver: User) -> None:
    text_message(approver, "Text to Ann")
    text_message(approver, "A form", kind="modal")
    listed = shown(client)
    assert "Text to Ann" in listed
    assert "A form" not in listed


def test_rewritten_message_is_another_version(client: Client, approver: User) -> None:
    row = text_message(approver, "Text to Ann")
    before = text(client.get("/sandbox/list/"))
    row.edited_at = timezone.now() + dt.timedelta(seconds=1)
    row.save()
    assert text(client.get("/sandbox/list/")) != before


def test_message_of_a_chat_leads_to_the_chat(client: Client, approver: User) -> None:
    row = text_message(approver, "Text to Ann")
    response = client.get(f"/sandbox/{row.pk}/")
    assert response.status_code == 302
    assert response["Location"] == f"/sandbox/chats/sms/{sms.address(approver)}/"


def test_unverified_address_is_shown_as_it_is(client: Client, approver: User) -> None:
    text_message(approver, "Your code is 1234")
    approver.contact_points.filter(kind="phone").update(verified_at=None)
    assert sms.address(approver) in shown(client)


def test_empty_list_teaches(client: Client) -> None:
    assert "No messages yet" in words(text(client.get("/sandbox/?channel=slack")))
    assert "Show everything" in words(text(client.get("/sandbox/?channel=slack")))
