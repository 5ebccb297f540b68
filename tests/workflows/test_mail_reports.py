"""What becomes of mails after a provider took them, as Postmark and Mailgun report it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from deliveries import services
from deliveries.channels.base import Receipt
from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, User
from hitl.celery import app
from tests.standins.mail_providers import (
    TRACKING,
    Mailgun,
    MailProvider,
    Postmark,
    authorised,
    configured,
)
from tests.standins.server import Post
from tests.standins.telegram import ANN as ANNS_CHAT
from tests.standins.telegram import SECRET as TELEGRAM_SECRET
from tests.standins.telegram import TOKEN, Telegram
from tests.workflows.factories import make_workflow
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)
ANN = "ann@example.com"


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture(params=[Postmark, Mailgun], ids=["postmark", "mailgun"])
def provider(
    request: pytest.FixtureRequest, settings: Settings, approver: User
) -> Iterator[MailProvider]:
    server: MailProvider = request.param()
    with configured(server, settings):
        yield server


@pytest.fixture
def telegram(settings: Settings, approver: User) -> Iterator[Telegram]:
    """Ann's second channel, for when mail fails."""
    server = Telegram()
    with server.running():
        settings.TELEGRAM_API_URL = server.url
        settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, TELEGRAM_SECRET
        link(approver, "telegram", str(ANNS_CHAT))
        ContactPoint.objects.filter(kind="telegram").update(use=ContactPoint.Use.FALLBACK)
        yield server


@pytest.fixture
def workflow(provider: MailProvider, agent: Agent) -> Workflow:
    return make_workflow(agent)


def send(post: Post) -> int:
    """Post it to the server as the provider would."""
    client, headers = Client(), post.headers
    answer = client.post(post.path, post.body, content_type=post.content_type, headers=headers)
    return answer.status_code


def the_mail(workflow: Workflow) -> Delivery:
    return Delivery.objects.get(workflow=workflow, channel="email")


def fate(workflow: Workflow) -> tuple[str, str]:
    delivery = the_mail(workflow)
    return delivery.status, delivery.last_error


def told(workflow: Workflow) -> list[str]:
    return list(Event.objects.filter(workflow=workflow).values_list("type", flat=True))


def test_sent_under_the_providers_id(provider: MailProvider, workflow: Workflow) -> None:
    assert the_mail(workflow).status == "sent"
    assert the_mail(workflow).provider_id == provider.to(ANN).id


def test_delivered(provider: MailProvider, workflow: Workflow) -> None:
    assert send(provider.delivered(provider.to(ANN).id)) == 200
    assert fate(workflow) == ("delivered", "")
    assert the_mail(workflow).delivered_at is not None


def test_bounced_says_why(provider: MailProvider, workflow: Workflow) -> None:
    assert send(provider.bounced(provider.to(ANN).id, "550 5.1.1 no such user")) == 200
    status, error = fate(workflow)
    assert status == "failed"
    assert error == "The receiver's mail server sent the mail back: 550 5.1.1 no such user"
    assert told(workflow)[-2:] == ["delivery.failed", "delivery.undeliverable"]


def test_bounce_turns_to_the_persons_next_channel(
    provider: MailProvider, telegram: Telegram, workflow: Workflow
) -> None:
    send(provider.bounced(provider.to(ANN).id))
    assert "Refund order A-1009" in telegram.messages()[-1]["text"]
    assert told(workflow)[-2:] == ["delivery.failed", "approval.sent.telegram"]


def test_bounce_that_quotes_the_link_keeps_it_secret(
    provider: MailProvider, workflow: Workflow
) -> None:
    send(
        provider.bounced(provider.to(ANN).id, "550 spam: http://testserver/l/secret/?choice=x <b>")
    )
    assert "secret" not in fate(workflow)[1]
    assert "secret" not in str(list(Event.objects.values_list("data")))


def test_complaint_is_noted_and_takes_nothing_back(
    provider: MailProvider, workflow: Workflow
) -> None:
    send(provider.complained(provider.to(ANN).id))
    status, error = fate(workflow)
    assert status == "delivered"
    assert "unwanted" in error
    assert "delivery.failed" not in told(workflow)


