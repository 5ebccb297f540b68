"""Answers by mail, from the outside: a provider posts a letter, the gate decides, a mail answers.

Postmark and Mailgun are played by stand-ins over real HTTP; workers run in the test's own thread.
"""

import re
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from deliveries.models import Delivery, ReplyCode
from events.models import Event
from hitl.accounts.models import Agent, ContactPoint, Membership, Role, Team, User
from hitl.accounts.services import add_member
from hitl.celery import app
from tests.standins.mail_providers import (
    INBOUND,
    REPLY_ADDRESS,
    Letter,
    Mailgun,
    MailProvider,
    Postmark,
    authorised,
    configured,
)
from tests.standins.server import Post
from tests.workflows.answering import refusals, send, state
from tests.workflows.factories import REFUND, ActionTypeFactory, ask_again, decide, make_workflow
from tests.workflows.policy_samples import adopt, demand_second_factor, stage
from workflows.models import Decision, Status, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
ANN, CARL = "ann@example.com", "carl@example.com"


@pytest.fixture(autouse=True)
def _workers_at_once() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture(params=[Postmark, Mailgun], ids=["postmark", "mailgun"])
def provider(
    request: pytest.FixtureRequest, settings: Settings, approver: User, colleague: User
) -> Iterator[MailProvider]:
    server: MailProvider = request.param()
    settings.REPLY_ADDRESS = REPLY_ADDRESS
    with configured(server, settings):
        yield server


@pytest.fixture
def postmark(settings: Settings, approver: User, colleague: User) -> Iterator[Postmark]:
    server = Postmark()
    settings.REPLY_ADDRESS = REPLY_ADDRESS
    with configured(server, settings):
        yield server


@pytest.fixture
def mailgun(settings: Settings, approver: User, colleague: User) -> Iterator[Mailgun]:
    server = Mailgun()
    settings.REPLY_ADDRESS = REPLY_ADDRESS
    with configured(server, settings):
        yield server


def write(provider: MailProvider, text: str | None = "Approve", **more: Any) -> Any:
    """Somebody answers Ann's mail: she herself, unless told otherwise."""
    letter = Letter(provider.to(ANN).reply_to, text)
    posted = send(provider.inbound(replace(letter, **more)))
    assert posted.status_code < 500
    return posted


def answer(provider: MailProvider, before: int = 2, to: str = ANN) -> Any:
    """What came back by mail, after the questions to Ann and Carl."""
    deadline = time.monotonic() + 5
    while len(provider.mails) <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    (mail,) = provider.mails[before:]
    assert mail.to == to
    return mail


def nothing_comes_back(provider: MailProvider, after: int = 2) -> bool:
    time.sleep(0.2)
    return len(provider.mails) == after


# --- It works -------------------------------------------------------------------------------------


