"""Guests: named where the team allows it, reached by mail, deciding by its link alone."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from deliveries import routing
from deliveries import services as deliveries
from deliveries.channels.base import ChannelError, Reply
from deliveries.channels.email import EmailChannel
from deliveries.models import Delivery, ReplyCode
from events.models import Event
from hitl.accounts import contacts
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, Membership, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib.errors import InvalidInput
from tests.workflows.factories import ActionTypeFactory, decide, make_workflow
from workflows import mail_replies
from workflows.errors import NotYours
from workflows.models import Status, Workflow

pytestmark = pytest.mark.django_db

GUEST = "Gia@Partner.example"


@pytest.fixture
def host(team: Team) -> Team:
    """A team that takes guests."""
    team.allow_guests = True
    team.save()
    return team


@pytest.fixture
def agent(host: Team, agent: Agent) -> Agent:
    agent.team = host
    return agent


@pytest.fixture
def workflow(agent: Agent) -> Workflow:
    """A request that asks the guest alone."""
    return make_workflow(agent, approvers=[GUEST])


def guest() -> User:
    return User.objects.get(email=GUEST.lower())


def why_not(agent: Agent, *emails: str, **changes: Any) -> dict[str, str]:
    """Where a request that names these is refused, and why."""
    with pytest.raises(InvalidInput) as caught:
        make_workflow(agent, approvers=list(emails), **changes)
    return {error.pointer: error.message for error in caught.value.errors}


def mailed_link(workflow: Workflow) -> str:
    """The path of the personal link in the guest's mail."""
    deliveries.send(Delivery.objects.get(workflow=workflow, recipient=GUEST).pk)
    found = re.search(r"http://testserver(/l/[\w-]+/)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def open_page(client: Client, path: str) -> Any:
    return client.get(path, follow=True)


def answer(client: Client, page: Any, workflow: Workflow, decision: str = "approved") -> Any:
    nonce = re.search(r'name="nonce" value="([^"]+)"', page.content.decode())
    fields = {
        "nonce": nonce[1] if nonce else "",
        "decision": decision,
        "fingerprint": workflow.fingerprint,
        "comment": "",
    }
    return client.post(page.request["PATH_INFO"], fields, follow=True)


def state(workflow: Workflow) -> str:
    return Workflow.objects.get(pk=workflow.pk).status


# --- Who becomes one ------------------------------------------------------------------------------


def test_unknown_address_is_refused_while_the_team_takes_no_guests(agent: Agent) -> None:
    agent.team.allow_guests = False
    found = why_not(agent, "ann@example.com", GUEST)
    assert list(found) == ["/approvers/1"]
    assert "add the person first" in found["/approvers/1"]
    assert not User.objects.filter(email__iexact=GUEST).exists()


def test_guest_has_no_password_and_no_place_in_the_team(workflow: Workflow) -> None:
    assert not guest().has_usable_password()
    assert not guest().memberships.exists()
    assert workflow.policy["guests"] == {str(guest().pk): GUEST}
    assert not Client().login(username=guest().email, password="")


def test_guest_is_known_again(agent: Agent, workflow: Workflow) -> None:
    again = make_workflow(agent, approvers=[GUEST.upper()])
    assert list(again.policy["guests"]) == list(workflow.policy["guests"])


def test_members_and_guests_can_be_asked_together(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent, approvers=["ann@example.com", GUEST])
    assert list(workflow.policy["guests"]) == [str(guest().pk)]
    asked = Delivery.objects.filter(workflow=workflow).values_list("recipient", flat=True)
    assert set(asked) == {"ann@example.com", GUEST}


def test_without_a_named_guest_nothing_of_it_is_in_the_policy(agent: Agent) -> None:
    assert "guests" not in make_workflow(agent).policy


def test_viewers_do_not_become_guests(agent: Agent, viewer: User) -> None:
    assert "may only look" in why_not(agent, "vic@example.com")["/approvers/0"]


def test_closed_accounts_do_not_become_guests(agent: Agent, stranger: User) -> None:
    stranger.is_active = False
    stranger.save()
    assert "is closed" in why_not(agent, "sue@example.com")["/approvers/0"]


def test_somebody_of_another_team_can_be_a_guest(agent: Agent, stranger: User) -> None:
    workflow = make_workflow(agent, approvers=["sue@example.com"])
    assert workflow.policy["guests"] == {str(stranger.pk): "sue@example.com"}


def test_owner_of_the_agent_is_no_guest_of_it(agent: Agent, stranger: User) -> None:
    agent.owner = stranger
    agent.save()
    assert "owner" in why_not(agent, "sue@example.com")["/approvers"]


def test_high_risk_names_no_guests(agent: Agent, host: Team) -> None:
    ActionTypeFactory(team=host, name="deploy.production", risk="high")
    found = why_not(agent, GUEST, action_type="deploy.production", ui_schema=None)
    assert "may not decide at high risk" in found["/approvers/0"]


@pytest.mark.parametrize(("links", "risk"), [("off", "low"), ("low", "medium")])
def test_guests_decide_no_further_than_links_may(
    agent: Agent, host: Team, links: str, risk: str
) -> None:
    agent.team.link_decisions = links
    ActionTypeFactory(team=host, name="some.thing", risk=risk)
    assert "/approvers/0" in why_not(agent, GUEST, action_type="some.thing", ui_schema=None)


def test_guests_need_mail(agent: Agent, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert "sends no mail" in why_not(agent, GUEST)["/approvers/0"]


def test_guest_who_stopped_the_mails_is_left_alone(agent: Agent, workflow: Workflow) -> None:
    point = contacts.mailbox(guest(), GUEST.lower())
    assert point
    contacts.set_use(guest(), point.pk, "off")
    assert "wants no mails" in why_not(agent, GUEST)["/approvers/0"]


# --- How they are reached -------------------------------------------------------------------------


def test_guest_gets_one_mail_that_leads_nowhere_but_to_the_request(workflow: Workflow) -> None:
    mailed_link(workflow)
    assert mail.outbox[-1].to == [GUEST]
    assert f"/workflows/{workflow.pk}" not in str(mail.outbox[-1].body)


def test_guest_is_written_to_over_no_other_channel(
    agent: Agent, stranger: User, settings: Settings
) -> None:
    settings.SLACK_BOT_TOKEN = settings.SLACK_SIGNING_SECRET = "x"
    link(stranger, "slack", "T0HITL:U0SUE")
    workflow = make_workflow(agent, approvers=["sue@example.com"])
    [delivery] = Delivery.objects.filter(workflow=workflow)

    deliveries.settle_failure(delivery, ChannelError("No such mailbox.", permanent=True))

    assert delivery.channel == "email"
    assert routing.next_for(delivery) is None
    assert Delivery.objects.filter(workflow=workflow).count() == 1
    assert Event.objects.filter(workflow=workflow, type="delivery.undeliverable").exists()


# --- What they may --------------------------------------------------------------------------------


def test_guest_decides_by_the_link(client: Client, workflow: Workflow) -> None:
    page = open_page(client, mailed_link(workflow))
    assert page.status_code == 200
    assert "Open in the dashboard" not in page.content.decode()

    told = answer(client, page, workflow)

    workflow.refresh_from_db()
    assert "Thank you: approved" in told.content.decode()
    assert (workflow.status, workflow.responded_by) == (Status.APPROVED, guest())
    assert workflow.decisions.get().strength == "link"


def test_looking_decides_nothing(client: Client, workflow: Workflow) -> None:
    open_page(client, mailed_link(workflow) + "?choice=approved")
    assert state(workflow) == Status.PENDING


@pytest.mark.parametrize("spoil", ["", "no guests any more", "another mailbox"])
def test_guest_may_answer_the_mail_itself(workflow: Workflow, host: Team, spoil: str) -> None:
    delivery = Delivery.objects.get(workflow=workflow)
    token = "a" * 32
    ReplyCode.objects.create(delivery=delivery, digest=deliveries.code_digest(token))
    if spoil == "no guests any more":
        Team.objects.filter(pk=host.pk).update(allow_guests=False)
    sender = "eve@partner.example" if spoil == "another mailbox" else GUEST.lower()

    said = Reply(action="decide", sender=sender, code=token, decision="approved")
    outcome = mail_replies.act(EmailChannel(), said)

    assert bool(outcome.problem) == bool(spoil)
    assert state(workflow) == (Status.PENDING if spoil else Status.APPROVED)


@pytest.mark.parametrize("strength", ["session", "jwt", "slack", "email", "sms"])
def test_guest_decides_by_nothing_else(workflow: Workflow, strength: str) -> None:
    with pytest.raises(NotYours, match="by the link in their mail alone"):
        decide(workflow, guest(), strength=strength)
    assert state(workflow) == Status.PENDING


def test_guest_who_is_logged_in_still_needs_the_link(
    client: Client, agent: Agent, stranger: User
) -> None:
    workflow = make_workflow(agent, approvers=["sue@example.com"])
    delivery = Delivery.objects.get(workflow=workflow)
    client.force_login(stranger)
    assert client.get(f"/respond/{delivery.pk}/").status_code == 403
    assert client.get(f"/workflows/{workflow.pk}/").status_code == 404


def test_guest_of_one_request_is_nobody_to_another(agent: Agent, workflow: Workflow) -> None:
    other = make_workflow(agent)
    with pytest.raises(NotYours, match="not a member"):
        decide(other, guest(), strength="link")


def test_guest_decides_no_more_once_the_team_takes_none(
    client: Client, workflow: Workflow, host: Team
) -> None:
    page = open_page(client, mailed_link(workflow))
    Team.objects.filter(pk=host.pk).update(allow_guests=False)

    told = answer(client, page, workflow)

    assert told.status_code == 403
    assert "takes no answers from guests any more" in told.content.decode()
    assert state(workflow) == Status.PENDING
    assert Event.objects.filter(workflow=workflow, type="human.refused").exists()
    with pytest.raises(NotYours):
        decide(workflow, guest(), strength="link")


def test_guest_whose_account_is_closed_is_nobody(client: Client, workflow: Workflow) -> None:
    path = mailed_link(workflow)
    User.objects.filter(pk=guest().pk).update(is_active=False)
    assert open_page(client, path).status_code == 403
    with pytest.raises(NotYours, match="not a member"):
        decide(workflow, guest(), strength="link")


def test_guest_loses_the_right_with_the_links(
    client: Client, workflow: Workflow, host: Team
) -> None:
    path = mailed_link(workflow)
    Team.objects.filter(pk=host.pk).update(link_decisions="low")

    page = open_page(client, path)
    told = answer(client, page, workflow)

    assert "guests have no more" in page.content.decode()
    assert told.status_code == 403
    assert state(workflow) == Status.PENDING
    with pytest.raises(NotYours):
        decide(workflow, guest(), strength="link")


def test_member_who_was_removed_is_no_guest(
    client: Client, agent: Agent, approver: User, host: Team
) -> None:
    workflow = make_workflow(agent, approvers=["ann@example.com"])
    deliveries.send(Delivery.objects.get(workflow=workflow).pk)
    found = re.search(r"http://testserver(/l/[\w-]+/)", str(mail.outbox[-1].body))
    assert found
    Membership.objects.filter(user=approver).delete()

    assert open_page(client, found[1]).status_code == 403
    for strength in ("link", "session"):
        with pytest.raises(NotYours):
            decide(workflow, approver, strength=strength)


def test_guest_who_joins_the_team_logs_in(client: Client, workflow: Workflow, host: Team) -> None:
    path = mailed_link(workflow)
    add_member(host, guest(), Role.VIEWER)
    assert "Your place in the team has changed" in open_page(client, path).content.decode()
    with pytest.raises(NotYours, match="you may look only"):
        decide(workflow, guest(), strength="link")


def test_links_of_guests_are_no_good_to_each_other(
    client: Client, agent: Agent, workflow: Workflow, approver: User
) -> None:
    path = mailed_link(workflow)
    client.force_login(approver)
    assert open_page(client, path).status_code == 403
