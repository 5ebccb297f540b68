"""The pages about webhooks: who gets in, what is shown, what each button does."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from events.models import WebhookEndpoint, WebhookMessage
from events.webhooks import endpoints, sending
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from tests.accounts.factories import TeamFactory
from tests.dashboard.browser import logged_in, text
from tests.receiver import receiver as running
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db
NEW = {"url": "https://hooks.example.com/in", "events": "workflow.*\nhuman.responded"}


@pytest.fixture
def mia(manager: User) -> Client:
    return logged_in(manager)


@pytest.fixture
def endpoint(team: Team) -> WebhookEndpoint:
    url = "https://hooks.example.com/in"
    return endpoints.create(team_id=team.pk, url=url, description="Platform").endpoint


def page_of(endpoint: WebhookEndpoint, name: str = "webhook", *more: Any) -> str:
    return reverse(name, args=[endpoint.pk, *more])


def test_adding_one_shows_the_secret_once(mia: Client) -> None:
    answer = mia.post("/webhooks/new/", NEW | {"description": "Ours", "signature": "v1"})
    [secret] = re.findall(r"whsec_[A-Za-z0-9+/=]+", text(answer))
    assert answer["Cache-Control"] == "no-store"
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.events == ["workflow.*", "human.responded"]
    assert secret not in text(mia.get(page_of(endpoint)))
    assert "Ours" in text(mia.get("/webhooks/"))


def test_what_cannot_work_comes_back_with_what_was_typed(mia: Client) -> None:
    answer = mia.post("/webhooks/new/", NEW | {"url": "https://10.0.0.1/<b>"})
    assert answer.status_code == 400
    page = text(answer)
    assert "public internet" in page
    assert "workflow.*\nhuman.responded" in page
    assert "https://10.0.0.1/<b>" not in page.replace("&lt;", "§")
    assert not WebhookEndpoint.objects.exists()


def test_whoever_manages_nothing_has_nothing_here(
    approver: User, viewer: User, stranger: User, endpoint: WebhookEndpoint
) -> None:
    for user in (approver, viewer):
        client = logged_in(user)
        assert client.get("/webhooks/").status_code == 403
        assert client.get("/webhooks/new/").status_code == 403
        assert client.post("/webhooks/new/", NEW).status_code == 403
        assert client.get(page_of(endpoint)).status_code == 403
        assert client.post(page_of(endpoint, "webhook-rotate"), {"overlap": "0"}).status_code == 403
        assert "/webhooks/" not in text(client.get("/"))
    theirs = logged_in(stranger)
    assert theirs.get(page_of(endpoint)).status_code == 404
    assert theirs.post(page_of(endpoint, "webhook-remove")).status_code == 404
    assert "Platform" not in text(theirs.get("/webhooks/"))
    assert WebhookEndpoint.objects.get().secrets.count() == 1
    assert Client().get("/webhooks/").status_code == 302


def test_looking_changes_nothing(mia: Client, endpoint: WebhookEndpoint) -> None:
    for name in ("change", "switch", "test", "rotate", "replay", "remove"):
        answer = mia.get(page_of(endpoint, f"webhook-{name}"))
        assert (answer.status_code, answer["Location"]) == (302, page_of(endpoint))
    found = WebhookEndpoint.objects.get()
    assert (found.is_active, found.secrets.count(), found.messages.count()) == (True, 1, 0)


def test_the_log_shows_request_and_answer(
    mia: Client, endpoint: WebhookEndpoint, agent: Agent, settings: Settings
) -> None:
    with running() as receiver:
        settings.OUTBOUND_ALLOW, settings.OUTBOUND_ALLOW_HTTP = [receiver.allow], True
        WebhookEndpoint.objects.update(url=receiver.url)
        receiver.status, receiver.answer = 500, b"<script>alert(1)</script>"
        make_workflow(agent)
        sending.drain(endpoint.pk)
        message = WebhookMessage.objects.get()
        assert "The endpoint answered 500." in text(mia.get(page_of(endpoint)))
        shown = text(mia.get(page_of(endpoint, "webhook-message", message.pk)))
        assert "&lt;script&gt;alert(1)" in shown
        assert "<script>alert(1)" not in shown
        assert message.webhook_id in shown
        receiver.status = 200
        answer = mia.post(page_of(endpoint, "webhook-resend", message.pk), follow=True)
        assert "On its way again." in text(answer)
        sending.drain(endpoint.pk)
    message.refresh_from_db()
    assert (message.status, message.attempts) == ("delivered", 2)
    assert "Delivered" in text(mia.get(page_of(endpoint) + "?status=delivered"))


def test_a_message_of_another_endpoint_is_not_found(
    mia: Client, team: Team, endpoint: WebhookEndpoint
) -> None:
    message = endpoints.send_test(endpoint.pk)
    other = endpoints.create(team_id=team.pk, url="https://other.example.com/").endpoint
    assert mia.get(page_of(other, "webhook-message", message.pk)).status_code == 404
    assert mia.post(page_of(other, "webhook-resend", message.pk)).status_code == 404
    assert mia.get(page_of(endpoint, "webhook-message", uuid4())).status_code == 404


def test_the_buttons(mia: Client, endpoint: WebhookEndpoint, agent: Agent) -> None:
    mia.post(page_of(endpoint, "webhook-test"))
    assert WebhookMessage.objects.get().type == "webhook.test"

    mia.post(page_of(endpoint, "webhook-switch"), {"to": "off"})
    make_workflow(agent)
    refused = mia.post(page_of(endpoint, "webhook-test"))
    assert refused.status_code == 409
    assert "Switch the endpoint on first." in text(refused)
    mia.post(page_of(endpoint, "webhook-switch"), {"to": "on"})

    span = {"since": "2020-01-01T00:00", "until": "2100-01-01T00:00"}
    said = text(mia.post(page_of(endpoint, "webhook-replay"), span, follow=True))
    assert "1 message on the way." in said
    assert mia.post(page_of(endpoint, "webhook-replay"), {"since": "x"}).status_code == 400

    rotated = text(
        mia.post(page_of(endpoint, "webhook-rotate"), {"overlap": "2", "signature": "v1a"})
    )
    assert "whpk_" in rotated
    for wrong in ("", "-1", "169", "²", "9" * 400):
        assert mia.post(page_of(endpoint, "webhook-rotate"), {"overlap": wrong}).status_code == 400

    mia.post(page_of(endpoint, "webhook-change"), NEW | {"format": "cloudevents"})
    assert WebhookEndpoint.objects.get().body_format == "cloudevents"
    mia.post(page_of(endpoint, "webhook-remove"))
    assert not WebhookEndpoint.objects.exists()


def test_a_banner_tells_managers_of_what_switched_itself_off(
    mia: Client, endpoint: WebhookEndpoint, approver: User
) -> None:
    assert "switched off" not in text(mia.get("/"))
    WebhookEndpoint.objects.update(
        is_active=False, disabled_reason="gone", disabled_at=endpoint.created_at
    )
    assert "switched off" in text(mia.get("/"))
    assert "It answered 410 Gone" in text(mia.get("/webhooks/"))
    assert "What waited is parked" in text(mia.get(page_of(endpoint)))
    assert "switched off" not in text(logged_in(approver).get("/"))


def test_pages_of_the_log(mia: Client, endpoint: WebhookEndpoint, agent: Agent) -> None:
    for _ in range(30):
        endpoints.send_test(endpoint.pk)
    first = text(mia.get(page_of(endpoint)))
    [cursor] = re.findall(r"cursor=([^\"]+)\"", first)
    assert first.count("hook-type") == 25
    assert text(mia.get(page_of(endpoint) + f"?cursor={cursor}")).count("hook-type") == 5
    assert text(mia.get(page_of(endpoint) + "?cursor=x&status=x")).count("hook-type") == 25


def test_several_teams_are_told_apart(
    mia: Client, manager: User, endpoint: WebhookEndpoint
) -> None:
    second = TeamFactory(name="Second")
    add_member(second, manager, Role.MANAGER)
    assert mia.post("/webhooks/new/", NEW | {"team": str(second.pk)}).status_code == 200
    assert WebhookEndpoint.objects.filter(team=second).count() == 1
    page = text(mia.get("/webhooks/"))
    assert "Second" in page
    assert mia.post("/webhooks/new/", NEW | {"team": str(uuid4())}).status_code == 404
    assert mia.post("/webhooks/new/", NEW | {"team": "x"}).status_code == 404