def test_approval(provider: MailProvider, agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    posted = write(provider, "Approve\n\nOn Mon, hitl wrote:\n> Reject:")

    decision = Decision.objects.get(workflow=workflow)
    assert (posted.status_code, posted.content) == (200, b"")
    assert state(workflow) == Status.APPROVED
    assert (decision.user, decision.channel, decision.strength) == (approver, "email", "mail-reply")
    assert decision.fingerprint == workflow.fingerprint
    assert decision.delivery_id == Delivery.objects.get(workflow=workflow, recipient=ANN).pk
    assert "Approved by Ann Approver in e-mail" in answer(provider).text


def test_rejection_with_its_reason(provider: MailProvider, agent: Agent) -> None:
    workflow = make_workflow(agent)

    write(provider, "No, wrong order.\n\nAnn")

    workflow.refresh_from_db()
    assert (workflow.status, workflow.feedback) == (Status.REJECTED, "wrong order.")
    assert "Rejected by Ann Approver" in answer(provider).text


def test_answer_stands_in_the_thread_and_silences_machines(
    provider: MailProvider, agent: Agent
) -> None:
    make_workflow(agent)
    question = provider.to(ANN)

    write(provider, "Approve", message_id="<abc@mail.example.com>")

    mail = answer(provider)
    headers = mail.headers
    assert mail.subject == "Re: Approve by 24 Nov 17:00 UTC: Refund order A-1009"
    assert headers["in-reply-to"] == headers["references"] == "<abc@mail.example.com>"
    assert headers["auto-submitted"] == "auto-replied"
    assert headers["reply-to"] == question.reply_to


def test_html_alone_is_read(provider: MailProvider, agent: Agent) -> None:
    workflow = make_workflow(agent)
    html = "<div>Approve<br></div><div class='gmail_quote'>On Mon, hitl wrote: no</div>"
    write(provider, None, html=html)
    assert state(workflow) == Status.APPROVED


def test_attachments_are_ignored(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(postmark, "Approve", attachment=b"x" * 2_000_000)
    assert state(workflow) == Status.APPROVED


def test_mail_asks_for_answers_only_with_an_address_for_them(
    provider: MailProvider, agent: Agent, settings: Settings
) -> None:
    make_workflow(agent)
    settings.REPLY_ADDRESS = ""
    make_workflow(agent)

    first, second = (mail for mail in provider.mails if mail.to == ANN)

    assert re.fullmatch(r"approvals\+[a-z2-7]{32}@in\.example\.com", first.reply_to)
    assert "answer this mail" in first.text
    assert "answer this mail" in first.html
    assert second.reply_to == ""
    assert "answer this mail" not in second.text


def test_each_mail_has_its_own_address_of_which_only_a_digest_is_kept(
    postmark: Postmark, agent: Agent
) -> None:
    make_workflow(agent)
    addresses = {mail.reply_to for mail in postmark.mails}
    assert len(addresses) == 2
    for address in addresses:
        token = address.partition("+")[2].partition("@")[0]
        assert token not in str(list(ReplyCode.objects.values()))
        assert token not in str(list(Delivery.objects.values()))


def test_token_survives_shouting(provider: MailProvider, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(provider, to=provider.to(ANN).reply_to.upper())
    assert state(workflow) == Status.APPROVED


def test_quorum_still_waits_for_others(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    both = deepcopy(workflow.policy)
    both["stages"][0]["need"]["count"] = 2
    Workflow.objects.filter(pk=workflow.pk).update(policy=both)

    write(postmark)

    assert state(workflow) == Status.PENDING
    assert "still waits for others" in answer(postmark).text


# --- It is not clear ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["Hm, maybe", "Yes, but only 90", "", "No problem", "Sent from my iPad"]
)
def test_unclear_answer_is_asked_about(postmark: Postmark, agent: Agent, text: str) -> None:
    workflow = make_workflow(agent)

    write(postmark, text)

    assert "could not tell" in answer(postmark).text
    assert (state(workflow), refusals(workflow)) == (Status.PENDING, [])


def test_rejection_without_a_reason_is_asked_about(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)

    write(postmark, "No")

    assert "Why not?" in answer(postmark).text
    assert state(workflow) == Status.PENDING


def test_the_question_can_be_answered(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(postmark, "Hm")
    question = answer(postmark)

    send(postmark.inbound(Letter(question.reply_to, "Approve")))

    assert state(workflow) == Status.APPROVED


# --- It is too late -------------------------------------------------------------------------------


def test_loser_hears_who_was_first(provider: MailProvider, agent: Agent, colleague: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, colleague, "rejected", comment="No")

    write(provider)

    assert state(workflow) == Status.REJECTED
    assert "Already rejected by Carl Colleague in dashboard" in answer(provider).text
    assert Decision.objects.filter(workflow=workflow).count() == 1


def test_words_after_the_verdict_hear_it_too(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(postmark)
    answer(postmark)
    write(postmark, "Thanks for asking!")
    assert "Already approved by Ann Approver" in answer(postmark, 3).text
    assert state(workflow) == Status.APPROVED


def test_after_the_deadline_nothing_is_decided(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=workflow.created_at)

    write(postmark)

    assert state(workflow) == Status.PENDING
    assert "deadline" in answer(postmark).text


def test_mail_of_an_earlier_round_decides_nothing(
    postmark: Postmark, agent: Agent, colleague: User
) -> None:
    workflow = make_workflow(agent)
    old = postmark.to(ANN).reply_to
    ask_again(workflow, colleague)

    write(postmark, to=old)

    assert state(workflow) == Status.PENDING
    assert "asked again" in answer(postmark, before=4).text


def test_other_data_than_the_mail_showed_is_not_approved(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(fingerprint="sha256:" + "1" * 64)

    write(postmark)

    assert state(workflow) == Status.PENDING


def test_same_letter_again_changes_and_says_nothing_more(
    provider: MailProvider, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    letter = Letter(provider.to(ANN).reply_to, message_id="<same@mail.example.com>")

    for _ in range(5):
        assert send(provider.inbound(letter)).status_code == 200

    assert "Approved by" in answer(provider).text
    assert len(provider.mails) == 3
    assert Event.objects.filter(workflow=workflow, type="human.responded").count() == 1


def test_without_a_memory_the_verdict_is_still_one(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    letter = Letter(postmark.to(ANN).reply_to, message_id="<same@mail.example.com>")

    for _ in range(3):
        send(postmark.inbound(letter))
        cache.clear()

    assert Event.objects.filter(workflow=workflow, type="human.responded").count() == 1


# --- It is somebody else --------------------------------------------------------------------------


def test_other_mailbox_is_refused_on_the_record(provider: MailProvider, agent: Agent) -> None:
    workflow = make_workflow(agent)

    for _ in range(2):
        write(provider, sender="Eve <eve@example.com>")

    (refusal,) = refusals(workflow)
    assert state(workflow) == Status.PENDING
    assert (refusal.source, refusal.actor["id"]) == ("email", "eve@example.com")
    assert "another mailbox" in refusal.data["reason"]


@pytest.mark.parametrize("sender", ["eve@example.com", f"eve@example.com, {ANN}", "", "Ann"])
def test_only_one_plain_sender_counts(mailgun: Mailgun, agent: Agent, sender: str) -> None:
    workflow = make_workflow(agent)
    assert write(mailgun, sender=sender).status_code == 200
    assert state(workflow) == Status.PENDING


def test_colleagues_address_with_own_sender_is_refused(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    letter = Letter(postmark.to(CARL).reply_to)

    send(postmark.inbound(letter))

    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1


@pytest.mark.parametrize(
    "checks", [{"spf": "fail", "dkim": "fail"}, {"spf": "softfail", "dkim": ""}]
)
def test_sender_that_failed_the_checks_is_refused_on_the_record(
    provider: MailProvider, agent: Agent, checks: dict[str, str]
) -> None:
    workflow = make_workflow(agent)

    write(provider, **checks)

    (refusal,) = refusals(workflow)
    assert state(workflow) == Status.PENDING
    assert "could not be verified" in refusal.data["reason"]
    assert "open the link" in answer(provider).text


def test_forwarding_breaks_spf_but_not_dkim(mailgun: Mailgun, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(mailgun, spf="fail", dkim="pass")
    assert state(workflow) == Status.APPROVED


def test_provider_that_checks_nothing_leaves_it_to_the_token(
    provider: MailProvider, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    write(provider, spf="", dkim="")
    assert state(workflow) == Status.APPROVED


def test_spf_of_another_domain_proves_nothing(provider: MailProvider, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(provider, envelope="eve@evil.example", dkim="")
    assert state(workflow) == Status.PENDING


@pytest.mark.parametrize(
    "to",
    [
        "approvals@in.example.com",
        "approvals+@in.example.com",
        f"approvals+{'a' * 32}@in.example.com",
        f"approvals+{'a' * 31}@in.example.com",
        f"approvals+{'a' * 32}@evil.example",
        f"other+{'a' * 32}@in.example.com",
        "nobody@in.example.com",
        "",
    ],
)
def test_unknown_address_hears_nothing(provider: MailProvider, agent: Agent, to: str) -> None:
    workflow = make_workflow(agent)
    assert write(provider, to=to).status_code == 200
    assert (state(workflow), refusals(workflow)) == (Status.PENDING, [])
    assert nothing_comes_back(provider)


def test_token_of_a_link_is_no_address_and_the_other_way_round(
    postmark: Postmark, agent: Agent
) -> None:
    make_workflow(agent)
    mail = postmark.to(ANN)
    token = mail.reply_to.partition("+")[2].partition("@")[0]
    link = re.search(r"/l/([\w-]+)/", mail.text)
    assert link
    assert Client().get(f"/l/{token}/").status_code == 404
    assert not ReplyCode.objects.filter(digest__contains=link[1]).exists()


def test_person_who_left_the_team_is_refused(
    postmark: Postmark, agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    Membership.objects.filter(user=approver).delete()

    write(postmark)

    assert state(workflow) == Status.PENDING
    assert "no longer a member" in answer(postmark).text


def test_address_from_before_a_demotion_is_void(
    postmark: Postmark, agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    add_member(agent.team, approver, Role.VIEWER)
    add_member(agent.team, approver, Role.APPROVER)

    write(postmark)

    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1


def test_mailbox_that_is_no_longer_the_persons_is_refused(
    postmark: Postmark, agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    ContactPoint.objects.filter(user=approver).delete()
    User.objects.filter(pk=approver.pk).update(email="ann@elsewhere.example")

    write(postmark)

    assert state(workflow) == Status.PENDING
    assert "no longer yours" in answer(postmark).text


# --- It is not enough -----------------------------------------------------------------------------


def test_high_risk_has_no_address_to_answer_to(postmark: Postmark, agent: Agent) -> None:
    ActionTypeFactory(team=agent.team, name="deploy.production", risk="high")
    make_workflow(agent, action_type="deploy.production")
    assert postmark.to(ANN).reply_to == ""
    assert "log in" in postmark.to(ANN).text


@pytest.mark.parametrize(
    ("allowed", "risk", "counts"),
    [
        ("off", "low", False), ("low", "low", True), ("low", "medium", False),
        ("medium", "medium", True), ("medium", "high", False),
    ],
)  # fmt: skip
def test_answer_is_worth_what_a_link_is_worth(
    postmark: Postmark, agent: Agent, allowed: str, risk: str, counts: bool
) -> None:
    ActionTypeFactory(team=agent.team, name="a.b", risk="low")
    workflow = make_workflow(agent, action_type="a.b")
    Workflow.objects.filter(pk=workflow.pk).update(risk=risk)
    Team.objects.filter(pk=agent.team_id).update(link_decisions=allowed)

    write(postmark)

    assert (state(workflow) == Status.APPROVED) is counts
    assert counts or "not enough" in answer(postmark).text
    assert len(refusals(workflow)) == (0 if counts else 1)


def test_what_the_mail_does_not_show_in_full_cannot_be_answered(
    postmark: Postmark, agent: Agent
) -> None:
    hidden = {f"field{n}": n for n in range(30)}
    for data in (hidden, REFUND | {"note": "x" * 5000}, REFUND | {"note": "a\u202eb"}):
        make_workflow(agent, action_data=data, ui_schema=None)
        assert postmark.to(ANN).reply_to == ""


# --- It is a machine ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"headers": (("Auto-Submitted", "auto-replied"),)},
        {"headers": (("Auto-Submitted", "auto-generated; owner=ann"),)},
        {"headers": (("X-Autoreply", "yes"),)},
        {"headers": (("X-Autorespond", "Re: hello"),)},
        {"headers": (("Precedence", "bulk"),)},
        {"headers": (("Precedence", "auto_reply"),)},
        {"headers": (("List-Id", "<list.example.com>"),)},
        {"envelope": ""},
        {"subject": "Automatic reply: Approve by 24 Nov"},
        {"subject": "Out of Office: Re: Approve by 24 Nov"},
        {"sender": "MAILER-DAEMON@example.com"},
        {"sender": "no-reply@example.com"},
    ],
)
def test_machines_are_not_answered(
    provider: MailProvider, agent: Agent, more: dict[str, Any]
) -> None:
    workflow = make_workflow(agent)
    assert write(provider, "yes", **more).status_code == 200
    assert (state(workflow), refusals(workflow)) == (Status.PENDING, [])
    assert nothing_comes_back(provider)


def test_a_person_may_say_that_nothing_is_automatic(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    write(postmark, headers=(("Auto-Submitted", "no"),))
    assert state(workflow) == Status.APPROVED


def test_machine_that_hides_it_is_answered_five_times_an_hour(
    postmark: Postmark, agent: Agent
) -> None:
    make_workflow(agent)
    for _ in range(12):
        write(postmark, "I am on holiday")
    deadline = time.monotonic() + 5
    while len(postmark.mails) < 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert nothing_comes_back(postmark, after=7)
    assert len(postmark.mails) == 2 + 5


# --- It is not the provider -----------------------------------------------------------------------


def test_post_without_the_secret_is_refused(provider: MailProvider, agent: Agent) -> None:
    workflow = make_workflow(agent)
    good = provider.inbound(Letter(provider.to(ANN).reply_to))
    wrong = [
        {}, authorised("hitl:wrong"), authorised(""), authorised(":"), {"Authorization": "Basic"},
        {"Authorization": "Basic ÿ"}, {"Authorization": "Bearer abc"},
    ]  # fmt: skip
    for headers in wrong:
        assert send(replace(good, headers=headers)).status_code == 401
    assert state(workflow) == Status.PENDING


def test_mailguns_own_signature_is_needed_too(mailgun: Mailgun, agent: Agent) -> None:
    workflow = make_workflow(agent)
    good = mailgun.inbound(Letter(mailgun.to(ANN).reply_to))
    fields = dict(parse_qsl(good.body.decode()))
    for change in ({"signature": "0" * 64}, {"token": "x"}, {"timestamp": "1"}, {"signature": "é"}):
        body = urlencode(fields | change).encode()
        assert send(replace(good, body=body)).status_code == 401
    for missing in ("signature", "token", "timestamp"):
        rest = {name: value for name, value in fields.items() if name != missing}
        assert send(replace(good, body=urlencode(rest).encode())).status_code == 401
    assert state(workflow) == Status.PENDING


@pytest.mark.parametrize("secret", [[], [""]])
def test_without_a_secret_there_is_no_door(
    provider: MailProvider, agent: Agent, settings: Settings, secret: list[str]
) -> None:
    make_workflow(agent)
    good = provider.inbound(Letter(provider.to(ANN).reply_to))
    settings.ANYMAIL = settings.ANYMAIL | {"WEBHOOK_SECRET": secret}
    assert send(good).status_code == 404
    assert send(replace(good, headers=authorised(""))).status_code == 404


def test_without_a_provider_there_is_no_door(settings: Settings) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": ["a:b"]}
    assert Client().post(INBOUND, headers=authorised("a:b")).status_code == 404


def test_old_and_new_secret_overlap(postmark: Postmark, agent: Agent, settings: Settings) -> None:
    workflow = make_workflow(agent)
    settings.ANYMAIL = settings.ANYMAIL | {"WEBHOOK_SECRET": ["new:one", "old:one"]}
    good = postmark.inbound(Letter(postmark.to(ANN).reply_to))
    assert send(good).status_code == 401
    assert send(replace(good, headers=authorised("old:one"))).status_code == 200
    assert state(workflow) == Status.APPROVED


def test_door_can_be_looked_at(postmark: Postmark) -> None:
    assert Client().head(INBOUND).status_code == 200
    assert Client().get(INBOUND).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"RecordType": "Bounce"}',
        b'{"Headers": 3}',
        b"[" * 9999,
    ],
)
def test_rubbish_from_the_provider_is_taken_and_forgotten(postmark: Postmark, body: bytes) -> None:
    assert send(Post(INBOUND, body, "application/json", authorised())).status_code == 200


def test_endless_mail_is_not_read(postmark: Postmark, agent: Agent) -> None:
    workflow = make_workflow(agent)
    assert write(postmark, "Approve", attachment=b"x" * 9_000_000).status_code == 401
    assert state(workflow) == Status.PENDING


def test_token_never_reaches_the_log(
    postmark: Postmark, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    make_workflow(agent)
    token = postmark.to(ANN).reply_to.partition("+")[2].partition("@")[0]
    for text in ("Hm", "Approve", "Approve"):
        write(postmark, text)
    write(postmark, sender="eve@example.com")
    assert token not in caplog.text
    assert token not in str(list(Event.objects.values()))


# --- A second factor ------------------------------------------------------------------------------


def test_second_factor_leaves_no_address_to_answer_to(postmark: Postmark, agent: Agent) -> None:
    adopt(agent.team, stage("Any", {"team": "approvers"}, stepUp=["medium"]))
    make_workflow(agent)
    assert not postmark.to(ANN).reply_to
    assert not ReplyCode.objects.exists()


def test_mail_decides_nothing_where_a_second_factor_is_wanted(
    postmark: Postmark, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    demand_second_factor(workflow)
    write(postmark, "Approve")
    told = answer(postmark)
    assert "second factor" in told.text
    assert f"/workflows/{workflow.pk}/" in told.text
    assert state(workflow) == Status.PENDING
    assert len(refusals(workflow)) == 1
