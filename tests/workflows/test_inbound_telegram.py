"""Answers inside Telegram, from the outside: updates in, one verdict, the message rewritten."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from deliveries.models import Delivery
from hitl.accounts import linking
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, Membership, User
from hitl.celery import app
from tests.standins.server import Post
from tests.standins.telegram import ANN, GROUP, SECRET, TOKEN, Telegram, buttons
from tests.workflows.answering import refusals, send, state, told, verdicts, wait_for
from tests.workflows.factories import REFUND, ActionTypeFactory, decide, make_workflow
from tests.workflows.policy_samples import demand_second_factor
from workflows.models import Decision, Status, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
CARL, EVE = 5550002, 5550003
PUBLIC = "https://approvals.example.com"


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def telegram(settings: Settings, approver: User, colleague: User) -> Iterator[Telegram]:
    """Ann and Carl have started the bot and are reached by nothing else."""
    server = Telegram()
    server.chats |= {CARL: {}, EVE: {}}
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    settings.TELEGRAM_API_URL = server.url
    settings.PUBLIC_URL = PUBLIC
    settings.ALLOWED_HOSTS = [*django_settings.ALLOWED_HOSTS, "approvals.example.com"]
    link(approver, "telegram", str(ANN))
    link(colleague, "telegram", str(CARL))
    with server.running():
        yield server


@pytest.fixture
def workflow(telegram: Telegram, agent: Agent) -> Workflow:
    return make_workflow(agent)


def post(telegram: Telegram, update: Post) -> Any:
    """Deliver an update, and let Telegram carry out what stands in the answer."""
    answer = send(update)
    assert answer.status_code == 200
    telegram.take(answer.content)
    return answer


def newest(telegram: Telegram, chat: int = ANN) -> Any:
    return telegram.messages(chat)[-1]


def alert(telegram: Telegram) -> str:
    """What pops up over the chat of whoever pressed."""
    return str(telegram.alerts[-1].get("text", ""))


def question(telegram: Telegram) -> Any:
    """The message that asks for the reason."""
    return wait_for(
        lambda: [each for each in telegram.messages() if "force_reply" in each["reply_markup"]]
    )[-1]


# --- It works -------------------------------------------------------------------------------------


def test_approve_decides_and_every_copy_says_so(
    telegram: Telegram, workflow: Workflow, approver: User
) -> None:
    post(telegram, telegram.press("Approve"))

    decision = Decision.objects.get(workflow=workflow)
    assert state(workflow) == Status.APPROVED
    assert (decision.user, decision.channel, decision.strength) == (
        approver,
        "telegram",
        "telegram",
    )
    assert decision.fingerprint == workflow.fingerprint
    for chat in (ANN, CARL):
        (message,) = telegram.messages(chat)
        assert "Approved by Ann Approver in Telegram" in message["text"]
        assert buttons(message) == []
    assert alert(telegram) == ""


def test_reject_asks_for_the_reason_and_takes_it(telegram: Telegram, workflow: Workflow) -> None:
    post(telegram, telegram.press("Reject"))
    asked = question(telegram)
    assert state(workflow) == Status.PENDING

    post(telegram, telegram.write("Wrong order", reply_to=asked))

    workflow.refresh_from_db()
    assert (workflow.status, workflow.feedback) == (Status.REJECTED, "Wrong order")
    assert "Rejected by Ann Approver" in telegram.messages()[0]["text"]


def test_edit_leads_to_the_personal_page(telegram: Telegram, workflow: Workflow) -> None:
    (edit,) = (each for each in buttons(newest(telegram)) if each["text"].startswith("Edit"))
    path = urlsplit(edit["url"])

    page = Client(HTTP_HOST="approvals.example.com").get(
        f"{path.path}?{path.query}", follow=True, secure=True
    )

    assert edit["url"].startswith(f"{PUBLIC}/l/")
    assert page.status_code == 200
    assert b"Amount" in page.content
    assert state(workflow) == Status.PENDING


def test_decision_elsewhere_rewrites_the_message(
    telegram: Telegram, workflow: Workflow, colleague: User
) -> None:
    decide(workflow, colleague, "rejected", comment="No")
    (message,) = telegram.messages()
    assert "Rejected by Carl Colleague in dashboard" in message["text"]
    assert buttons(message) == []


def test_vote_among_several_is_confirmed_as_one(telegram: Telegram, workflow: Workflow) -> None:
    both = deepcopy(workflow.policy)
    both["stages"][0]["need"]["count"] = 2
    Workflow.objects.filter(pk=workflow.pk).update(policy=both)

    post(telegram, telegram.press("Approve"))

    assert wait_for(lambda: "still waits for others" in newest(telegram)["text"])
    assert state(workflow) == Status.PENDING


# --- It is too late, or somebody else -------------------------------------------------------------


def test_loser_hears_who_was_first_and_the_button_goes(
    telegram: Telegram, workflow: Workflow, colleague: User
) -> None:
    late = telegram.press("Approve")
    decide(workflow, colleague, "rejected", comment="No")

    post(telegram, late)

    assert "Already rejected by Carl Colleague in dashboard" in alert(telegram)
    assert telegram.alerts[-1]["show_alert"] is True
    assert state(workflow) == Status.REJECTED


def test_reason_that_comes_too_late_is_told(
    telegram: Telegram, workflow: Workflow, colleague: User
) -> None:
    post(telegram, telegram.press("Reject"))
    asked = question(telegram)
    decide(workflow, colleague)

    post(telegram, telegram.write("Wrong order", reply_to=asked))

    assert "Already approved by Carl Colleague" in newest(telegram)["text"]
    assert state(workflow) == Status.APPROVED


def test_reason_after_the_deadline_decides_nothing(telegram: Telegram, workflow: Workflow) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=workflow.created_at)
    post(telegram, telegram.press("Approve"))
    assert "deadline" in alert(telegram)
    assert state(workflow) == Status.PENDING


def test_stranger_who_presses_hears_how_to_link_and_is_recorded(
    telegram: Telegram, workflow: Workflow
) -> None:
    post(telegram, telegram.press("Approve", by=EVE))

    assert "/me/" in alert(telegram)
    assert state(workflow) == Status.PENDING
    (refusal,) = refusals(workflow)
    assert (refusal.source, refusal.actor["id"]) == ("telegram", str(EVE))


def test_colleague_may_press_in_anothers_chat_as_himself(
    telegram: Telegram, workflow: Workflow, colleague: User
) -> None:
    post(telegram, telegram.press("Approve", by=CARL))
    assert Decision.objects.get(workflow=workflow).user == colleague


def test_person_who_left_decides_nothing(
    telegram: Telegram, workflow: Workflow, approver: User
) -> None:
    Membership.objects.filter(user=approver).delete()
    post(telegram, telegram.press("Approve"))
    assert "not a member" in alert(telegram)
    assert state(workflow) == Status.PENDING


def test_unlinked_chat_decides_nothing(
    telegram: Telegram, workflow: Workflow, approver: User
) -> None:
    ContactPoint.objects.filter(user=approver, kind="telegram").delete()
    post(telegram, telegram.press("Approve"))
    assert state(workflow) == Status.PENDING


def test_button_of_another_message_decides_nothing(
    telegram: Telegram, workflow: Workflow, agent: Agent
) -> None:
    (harmless,) = telegram.messages()
    costly = make_workflow(agent, action_data=REFUND | {"amount": 9000})
    data = buttons(newest(telegram))[0]["callback_data"]

    post(telegram, telegram.press_data(data, harmless))

    assert "does not belong to this message" in alert(telegram)
    assert (state(workflow), state(costly)) == (Status.PENDING, Status.PENDING)


def test_forwarded_button_decides_nothing(telegram: Telegram, workflow: Workflow) -> None:
    message = deepcopy(newest(telegram))
    data = buttons(message)[0]["callback_data"]
    post(telegram, telegram.press_data(data, message, chat=GROUP, by=EVE))
    assert state(workflow) == Status.PENDING


# --- Risk -----------------------------------------------------------------------------------------


def test_high_risk_has_no_deciding_button(telegram: Telegram, agent: Agent) -> None:
    ActionTypeFactory(team=agent.team, name="deploy.production", risk="high")
    make_workflow(agent, action_type="deploy.production")
    assert all("callback_data" not in each for each in buttons(newest(telegram)))


def test_button_decides_nothing_once_the_risk_is_high(
    telegram: Telegram, workflow: Workflow
) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(risk="high")
    post(telegram, telegram.press("Approve"))
    assert "log in" in alert(telegram)
    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1


@pytest.mark.parametrize("button", ["Approve", "Reject"])
def test_button_decides_nothing_where_a_second_factor_is_wanted(
    telegram: Telegram, workflow: Workflow, button: str
) -> None:
    demand_second_factor(workflow)
    post(telegram, telegram.press(button))
    assert "second factor" in alert(telegram)
    assert alert(telegram).endswith(f"/workflows/{workflow.pk}/")
    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1


def test_what_is_not_shown_in_full_is_approved_on_the_page(
    telegram: Telegram, agent: Agent
) -> None:
    make_workflow(agent, action_data={f"field{n}": "x" * 400 for n in range(30)}, ui_schema=None)
    approve = buttons(newest(telegram))[0]
    assert approve["text"] == "Approve"
    assert approve["url"].startswith(f"{PUBLIC}/l/")


# --- Forged and repeated --------------------------------------------------------------------------


def test_forged_updates_change_nothing(telegram: Telegram, workflow: Workflow) -> None:
    good = telegram.press("Approve")
    name = "X-Telegram-Bot-Api-Secret-Token"
    bad = [
        replace(good, headers={}),
        replace(good, headers={name: "wrong"}),
        replace(good, headers={name: ""}),
        replace(good, headers={name: SECRET + "x"}),
        replace(good, content_type="text/plain"),
        replace(good, body=b"{"),
    ]
    assert [send(update).status_code for update in bad] == [401] * len(bad)
    assert state(workflow) == Status.PENDING


def test_same_update_ten_times_has_one_effect(telegram: Telegram, workflow: Workflow) -> None:
    update = telegram.press("Approve")
    assert {send(update).status_code for _ in range(10)} == {200}
    assert (verdicts(workflow), told(workflow).count("human.responded")) == (1, 1)


def test_reason_posted_again_rejects_once(telegram: Telegram, workflow: Workflow) -> None:
    post(telegram, telegram.press("Reject"))
    update = telegram.write("Wrong order", reply_to=question(telegram))
    for _ in range(3):
        send(update)
    assert (verdicts(workflow), told(workflow).count("human.responded")) == (1, 1)


# --- Words, and the start of a link ---------------------------------------------------------------


def test_words_decide_nothing(telegram: Telegram, workflow: Workflow) -> None:
    for text in ("approve", "YES", "/approve", "no"):
        post(telegram, telegram.write(text))
    assert state(workflow) == Status.PENDING


def test_strangers_words_are_not_answered(telegram: Telegram, workflow: Workflow) -> None:
    answer = send(telegram.write("hello", chat=EVE, by=EVE))
    assert answer.content == b""
    assert telegram.messages(EVE) == []


def test_start_with_the_code_links_the_chat(
    telegram: Telegram, approver: User, agent: Agent
) -> None:
    ContactPoint.objects.filter(kind="telegram").delete()
    code = linking.issue(approver, "telegram")

    post(telegram, telegram.write(f"/start {code}", chat=EVE, by=EVE))
    assert wait_for(lambda: telegram.messages(EVE))[-1]["text"].startswith("Linked:")
    make_workflow(agent)

    point = ContactPoint.objects.get(kind="telegram")
    assert (point.user, point.address) == (approver, str(EVE))
    assert "Refund order A-1009" in newest(telegram, EVE)["text"]


def test_code_links_once(telegram: Telegram, approver: User) -> None:
    code = linking.issue(approver, "telegram")
    ContactPoint.objects.filter(user=approver, kind="telegram").delete()
    post(telegram, telegram.write(f"/start {code}", chat=EVE, by=EVE))

    post(telegram, telegram.write(f"/start {code}", chat=CARL, by=CARL))

    assert "expired" in newest(telegram, CARL)["text"]
    assert ContactPoint.objects.get(user=approver, kind="telegram").address == str(EVE)


@pytest.mark.parametrize("code", ["x", "wrong-code", "a" * 64, "<script>"])
def test_unknown_code_links_nobody(telegram: Telegram, code: str) -> None:
    before = set(ContactPoint.objects.values_list("pk", flat=True))
    post(telegram, telegram.write(f"/start {code}", chat=EVE, by=EVE))
    assert set(ContactPoint.objects.values_list("pk", flat=True)) == before


def test_linked_chat_of_somebody_else_stays_theirs(telegram: Telegram, approver: User) -> None:
    code = linking.issue(approver, "telegram")
    post(telegram, telegram.write(f"/start {code}", chat=CARL, by=CARL))
    assert ContactPoint.objects.get(address=str(CARL)).user.name == "Carl Colleague"


# --- Links in it ----------------------------------------------------------------------------------


def test_buttons_hold_no_more_than_the_deliverys_id(telegram: Telegram, workflow: Workflow) -> None:
    delivery = Delivery.objects.get(workflow=workflow, recipient=str(ANN))
    data = [each["callback_data"] for each in buttons(newest(telegram)) if "callback_data" in each]
    assert [re.sub("^.:", "", each) for each in data] == [delivery.pk.hex] * 2
    assert "token" not in json.dumps(delivery.metadata)
