"""From rows to the plain data that policies are judged on: a request, its acts, its people.

`workflows.policies` knows no database; this is the one place that asks it on its behalf.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q

from hitl.accounts.models import Absence, Agent, Group, Membership, Role, User
from workflows import guests
from workflows.models import Decision, FiredStep, HandOver, Policy, Withdrawal, Workflow
from workflows.policies import Act, Case, People, Person, Request, Vote, absence, calendars
from workflows.policies import Withdrawal as Retraction
from workflows.policies.absence import Absence as Away
from workflows.policies.absence import Asked
from workflows.policies.escalation import ESCALATION, Item, Schedule, fired, schedule
from workflows.policies.plain import Names
from workflows.policies.shape import Policy as Shape
from workflows.policies.shape import Stage, read

# What a sweep has read of teams so far, see `keeping_people`.
_kept: ContextVar[dict[tuple[str, UUID, bool], Any] | None] = ContextVar("kept", default=None)


@dataclass(frozen=True)
class CaseFile:
    """Everything that bears on one request now. `users` holds everybody who could matter, by id.

    `decisions` are those of this round, in the order in which they count; `withdrawn` the ids of
    those taken back. `absences` include hand-overs of this very request.
    """

    workflow: Workflow
    case: Case
    now: dt.datetime
    users: dict[str, User]
    decisions: tuple[Decision, ...] = ()
    withdrawn: frozenset[UUID] = frozenset()
    absences: tuple[Away, ...] = ()
    done: frozenset[str] = frozenset()
    handed_to: tuple[str, ...] = ()

    @property
    def policy(self) -> Shape:
        return self.case.policy

    @cached_property
    def schedule(self) -> Schedule:
        """What time does next in the stage that is open as the row has it."""
        return plan(self.workflow, self.policy, self.done, self.now)

    @cached_property
    def names(self) -> Names:
        """What people and groups are called."""
        groups = _groups_by_any_name(self.workflow.team_id) if _speaks_of_groups(self.raw) else {}
        return Names({id_: str(user) for id_, user in self.users.items()}, groups)

    @property
    def raw(self) -> dict[str, Any]:
        policy: dict[str, Any] = self.workflow.policy
        return policy

    def after(self, item: Item) -> "CaseFile":
        """The same once an item of the schedule has taken place (or was passed over)."""
        fired_now = self.case.fired
        if item.kind == ESCALATION:
            fired_now |= {(self.workflow.stage, item.number)}
        return replace(self, case=replace(self.case, fired=fired_now), done=self.done | {item.key})

    def standing(self, user: User) -> list[Decision]:
        """The person's own answers of this round that have not been taken back, oldest first."""
        return [
            one for one in self.decisions if one.user_id == user.pk and one.pk not in self.withdrawn
        ]

    @property
    def agreeing(self) -> list[Decision]:
        """The answers that agreed and count: those that closed stages, and the open one's."""
        state = self.case.state
        votes = {vote for closed in state.agreed.values() for vote in closed} | {*state.counting}
        return [
            one
            for one in self.decisions
            if one.user_id and one.pk not in self.withdrawn and _vote(one) in votes
        ]

    def asked(self, persons: Iterable[str] | None = None) -> list[Asked]:
        """Whom to write to so that these people are reached (default: all who may answer now)."""
        wanted = {seat.person for seats in self.case.may_answer.values() for seat in seats}
        if persons is not None:
            wanted &= set(persons)
        found = absence.whom_to_ask(wanted, self.absences, self.now, self.case.people)
        able = self.case.may_answer
        return [each if each.actor in able else Asked(each.person, each.person) for each in found]


def load(workflow: Workflow, *, now: dt.datetime) -> CaseFile:
    """The case of a (locked) workflow as of now."""
    policy = workflow.policy
    decisions, withdrawals = _acts(workflow)
    users, people = people_of(workflow.team_id, policy)
    for person in guests.people(workflow):
        if str(person.pk) not in users:
            users[str(person.pk)] = person
            people.append(_guest(workflow, person))
    given = _hand_overs(workflow)
    absences = (*_absences(workflow, now), *given)
    done = _done(workflow, policy)
    shape_fired = frozenset(
        (stage.index, number)
        for stage in read(policy).stages
        for number in _fired_numbers(stage, done)
    )
    case = Case.of(
        policy,
        request_of(workflow, decisions),
        _replayed(decisions, withdrawals),
        absence.with_absences(People.of(people), absences, now),
        shape_fired,
    )
    return CaseFile(
        workflow=workflow,
        case=case,
        now=now,
        users=users,
        decisions=tuple(decisions),
        withdrawn=frozenset(each.decision_id for each in withdrawals),
        absences=absences,
        handed_to=tuple(str(each.delegate) for each in given),
        done=frozenset(key for stage, key in done if stage == workflow.stage),
    )