def test_opening_a_mail_is_no_view(provider: MailProvider, workflow: Workflow) -> None:
    assert send(provider.opened(provider.to(ANN).id)) == 200
    assert fate(workflow) == ("sent", "")
    assert "human.viewed" not in told(workflow)


def test_passing_failure_changes_nothing(settings: Settings, approver: User, agent: Agent) -> None:
    mailgun, postmark = Mailgun(), Postmark()
    with configured(mailgun, settings):
        workflow = make_workflow(agent)
        send(mailgun.bounced(mailgun.to(ANN).id, "450 later", severity="temporary"))
        assert fate(workflow) == ("sent", "")
    with configured(postmark, settings):
        workflow = make_workflow(agent)
        send(postmark.bounced(postmark.to(ANN).id, "450 later", kind="Transient"))
        assert fate(workflow) == ("sent", "")


@pytest.mark.parametrize("order", ["bd", "dbd", "ddb", "bbd"])
def test_status_never_goes_backwards(
    provider: MailProvider, workflow: Workflow, order: str
) -> None:
    mail_id = provider.to(ANN).id
    posts = {"d": provider.delivered, "b": provider.bounced}
    for letter in order:
        assert send(posts[letter](mail_id)) == 200
    assert fate(workflow)[0] == ("delivered" if order[0] == "d" else "failed")
    assert told(workflow).count("delivery.failed") == (0 if order[0] == "d" else 1)


def test_bounce_after_delivery_is_noted(provider: MailProvider, workflow: Workflow) -> None:
    send(provider.delivered(provider.to(ANN).id))
    send(provider.bounced(provider.to(ANN).id))
    assert fate(workflow)[0] == "delivered"
    assert "sent the mail back" in fate(workflow)[1]


def test_report_that_comes_before_our_own_note_is_not_lost(
    provider: MailProvider, workflow: Workflow
) -> None:
    mail_id = provider.to(ANN).id
    row = Delivery.objects.filter(workflow=workflow)
    # As if the worker had not come round to noting what the provider has just answered.
    now = workflow.created_at
    row.update(status="pending", sent_at=None, provider_id="", claimed_at=now, next_retry_at=now)

    send(provider.bounced(mail_id))
    delivery = row.get()
    assert delivery.status == "pending"
    services.settle_success(delivery, Receipt({"messageId": mail_id}))

    assert fate(workflow)[0] == "failed"
    assert told(workflow).count("delivery.failed") == 1


def test_unknown_mails_are_nobodys(provider: MailProvider, workflow: Workflow) -> None:
    for post in (provider.delivered("<unknown@x>"), provider.bounced("y"), provider.opened("")):
        assert send(post) == 200
    assert fate(workflow) == ("sent", "")


def test_posts_without_the_secret_are_refused(provider: MailProvider, workflow: Workflow) -> None:
    good = provider.bounced(provider.to(ANN).id)
    for headers in ({}, authorised("hitl:wrong"), {"Authorization": "Basic !!"}):
        assert send(replace(good, headers=headers)) == 401
    assert fate(workflow) == ("sent", "")


def test_mailguns_own_signature_is_needed_too(settings: Settings, agent: Agent) -> None:
    mailgun = Mailgun()
    with configured(mailgun, settings):
        workflow = make_workflow(agent)
        event = mailgun.event(mailgun.to(ANN).id, "delivered")
        assert send(mailgun.tracking(event, key="wrong")) == 401
        assert send(Post(TRACKING, b"{}", "application/json", authorised())) == 401
        assert fate(workflow) == ("sent", "")


def test_without_a_secret_there_is_no_door(
    provider: MailProvider, workflow: Workflow, settings: Settings
) -> None:
    good = provider.delivered(provider.to(ANN).id)
    settings.ANYMAIL = settings.ANYMAIL | {"WEBHOOK_SECRET": []}
    assert send(good) == 404


def test_post_to_the_wrong_address_is_taken_and_forgotten(
    provider: MailProvider, workflow: Workflow
) -> None:
    good: Any = provider.delivered(provider.to(ANN).id)
    assert send(replace(good, path="/webhooks/email/callback")) == 401
    assert send(replace(good, path="/webhooks/email/inbound")) == 200
    assert fate(workflow) == ("sent", "")
