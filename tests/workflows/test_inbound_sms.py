"""Answers by text message, from the outside: Twilio's signed posts in, one verdict, a word back."""

import datetime as dt
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from pytest_django import Settings

from deliveries import services as deliveries
from deliveries.channels.base import Receipt
from deliveries.models import Delivery, ReplyCode
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, ContactPoint, Membership, User
from hitl.celery import app
from hitl.lib.db import database_now
from tests.standins.telegram import ANN as ANNS_CHAT
from tests.standins.telegram import SECRET as TELEGRAM_SECRET
from tests.standins.telegram import TOKEN as TELEGRAM_TOKEN
from tests.standins.telegram import Telegram
from tests.standins.twilio import ACCOUNT, ANN, CALLBACK, NUMBER, PUBLIC, TOKEN, Twilio, new_sid
from tests.workflows.answering import refusals, send, state, told, verdicts, wait_for
from tests.workflows.factories import ActionTypeFactory, ask_again, decide, make_workflow
from tests.workflows.policy_samples import adopt, demand_second_factor, stage
from workflows.models import Decision, Status, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
CARL = "+447700900456"
WRONG = "ZZZZZ"


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def twilio(settings: Settings, approver: User, colleague: User) -> Iterator[Twilio]:
    """Ann and Carl can be texted and reached by nothing else."""
    server = Twilio()
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT, TOKEN
    settings.TWILIO_FROM, settings.TWILIO_API_URL = NUMBER, server.url
    settings.PUBLIC_URL = PUBLIC
    settings.ALLOWED_HOSTS = [*django_settings.ALLOWED_HOSTS, "approvals.example.com"]
    link(approver, "phone", ANN)
    link(colleague, "phone", CARL)
    with server.running():
        yield server


@pytest.fixture
def workflow(twilio: Twilio, agent: Agent) -> Workflow:
    """A request of low risk, which may be answered by text."""
    return ask(agent, "low")


def ask(agent: Agent, risk: str) -> Workflow:
    ActionTypeFactory(team=agent.team, name=f"a.{risk}", risk=risk)
    return make_workflow(agent, action_type=f"a.{risk}")


def texts(twilio: Twilio, number: str = ANN) -> list[str]:
    """What the phone shows."""
    return [message["Body"] for message in twilio.messages if message["To"] == number]


def code(twilio: Twilio, number: str = ANN) -> str:
    """The code in the newest text that has one."""
    found = [re.search(r"YES ([A-Z]{5})", text) for text in texts(twilio, number)]
    return [each[1] for each in found if each][-1]


def said(answer: Any) -> str:
    """What Twilio is told to text back."""
    return "".join(ET.fromstring(answer.content).itertext())  # noqa: S314 - we wrote it


def last(twilio: Twilio) -> str:
    return texts(twilio)[-1]


# --- It works -------------------------------------------------------------------------------------


def test_yes_with_the_code_approves(twilio: Twilio, workflow: Workflow, approver: User) -> None:
    answer = send(twilio.text(f"YES {code(twilio)}"))

    decision = Decision.objects.get(workflow=workflow)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/xml")
    assert (decision.user, decision.channel, decision.strength) == (approver, "sms", "sms")
    assert decision.fingerprint == workflow.fingerprint
    assert state(workflow) == Status.APPROVED
    assert wait_for(lambda: "Approved by Ann Approver in SMS" in last(twilio))


def test_no_with_a_reason_rejects(twilio: Twilio, workflow: Workflow) -> None:
    send(twilio.text(f"no {code(twilio).lower()} wrong order"))
    workflow.refresh_from_db()
    assert (workflow.status, workflow.feedback) == (Status.REJECTED, "wrong order")


def test_code_is_kept_as_a_keyed_digest(twilio: Twilio, workflow: Workflow) -> None:
    stored = str(list(ReplyCode.objects.values())) + str(list(Delivery.objects.values()))
    assert code(twilio) not in stored


def test_everybody_has_a_code_of_their_own(twilio: Twilio, workflow: Workflow) -> None:
    assert code(twilio) != code(twilio, CARL)


def test_several_requests_are_told_apart_by_their_codes(
    twilio: Twilio, workflow: Workflow, agent: Agent
) -> None:
    first = code(twilio)
    second = make_workflow(agent, action_type="a.low")

    send(twilio.text(f"YES {first}"))

    assert (state(workflow), state(second)) == (Status.APPROVED, Status.PENDING)


def test_vote_among_several_is_confirmed_as_one(twilio: Twilio, workflow: Workflow) -> None:
    both = deepcopy(workflow.policy)
    both["stages"][0]["need"]["count"] = 2
    Workflow.objects.filter(pk=workflow.pk).update(policy=both)

    send(twilio.text(f"YES {code(twilio)}"))

    assert wait_for(lambda: "still waits for others" in last(twilio))
    assert state(workflow) == Status.PENDING


# --- It is not clear, not known, or too late ------------------------------------------------------