def request_of(workflow: Workflow, decisions: Iterable[Decision] = ()) -> Request:
    """The request as policies and rules see it, with the data of edits."""
    edited = {one.result_fingerprint: one.result for one in decisions if one.result_fingerprint}
    agent = workflow.agent
    agent.team = workflow.team  # the same one, and here already
    return new_request(
        agent,
        action_type=workflow.action_type,
        data=workflow.action_data,
        fingerprint=workflow.fingerprint,
        risk=str(workflow.risk),
        metadata=workflow.metadata,
        created_at=workflow.created_at,
        requester_id=str(workflow.requester_id) if workflow.requester_id else None,
        versions=edited,
    )


def new_request(agent: Agent, **known: Any) -> Request:
    """A request of an agent. `known` are the other fields of `policies.Request`."""
    owner = str(agent.owner_id) if agent.owner_id else None
    team = agent.team
    return Request(
        agent={"id": str(agent.pk), "name": agent.name, "owner": owner or ""},
        team={"id": str(team.pk), "name": team.name, "slug": team.slug},
        owner_id=owner,
        zone=settings.POLICY_TIME_ZONE,
        **known,
    )


def people_of(team_id: UUID, policy: Any) -> tuple[dict[str, User], list[Person]]:
    """The members of a team, by id, and as policies see them; groups only where they matter."""
    with_groups = _speaks_of_groups(policy)
    kept = _kept.get()
    if kept is None:
        return _read_people(team_id, with_groups=with_groups)
    key = ("people", team_id, with_groups)
    if key not in kept:
        kept[key] = _read_people(team_id, with_groups=with_groups)
    users, people = kept[key]
    return dict(users), list(people)


@contextmanager
def keeping_people() -> Iterator[None]:
    """Read the people and absences of a team once for many requests: for sweeps, for seconds.

    Whom a sweep writes to may then be as old as that; the right to answer is judged anew with
    every answer.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def _read_people(team_id: UUID, *, with_groups: bool) -> tuple[dict[str, User], list[Person]]:
    members = Membership.objects.filter(team_id=team_id).select_related("user")
    groups = _groups(team_id) if with_groups else {}
    users, people = {}, []
    for member in members.order_by("user__email"):
        id_ = str(member.user_id)
        users[id_] = member.user
        people.append(
            Person(
                id_,
                str(member.user),
                frozenset({str(member.role)}),
                groups.get(id_, frozenset()),
                member.user.is_active,
            )
        )
    return users, people


def names_in(team_id: UUID) -> Names:
    """What the people and groups of a team are called."""
    members = Membership.objects.filter(team_id=team_id).select_related("user")
    return Names(
        {str(member.user_id): str(member.user) for member in members},
        _groups_by_any_name(team_id),
    )


def plan(workflow: Workflow, policy: Shape, done: Iterable[str], now: dt.datetime) -> Schedule:
    """What reminders and escalation still come in the stage that is open."""
    if not workflow.is_open or workflow.stage >= len(policy.stages):
        return Schedule()
    calendar = (calendars.read(policy.calendar),) if policy.calendar else ()
    return schedule(
        policy.stages[workflow.stage],
        opened_at=workflow.stage_opened_at or workflow.created_at,
        deadline=None if workflow.held_at else workflow.expires_at,
        now=now,
        done=frozenset(done),
        calendars=calendar,
    )


def wants_second_factor(workflow: Workflow) -> bool:
    """Whether an answer in the open stage takes one at this risk: then no channel can take it."""
    stages = read(workflow.policy).stages
    at_hand = workflow.is_open and workflow.stage < len(stages)
    return at_hand and stages[workflow.stage].wants_second_factor(str(workflow.risk))


def next_due(schedule: Schedule, now: dt.datetime) -> dt.datetime | None:
    """When somebody has to look at the stage again; None where time does nothing any more."""
    if schedule.due or schedule.skipped:
        return now
    return schedule.next.at if schedule.next else None


def _acts(workflow: Workflow) -> tuple[list[Decision], list[Withdrawal]]:
    if workflow._state.adding:
        return [], []
    rows = workflow.decisions.filter(round=workflow.asked_round).select_related("user", "behalf")
    decisions = sorted(rows, key=lambda one: (one.seq, one.decided_at))
    if not decisions:
        return [], []
    taken = workflow.withdrawals.filter(decision__round=workflow.asked_round)
    return decisions, list(taken.order_by("seq"))


def _replayed(decisions: list[Decision], withdrawals: list[Withdrawal]) -> list[Act]:
    """Votes and withdrawals in the order in which they happened; rules and silence cast none."""
    by_id = {one.pk: one for one in decisions}
    acts: list[tuple[int, Act]] = [(one.seq, _vote(one)) for one in decisions if one.user_id]
    for each in withdrawals:
        was = by_id[each.decision_id]
        behalf = str(was.behalf_id) if was.behalf_id else ""
        acts.append((each.seq, Retraction(str(was.user_id), was.stage, behalf)))
    return [act for _, act in sorted(acts, key=lambda pair: pair[0])]


def _vote(row: Decision) -> Vote:
    return Vote(
        str(row.user_id),
        row.stage,
        row.verdict,
        frozenset(row.counts_for),
        row.fingerprint,
        row.result_fingerprint,
        str(row.behalf_id) if row.behalf_id else "",
    )


def _guest(workflow: Workflow, person: User) -> Person:
    active = person.is_active and not guests.hindrance(workflow, person.pk)
    return Person(str(person.pk), guests.addresses(workflow)[str(person.pk)], active=active)


def _absences(workflow: Workflow, now: dt.datetime) -> tuple[Away, ...]:
    kept = _kept.get()
    if kept is None:
        return _read_absences(workflow, now)
    key = ("absences", workflow.team_id, False)
    if key not in kept:
        kept[key] = _read_absences(workflow, now)
    found: tuple[Away, ...] = kept[key]
    return found


def _read_absences(workflow: Workflow, now: dt.datetime) -> tuple[Away, ...]:
    """Who is away now. What a manager has entered for somebody counts in the managers' own teams:
    elsewhere they may give nobody's say to anybody."""
    managers = Membership.objects.filter(
        team=workflow.team_id, role=Role.MANAGER, user=OuterRef("created_by")
    )
    rows = Absence.objects.filter(
        Q(created_by=None) | Q(created_by=F("user")) | Exists(managers),
        Q(end__isnull=True) | Q(end__gt=now),
        user__memberships__team=workflow.team_id,
        start__lte=now,
    ).values_list("user_id", "delegate_id", "start", "end")
    return tuple(
        Away(str(user), str(delegate) if delegate else None, start, end)
        for user, delegate, start, end in rows
    )


