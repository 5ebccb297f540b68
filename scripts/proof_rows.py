"""The service's side of the proof: people, requests, and what its rows and events say."""

import time
from collections import Counter
from uuid import UUID

from django.core.cache import cache
from django.utils import timezone

from deliveries.models import Delivery
from events.models import Event
from hitl.accounts.models import Agent, ContactPoint, Role, Team, User
from hitl.accounts.services import add_member
from scripts.proof_judge import Row
from scripts.proof_providers import PEOPLE, Providers, mailbox, number_in, phone, slack_id
from workflows import services
from workflows.inputs import NewWorkflow

SETTLE_SECONDS = 1800
EVERY_SECONDS = 0.5
TOLD = ("approval.sent.", "delivery.")


def make_team(providers: Providers) -> Team:
    """A team of its own for each round, whose people want every message everywhere."""
    cache.clear()  # also the rest that the last round's provider was given
    team = Team.objects.create(name=providers.failing, slug=providers.failing)
    for number in range(PEOPLE):
        user, is_new = User.objects.get_or_create(email=mailbox(number))
        add_member(team, user, Role.APPROVER)
        if is_new:
            _add_contacts(user, number, providers.slack.workspace.team)
    return team


def _add_contacts(user: User, number: int, workspace: str) -> None:
    addresses = {
        "email": mailbox(number),
        "slack": f"{workspace}:{slack_id(number)}",
        "phone": phone(number),
    }
    for position, (kind, address) in enumerate(addresses.items()):
        known = {"position": position, "verified_at": timezone.now()}
        ContactPoint.objects.update_or_create(known, user=user, kind=kind, address=address)


def ask(team: Team, requests: int) -> None:
    """Make the requests as the API does, each to one person."""
    agent = Agent.objects.create(team=team, name="refund-bot")
    for number in range(requests):
        services.create(
            agent,
            NewWorkflow(
                action_type="payments.refund",
                action_data={"orderId": number, "amount": 120, "currency": "EUR"},
                name=f"Refund order {number}",
                approvers=[mailbox(number % PEOPLE)],
            ),
        )


def wait_until_settled(team: Team) -> None:
    """Return once nothing is pending. Raises TimeoutError after half an hour."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while left := Delivery.objects.filter(team=team, status=Delivery.Status.PENDING).count():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{left} deliveries are not settled")
        time.sleep(EVERY_SECONDS)


def read(team: Team, channel: str) -> list[Row]:
    """The deliveries of one channel, with the events that name them."""
    told = _events(team)
    rows = Delivery.objects.filter(team=team, channel=channel).select_related("workflow")
    return [
        Row(
            key=str(row.pk) if channel == "slack" else number_in(row.workflow.name),
            status=row.status,
            attempts=row.attempts,
            provider_id=row.provider_id,
            is_claimed=row.claimed_at is not None,
            events=told.get(row.pk, Counter()),
        )
        for row in rows
    ]


def _events(team: Team) -> dict[UUID, Counter[str]]:
    """How often each type of event names each delivery."""
    found: dict[UUID, Counter[str]] = {}
    for type_, data in Event.objects.filter(team=team).values_list("type", "data"):
        if type_.startswith(TOLD):
            found.setdefault(UUID(data["deliveryId"]), Counter())[type_] += 1
    return found