@pytest.mark.parametrize("text", ["yes", "what?", "YES please do it", "STOPPING", "maybe {code}"])
def test_words_that_decide_nothing_are_asked_about(
    twilio: Twilio, workflow: Workflow, text: str
) -> None:
    answer = send(twilio.text(text.format(code=code(twilio))))
    assert "YES or NO with the code" in said(answer)
    assert state(workflow) == Status.PENDING


def test_strangers_words_are_not_answered(twilio: Twilio, workflow: Workflow) -> None:
    before = len(twilio.messages)
    answer = send(twilio.text("hello", sender="+15551234567"))
    assert said(answer) == ""
    assert len(twilio.messages) == before


def test_wrong_code_is_told(twilio: Twilio, workflow: Workflow) -> None:
    assert "not known or no longer valid" in said(send(twilio.text(f"YES {WRONG}")))
    assert state(workflow) == Status.PENDING


def test_sixth_try_is_refused_even_with_the_right_code(twilio: Twilio, workflow: Workflow) -> None:
    right = code(twilio)
    for _ in range(5):
        assert "not known" in said(send(twilio.text(f"YES {WRONG}")))

    assert "Too many wrong codes" in said(send(twilio.text(f"YES {right}")))
    assert state(workflow) == Status.PENDING


def test_right_codes_are_no_tries(twilio: Twilio, workflow: Workflow, agent: Agent) -> None:
    for _ in range(7):
        another = make_workflow(agent, action_type="a.low")
        send(twilio.text(f"YES {code(twilio)}"))
        assert state(another) == Status.APPROVED


def test_where_tries_cannot_be_counted_no_code_is_taken(
    twilio: Twilio, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(cache, "count", down, raising=False)
    answer = send(twilio.text(f"YES {code(twilio)}"))

    assert "Open the link" in said(answer)
    assert state(workflow) == Status.PENDING


def test_tries_of_one_number_do_not_lock_another_out(twilio: Twilio, workflow: Workflow) -> None:
    for _ in range(6):
        send(twilio.text(f"YES {WRONG}", sender=CARL))
    send(twilio.text(f"YES {code(twilio)}"))
    assert state(workflow) == Status.APPROVED


def test_code_is_good_for_minutes(twilio: Twilio, workflow: Workflow, settings: Settings) -> None:
    right = code(twilio)
    assert settings.REPLY_CODE_MINUTES == 10
    ReplyCode.objects.update(expires_at=database_now() - dt.timedelta(seconds=1))

    assert "no longer valid" in said(send(twilio.text(f"YES {right}")))
    assert state(workflow) == Status.PENDING


def test_code_of_another_number_is_unknown(twilio: Twilio, workflow: Workflow) -> None:
    answer = send(twilio.text(f"YES {code(twilio)}", sender=CARL))
    assert "not known" in said(answer)
    assert state(workflow) == Status.PENDING


def test_number_that_was_unlinked_decides_nothing(
    twilio: Twilio, workflow: Workflow, approver: User
) -> None:
    right = code(twilio)
    ContactPoint.objects.filter(user=approver, kind="phone").delete()

    assert "linked to nobody" in said(send(twilio.text(f"YES {right}")))
    assert state(workflow) == Status.PENDING
    assert [event.source for event in refusals(workflow)] == ["sms"]


def test_person_who_left_decides_nothing(
    twilio: Twilio, workflow: Workflow, approver: User
) -> None:
    Membership.objects.filter(user=approver).delete()
    assert "not a member" in said(send(twilio.text(f"YES {code(twilio)}")))
    assert state(workflow) == Status.PENDING


def test_loser_hears_who_was_first(twilio: Twilio, workflow: Workflow, colleague: User) -> None:
    decide(workflow, colleague, "rejected", comment="No")
    answer = send(twilio.text(f"YES {code(twilio)}"))
    assert "Already rejected by Carl Colleague in dashboard" in said(answer)
    assert state(workflow) == Status.REJECTED


def test_after_the_deadline_nothing_is_decided(twilio: Twilio, workflow: Workflow) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=workflow.created_at)
    assert "deadline" in said(send(twilio.text(f"YES {code(twilio)}")))
    assert state(workflow) == Status.PENDING


def test_earlier_round_decides_nothing(twilio: Twilio, workflow: Workflow, colleague: User) -> None:
    old = code(twilio)
    ask_again(workflow, colleague)
    assert "asked again" in said(send(twilio.text(f"YES {old}")))
    assert state(workflow) == Status.PENDING


def test_other_data_than_was_asked_about_is_not_approved(
    twilio: Twilio, workflow: Workflow
) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(fingerprint="sha256:" + "1" * 64)
    send(twilio.text(f"YES {code(twilio)}"))
    assert state(workflow) == Status.PENDING


# --- Risk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("risk", ["medium", "high"])
def test_more_than_low_risk_comes_without_a_code(twilio: Twilio, agent: Agent, risk: str) -> None:
    ask(agent, risk)
    (text,) = texts(twilio)
    assert "YES" not in text
    assert f"{PUBLIC}/l/" in text


