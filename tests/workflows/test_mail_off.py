"""List-Unsubscribe: one POST stops mails, looking does not, and no request hears of it."""

import re
from typing import Any

import pytest
from django.core import mail, signing
from django.test import Client
from pytest_django import Settings

from deliveries import services as deliveries
from deliveries.channels.email import opt_out
from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, User
from hitl.lib.errors import InvalidInput
from tests.standins.telegram import SECRET, TOKEN
from tests.workflows.factories import make_workflow
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
ANN = "ann@example.com"


@pytest.fixture
def workflow(agent: Agent) -> Workflow:
    return make_workflow(agent)


@pytest.fixture
def headers(workflow: Workflow) -> dict[str, str]:
    """Those of the mail to Ann."""
    deliveries.send(Delivery.objects.get(workflow=workflow, recipient=ANN).pk)
    return {name: str(value) for name, value in mail.outbox[-1].extra_headers.items()}


@pytest.fixture
def page(headers: dict[str, str]) -> str:
    """The path in List-Unsubscribe."""
    found = re.fullmatch(r"<http://testserver(/mail/off/[\w:-]+/)>", headers["List-Unsubscribe"])
    assert found
    return found[1]


@pytest.fixture
def telegram(settings: Settings, approver: User) -> None:
    """Ann's other way."""
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    link(approver, "telegram", "5550001")


def one_click(page: str) -> Any:
    """What a mail service posts (RFC 8058, section 3.2): no cookie, no page, no referrer."""
    client = Client(enforce_csrf_checks=True)
    return client.post(page, {"List-Unsubscribe": "One-Click"})


def use() -> str:
    return ContactPoint.objects.get(kind="email", address=ANN).use


def asked(agent: Agent) -> set[str]:
    rows = Delivery.objects.filter(workflow=make_workflow(agent), user__email=ANN)
    return set(rows.values_list("channel", flat=True))


def test_one_click_is_offered_over_https_only(
    workflow: Workflow, settings: Settings, headers: dict[str, str]
) -> None:
    assert "List-Unsubscribe-Post" not in headers
    settings.PUBLIC_URL = "https://approvals.example.com"
    found = opt_out.headers(str(workflow.pk))
    assert found["List-Unsubscribe"].startswith("<https://approvals.example.com/mail/off/")
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_looking_changes_nothing(page: str, workflow: Workflow) -> None:
    for _ in range(20):
        assert Client().get(page).status_code == 200
        assert Client().head(page).status_code == 200
    assert Client().options(page).status_code == 405
    assert use() == "always"
    assert Event.objects.filter(workflow=workflow).exclude(type__startswith="approval").count() == 1


def test_one_click_leaves_mail_for_when_the_others_fail(
    agent: Agent, telegram: None, page: str
) -> None:
    assert one_click(page).status_code == 200
    assert use() == "fallback"
    assert asked(agent) == {"telegram"}


def test_whoever_has_nothing_else_gets_no_mail_at_all(
    agent: Agent, colleague: User, page: str
) -> None:
    said = one_click(page).content.decode()
    assert use() == "off"
    assert asked(agent) == set()
    assert "in your inbox here only" in said


def test_it_can_be_taken_back(agent: Agent, page: str) -> None:
    one_click(page)
    Client().post(page, {"mails": "on"})
    assert use() == "always"
    assert asked(agent) == {"email"}


def test_again_changes_nothing(page: str) -> None:
    for _ in range(3):
        assert one_click(page).status_code == 200
    assert use() == "off"


def test_page_says_what_would_happen(telegram: None, page: str) -> None:
    said = Client().get(page).content.decode()
    assert ANN in said
    assert "asked by Telegram, and by mail only where that fails" in said
    assert "none is approved, rejected or taken from you" in said


def test_agent_hears_when_nobody_is_left_to_ask(agent: Agent, page: str) -> None:
    one_click(page)
    with pytest.raises(InvalidInput, match="Nobody who is asked can be reached"):
        make_workflow(agent)


def test_person_without_a_contact_point_can_do_it_too(
    agent: Agent, approver: User, colleague: User, page: str
) -> None:
    ContactPoint.objects.filter(user=approver).delete()
    one_click(page)
    assert use() == "off"
    assert asked(agent) == set()


def test_mailbox_that_is_somebody_elses_by_now_is_left_alone(approver: User, page: str) -> None:
    ContactPoint.objects.filter(user=approver).delete()
    User.objects.filter(pk=approver.pk).update(email="ann@elsewhere.example")
    assert one_click(page).status_code == 404
    assert not ContactPoint.objects.exclude(use="always").exists()


def test_tokens_we_never_made_are_unknown(page: str, workflow: Workflow) -> None:
    delivery = str(Delivery.objects.filter(workflow=workflow).values_list("pk", flat=True)[0])
    token = page.removeprefix("/mail/off/").rstrip("/")
    ours = [signing.dumps(each, salt=opt_out.SALT) for each in ("{}", str(workflow.pk))]
    for wrong in ("x", delivery, token[:-1], token + "x", signing.dumps(delivery), *ours):
        assert one_click(f"/mail/off/{wrong}/").status_code == 404
    assert use() == "always"


def test_token_opens_nothing_else(page: str, headers: dict[str, str]) -> None:
    token = page.removeprefix("/mail/off/").rstrip("/")
    assert Client().get(f"/l/{token}/").status_code == 404
    found = re.search(r"/l/([\w-]+)/", str(mail.outbox[-1].body))
    assert found
    assert one_click(f"/mail/off/{found[1]}/").status_code == 404


def test_page_is_kept_out_of_caches_and_logs(page: str) -> None:
    answer = Client().get(page)
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "noindex" in answer["X-Robots-Tag"]
