"""Random lives of requests, made through the services, then moved about in time.

Clocks of a database cannot be turned, so that what happened is moved instead: requests to other
days, looks and messages to other moments, all well apart from each other.
"""

import contextlib
import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from deliveries.models import Delivery
from events.types import Source
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib.actor import Actor
from hitl.lib.errors import HitlError
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory
from tests.workflows.factories import ActionTypeFactory, decide, make_workflow
from tests.workflows.policy_samples import stage
from tests.workflows.test_ruling import rules
from workflows import away, executions, services
from workflows.models import Policy, Status, Verdict, View, Workflow
from workflows.policies import format as policy_format

DAYS = 9
DOORS = (Source.DASHBOARD, Source.SLACK, Source.EMAIL, Source.SMS, Source.API)
TYPES = ("refund", "auto.ok", "auto.no", "quiet", "quiet", "two", "away", "guests")
GUEST = "gia@partner.example"


@dataclass(frozen=True)
class World:
    """A team, its agents and its approvers: the last is away, and the first stands in."""

    team: Team
    agents: Sequence[Agent]
    people: Sequence[User]


def world(name: str) -> World:
    """A team in which every kind of decision can be made."""
    team = TeamFactory(name=name, slug=name, allow_guests=True)
    people: list[User] = [UserFactory() for _ in range(3)]
    for person in people:
        add_member(team, person, Role.APPROVER)
    away.add(people[2], delegate=people[0].pk, by=people[2], start=None, end=None, reason="")
    until = (timezone.now() + dt.timedelta(days=30)).isoformat()
    budget = {"count": 1000, "per": 86_400}
    rules(
        team,
        {"name": "Yes", "when": "action_type == 'auto.ok'", "then": "approve", "until": until,
         "budget": budget},
        {"name": "No", "when": "action_type == 'auto.no'", "then": "deny"},
        {"name": "Two", "when": "action_type == 'two'", "then": "ask", "policy": "Two of us"},
    )  # fmt: skip
    document = {"name": "Two of us", "stages": [stage("All", {"team": "approvers"}, 2)]}
    Policy.objects.create(team=team, name="Two of us", document=policy_format.normalise(document))
    quiet: dict[str, Any] = {"risk": "low", "allow_timeout_approval": True}
    ActionTypeFactory(team=team, name="quiet", timeout_action="approve", **quiet)
    agents: list[Agent] = [AgentFactory(team=team) for _ in range(2)]
    return World(team, agents, people)


def live(world: World, dice: random.Random) -> Workflow:
    """One request through some of a life; the dice are thrown until it has had enough."""
    agent, kind = dice.choice(world.agents), dice.choice(TYPES)
    guests, away_ = [GUEST, world.people[1].email], [world.people[2].email]
    named = {"guests": guests, "away": away_}.get(kind, [])
    row = make_workflow(agent, action_type=kind, approvers=named)
    for _ in range(dice.randrange(7)):
        with contextlib.suppress(HitlError):
            _step(world, row, dice)
    _finish(row, agent, dice)
    _move(row, dice)
    return Workflow.objects.get(pk=row.pk)


def _step(world: World, row: Workflow, dice: random.Random) -> None:
    person, step = dice.choice(world.people), dice.randrange(10)
    door = dice.choice(DOORS)
    if step < 2:
        services.mark_viewed(row.pk, user=person, source=door, certain=dice.random() < 0.7)
    elif step < 6:
        _answer(row, person, door, dice)
    elif step == 6:
        services.withdraw(row.pk, user=person, source=door)
    elif step == 7:
        who = Actor("user", str(person.pk), str(person))
        services.record_refusal(row.pk, actor=who, source=door, why=f"no {dice.random()}")
    elif dice.random() < 0.2:
        services.cancel(row.pk, agent=row.agent)
    else:
        Workflow.objects.filter(pk=row.pk).update(expires_at=timezone.now())
        services.time_out(row.pk)


def _answer(row: Workflow, person: User, door: str, dice: random.Random) -> None:
    row.refresh_from_db()
    verdict = dice.choice((Verdict.APPROVED, Verdict.APPROVED, Verdict.REJECTED, Verdict.MODIFIED))
    edited: dict[str, Any] = {}
    if verdict == Verdict.MODIFIED:
        edited["response_data"] = {**row.current_data, "amount": dice.randrange(1000)}
    seen = row.current_fingerprint
    if row.action_type == "guests" and dice.random() < 0.5:
        person, edited["strength"] = User.objects.get(email=GUEST), "link"
    decide(row, person, verdict, source=door, fingerprint=seen, comment="x", **edited)


def _finish(row: Workflow, agent: Agent, dice: random.Random) -> None:
    """The agent carries some of it out."""
    row.refresh_from_db()
    if row.status != Status.APPROVED or dice.random() < 0.3:
        return
    _, attempt = executions.start(row.pk, agent=row.agent, executor="x")
    if dice.random() < 0.5:
        executions.complete(row.pk, agent=row.agent, attempt=attempt.number, result={})
    elif dice.random() < 0.5:
        error = {"code": "x", "message": "x"}
        executions.fail(row.pk, agent=row.agent, attempt=attempt.number, error=error)


def _move(row: Workflow, dice: random.Random) -> None:
    """Put its beginning somewhere in the last days, and looks and messages anywhere after it."""
    now = timezone.now()
    back = dt.timedelta(seconds=10 ** dice.uniform(0, 5.8))
    Workflow.objects.filter(pk=row.pk).update(created_at=now - back)
    for view in View.objects.filter(workflow=row):
        view.viewed_at = now - back * dice.random()
        view.save()
    for message in Delivery.objects.filter(workflow=row):
        message.created_at = now - back * dice.random()
        message.save()