@pytest.mark.parametrize("risk", ["medium", "high"])
def test_code_decides_nothing_once_the_risk_is_higher(
    twilio: Twilio, workflow: Workflow, risk: str
) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(risk=risk)

    assert "log in" in said(send(twilio.text(f"YES {code(twilio)}")))

    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1


# --- Forged and repeated --------------------------------------------------------------------------


def test_forged_posts_change_nothing(twilio: Twilio, workflow: Workflow) -> None:
    fields = {"From": ANN, "Body": f"YES {code(twilio)}", "MessageSid": new_sid("SM")}
    good = twilio.post(fields | {"AccountSid": ACCOUNT})
    bad = [
        twilio.post(fields | {"AccountSid": ACCOUNT}, token="another"),
        twilio.post(fields | {"AccountSid": ACCOUNT}, address="https://evil.example" + CALLBACK),
        twilio.post(fields | {"AccountSid": "AC" + "f" * 32}),
        replace(good, headers={}),
        replace(good, body=good.body.replace(b"YES", b"NO")),
    ]
    assert [send(post).status_code for post in bad] == [401] * len(bad)
    assert state(workflow) == Status.PENDING


def test_same_message_ten_times_has_one_effect(twilio: Twilio, workflow: Workflow) -> None:
    post = twilio.text(f"YES {code(twilio)}")
    before = len(texts(twilio))

    assert {send(post).status_code for _ in range(10)} == {200}

    wait_for(lambda: len(texts(twilio)) > before)
    time.sleep(0.3)
    assert len(texts(twilio)) == before + 1
    assert (verdicts(workflow), told(workflow).count("human.responded")) == (1, 1)


# --- What becomes of our texts --------------------------------------------------------------------


def the_text(workflow: Workflow) -> Delivery:
    return Delivery.objects.get(workflow=workflow, channel="sms", recipient=ANN)


def sid(twilio: Twilio) -> str:
    return [each["MessageSid"] for each in twilio.messages if each["To"] == ANN][-1]


def test_statuses_move_the_delivery_forward_only(twilio: Twilio, workflow: Workflow) -> None:
    assert the_text(workflow).status == "sent"
    for status in ("delivered", "sent", "sending", "queued", "undelivered", "failed"):
        assert send(twilio.status(sid(twilio), status, 30005)).status_code == 200
        assert the_text(workflow).status == "delivered"
    assert "delivery.failed" not in told(workflow)


def test_failure_turns_to_the_next_channel(
    twilio: Twilio, agent: Agent, approver: User, settings: Settings
) -> None:
    telegram = Telegram()
    with telegram.running():
        settings.TELEGRAM_API_URL = telegram.url
        settings.TELEGRAM_BOT_TOKEN = TELEGRAM_TOKEN
        settings.TELEGRAM_WEBHOOK_SECRET = TELEGRAM_SECRET
        link(approver, "telegram", str(ANNS_CHAT))
        ContactPoint.objects.filter(kind="telegram").update(use=ContactPoint.Use.FALLBACK)
        workflow = ask(agent, "low")

        for _ in range(3):
            send(twilio.status(sid(twilio), "undelivered", 30005))

    assert the_text(workflow).status == "failed"
    assert "no longer in service" in the_text(workflow).last_error
    assert told(workflow)[-2:] == ["delivery.failed", "approval.sent.telegram"]
    assert len(telegram.messages()) == 1


def test_status_that_comes_before_our_own_note_is_not_lost(
    twilio: Twilio, workflow: Workflow
) -> None:
    rows, now = Delivery.objects.filter(pk=the_text(workflow).pk), workflow.created_at
    rows.update(status="pending", sent_at=None, provider_id="", claimed_at=now, next_retry_at=now)

    send(twilio.status(sid(twilio), "failed", 30006))
    deliveries.settle_success(rows.get(), Receipt({"messageId": sid(twilio)}))

    assert the_text(workflow).status == "failed"
    assert "landline" in the_text(workflow).last_error


def test_unknown_messages_are_nobodys(twilio: Twilio, workflow: Workflow) -> None:
    assert send(twilio.status(new_sid("SM"), "delivered")).status_code == 200
    assert the_text(workflow).status == "sent"


def test_second_factor_leaves_no_code(twilio: Twilio, agent: Agent) -> None:
    adopt(agent.team, stage("Any", {"team": "approvers"}, stepUp=["low"]))
    ask(agent, "low")
    assert "To decide, open:" in last(twilio)
    assert not ReplyCode.objects.exists()


@pytest.mark.parametrize("word", ["YES", "NO"])
def test_code_decides_nothing_where_a_second_factor_is_wanted(
    twilio: Twilio, workflow: Workflow, word: str
) -> None:
    demand_second_factor(workflow)
    answer = said(send(twilio.text(f"{word} {code(twilio)}")))
    assert "second factor" in answer
    assert f"/workflows/{workflow.pk}/" in answer
    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1
