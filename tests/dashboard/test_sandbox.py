"""The sandbox shows caught messages to staff, in embedded mode only, and runs nothing of them."""

import re
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from deliveries import services
from deliveries.models import Delivery, SandboxMessage
from hitl.accounts.models import Agent, User
from tests.deliveries.factories import HOSTILE
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db
PATHS = ("/sandbox/", "/sandbox/1/", "/sandbox/1/document/", "/sandbox/list/")


@pytest.fixture(autouse=True)
def _sandbox(settings: Settings) -> None:
    settings.SANDBOX = True
    settings.EMAIL_BACKEND = "deliveries.sandbox.EmailBackend"


@pytest.fixture
def staff(approver: User) -> User:
    approver.is_staff = True
    approver.save()
    return approver


@pytest.fixture
def client(staff: User) -> Client:
    """A browser of a member of staff."""
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def message(agent: Agent) -> SandboxMessage:
    """The mail to the approver about one pending request."""
    services.send(Delivery.objects.get(workflow=make_workflow(agent)).pk)
    return SandboxMessage.objects.get()


def text(response: Any) -> str:
    return str(response.content.decode())


def policy(response: Any) -> dict[str, str]:
    parts = response["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


@pytest.mark.parametrize("path", PATHS)
def test_absent_outside_the_sandbox(client: Client, settings: Settings, path: str) -> None:
    settings.SANDBOX = False
    assert client.get(path).status_code == 404
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_for_staff_only(path: str, manager: User, client: Client) -> None:
    other = Client()
    response = other.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/login/?next={path}")
    other.force_login(manager)
    assert other.get(path).status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_nothing_can_be_posted(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def test_empty_mailbox_teaches(client: Client) -> None:
    shown = text(client.get("/sandbox/"))
    assert "No messages yet" in shown
    assert "EMAIL_URL" in shown


def test_newest_is_on_top_and_opened(client: Client, message: SandboxMessage) -> None:
    EmailMessage("Second mail", "hello", to=["bob@example.com"]).send()
    shown = text(client.get("/sandbox/"))
    assert shown.index("Second mail") < shown.index(message.subject)
    assert 'aria-current="true"' in shown
    assert "bob@example.com" in shown


def test_message_is_shown_in_a_frame_that_can_only_open_links(
    client: Client, message: SandboxMessage
) -> None:
    shown = text(client.get(f"/sandbox/{message.pk}/"))
    [frame] = re.findall(r"<iframe[^>]*>", shown)
    assert f'src="/sandbox/{message.pk}/document/"' in frame
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame


def test_document_has_a_tight_policy_of_its_own(client: Client, message: SandboxMessage) -> None:
    response = client.get(f"/sandbox/{message.pk}/document/")
    assert text(response) == message.html
    rules = policy(response)
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules
    assert rules["style-src"] == "'unsafe-inline'"
    assert rules["frame-ancestors"] == "'self'"
    assert rules["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert response["X-Frame-Options"] == "SAMEORIGIN"


def test_only_the_document_may_have_inline_styles(client: Client, message: SandboxMessage) -> None:
    for path in ("/sandbox/", f"/sandbox/{message.pk}/"):
        response = client.get(path)
        assert "unsafe-inline" not in response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY"


def test_buttons_lead_to_the_real_page(
    client: Client, message: SandboxMessage, staff: User
) -> None:
    document = text(client.get(f"/sandbox/{message.pk}/document/"))
    links = re.findall(r'href="http://testserver(/l/[^"]+)"', document)
    assert [link.partition("?choice=")[2] for link in links] == ["approved", "rejected", "modified"]
    assert client.get(links[0], follow=True).status_code == 200
    assert 'target="_blank"' in document


def test_text_and_headers_have_their_views(client: Client, message: SandboxMessage) -> None:
    plain = text(client.get(f"/sandbox/{message.pk}/?view=text"))
    assert "APPROVAL NEEDED" in plain
    assert '<a href="http://testserver/l/' in plain
    assert "<iframe" not in plain
    headers = text(client.get(f"/sandbox/{message.pk}/?view=headers"))
    assert "Message-ID" in headers
    assert "auto-generated" in headers


def test_mail_without_html_shows_its_text(client: Client) -> None:
    EmailMessage("Plain", "only words", to=["bob@example.com"]).send()
    shown = text(client.get(f"/sandbox/{SandboxMessage.objects.get().pk}/"))
    assert "only words" in shown
    assert "<iframe" not in shown


def test_phone_width_is_a_link_away(client: Client, message: SandboxMessage) -> None:
    assert "mail-phone" in text(client.get(f"/sandbox/{message.pk}/?width=phone"))
    assert "mail-wide" in text(client.get(f"/sandbox/{message.pk}/?width=huge"))


def test_hostile_mail_stays_text_outside_its_frame(client: Client) -> None:
    EmailMessage(HOSTILE, HOSTILE, to=["bob@example.com"]).send()
    for path in ("/sandbox/", "/sandbox/list/"):
        assert "<script>alert" not in text(client.get(path))
    pk = SandboxMessage.objects.get().pk
    for view in ("text", "headers"):
        assert "<script>alert" not in text(client.get(f"/sandbox/{pk}/?view={view}"))


def test_fragment_is_the_list_alone(client: Client, message: SandboxMessage) -> None:
    shown = text(client.get(f"/sandbox/list/?open={message.pk}&before="))
    assert message.subject in shown
    assert 'aria-current="true"' in shown
    assert "<html" not in shown
    assert client.get("/sandbox/list/?open=x&before=y").status_code == 200


def test_older_messages_are_pages_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.sandbox_pages.PAGE", 2)
    for number in range(5):
        EmailMessage(f"Mail {number}", "x", to=["bob@example.com"]).send()
    first = text(client.get("/sandbox/"))
    assert "Mail 4" in first
    assert "Mail 2" not in first
    [older] = re.findall(r'href="(/sandbox/\?before=\d+)"', first)
    second = text(client.get(older))
    assert "Mail 2" in second
    assert "Mail 4" not in second
    assert "Newest" in second


def test_unknown_message_is_404(client: Client) -> None:
    assert client.get("/sandbox/999/").status_code == 404
    assert client.get("/sandbox/999/document/").status_code == 404