def _hand_overs(workflow: Workflow) -> tuple[Away, ...]:
    if workflow._state.adding:
        return ()
    given = HandOver.objects.filter(workflow=workflow, round=workflow.asked_round)
    return tuple(Away(str(one.person_id), str(one.to_id), one.created_at) for one in given)


def _done(workflow: Workflow, policy: dict[str, Any]) -> frozenset[tuple[int, str]]:
    if workflow._state.adding or not any(
        "escalation" in stage or "reminders" in stage for stage in policy["stages"]
    ):
        return frozenset()
    rows = FiredStep.objects.filter(workflow=workflow, round=workflow.asked_round)
    return frozenset(rows.values_list("stage", "key"))


def _fired_numbers(stage: Stage, done: frozenset[tuple[int, str]]) -> list[int]:
    keys = {key for index, key in done if index == stage.index}
    return [number for _, number in fired(stage, keys)]


def _speaks_of_groups(policy: Any) -> bool:
    """Whether groups bear on anything: named, or within reach of an expression."""
    text = str(policy)
    return "'group'" in text or "'expression'" in text


def _groups(team_id: UUID) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    through = Group.members.through.objects.filter(group__team_id=team_id)
    for user_id, group_id, slug in through.values_list("user_id", "group_id", "group__slug"):
        found.setdefault(str(user_id), set()).update({str(group_id), slug})
    return {id_: frozenset(names) for id_, names in found.items()}


def _groups_by_any_name(team_id: UUID) -> dict[str, str]:
    return group_names({team_id}).get(team_id, {})


def group_names(team_ids: Iterable[UUID]) -> dict[UUID, dict[str, str]]:
    """What the groups of these teams are called, by id and by slug."""
    found: dict[UUID, dict[str, str]] = {}
    rows = Group.objects.filter(team_id__in=team_ids)
    for team_id, pk, slug, name in rows.values_list("team_id", "pk", "slug", "name"):
        found.setdefault(team_id, {}).update({str(pk): name, slug: name})
    return found


def default_policy_of(team_id: UUID) -> Policy | None:
    """The policy that applies where nothing else names one."""
    return Policy.objects.filter(team_id=team_id, is_default=True).first()
