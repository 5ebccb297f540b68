"""What pages need from the floors below, in few queries, and only of the person's teams."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from dashboard.cursors import Cursor
from dashboard.filters import ME, NOBODY, Filters, HistoryFilters, InboxFilters
from deliveries import selectors as deliveries
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, Group, Membership, Role, User
from hitl.lib import db
from hitl.lib.text import has_deceptive
from workflows import cases, decision_form, guests
from workflows.decision_form import Highlight
from workflows.models import ActionType, Decision, HandOver, Risk, Status, Verdict, Workflow
from workflows.policies import plain, shape
from workflows.policies.plain import Names

PAGE = 50
COUNT_LIMIT = 100
CHOICES_OFFERED = 400
URGENT, SOON = dt.timedelta(minutes=10), dt.timedelta(hours=1)
RISK_RANK = Case(
    When(risk=Risk.HIGH, then=Value(0)),
    When(risk=Risk.MEDIUM, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Circle:
    """A person and the teams they belong to, read once a request.

    `stands_in`: somebody who is away now has named them.
    """

    user: User
    memberships: tuple[Membership, ...]
    stands_in: bool

    @property
    def team_ids(self) -> list[UUID]:
        """Teams whose requests the person may see."""
        return [member.team_id for member in self.memberships]

    @property
    def deciding_ids(self) -> list[UUID]:
        """Teams in which the person may decide."""
        return [member.team_id for member in self.memberships if member.may_decide]

    @property
    def manages(self) -> bool:
        return any(member.role == Role.MANAGER for member in self.memberships)

    @cached_property
    def words(self) -> list[str]:
        """What `Workflow.asks` calls the person, and those they stand in for at the moment."""
        people = [self.user.pk]
        people += accounts.stood_in_for(self.user.pk) if self.stands_in else []
        words = [f"user:{id_}" for id_ in people]
        groups = Group.objects.filter(members__in=people).values_list("pk", "slug").distinct()
        for pk, slug in groups:
            words += [f"group:{pk}", f"group:{slug}"]
        roles = {str(member.role) for member in self.memberships}
        if Role.MANAGER in roles:
            roles |= {str(Role.APPROVER)}
        return [*words, *(f"role:{role}" for role in sorted(roles)), "owner"]


@dataclass(frozen=True)
class Count:
    """How many there are, counted no further than is worth it."""

    total: int

    def __str__(self) -> str:
        return f"{COUNT_LIMIT}+" if self.total > COUNT_LIMIT else str(self.total)


@dataclass(frozen=True)
class Row:
    """One request in the inbox. `urgency` is over, urgent, soon or nothing.

    `is_lost`: the messages about it have reached nobody.
    """

    workflow: Workflow
    facts: list[Highlight]
    asked: str
    urgency: str
    is_lost: bool

    @property
    def is_deceptive(self) -> bool:
        """Whether something in the row is not what it seems."""
        words = (self.workflow.name, self.workflow.agent.name, self.workflow.action_type)
        return any(map(has_deceptive, words)) or any(fact.is_deceptive for fact in self.facts)


@dataclass(frozen=True)
class Page(Generic[RowT]):
    """Part of a list; `next` is where the following part begins, None at the end."""

    rows: Sequence[RowT]
    next: Cursor | None


def circle(user: User) -> Circle:
    """The person's teams and roles right now."""
    rows: QuerySet[Any] = user.memberships.select_related("team").order_by("team__name")
    found = tuple(rows.annotate(stands_in=accounts.is_delegate()))
    return Circle(user, found, any(row.stands_in for row in found))


# --- Inbox ---------------------------------------------------------------------------------------


def waiting(who: Circle) -> QuerySet[Workflow]:
    """Everything that waits for anybody in the person's teams."""
    return Workflow.objects.filter(team_id__in=who.team_ids, status=Status.PENDING)


def asking(who: Circle) -> QuerySet[Workflow]:
    """What waits for this very person: may decide, is asked, has not answered yet.

    `Workflow.asks` says whom the open stage asks. An answer that has been taken back, or that was
    about data that somebody has edited since, is none. What was handed over asks the other.
    """
    named = Q(asks__contains="|team|")
    for word in who.words:
        named |= Q(asks__contains=f"|{word}|")
    answered = Decision.objects.filter(
        Q(workflow__proposed_fingerprint="", result_fingerprint="")
        | Q(result_fingerprint=F("workflow__proposed_fingerprint"))
        | Q(fingerprint=F("workflow__proposed_fingerprint"), result_fingerprint="")
        | Q(verdict=Verdict.REJECTED),
        workflow=OuterRef("pk"),
        round=OuterRef("round"),
        stage=OuterRef("stage"),
        user=who.user,
        withdrawal=None,
    )
    given = HandOver.objects.filter(workflow=OuterRef("pk"), round=OuterRef("round"))
    given_away = Exists(given.filter(person=who.user)) & ~Exists(given.filter(to=who.user))
    own = Q(agent__owner=who.user) & Q(policy__contains='"allowOwner":false')
    own |= Q(requester=who.user) & ~Q(policy__contains='"allowRequester":true')
    return (
        waiting(who)
        .filter(named, team_id__in=who.deciding_ids)
        .exclude(own)
        .exclude(Exists(answered))
        .exclude(given_away)
    )


def count(rows: QuerySet[Workflow]) -> Count:
    """How many rows, without ever counting a big table."""
    return counted(rows)[0]


def counted(*rows: QuerySet[Workflow]) -> list[Count]:
    """The same of several, in one query."""
    return [Count(total) for total in db.counts(COUNT_LIMIT + 1, *rows)]


def inbox(who: Circle, filters: InboxFilters) -> Page[Row]:
    """Open requests by deadline, then risk."""
    rows = waiting(who) if filters.show == "all" else asking(who)
    if filters.risk:
        rows = rows.filter(risk=filters.risk)
    ranked: QuerySet[Any] = _narrowed(rows, who, filters).annotate(
        rank=RISK_RANK, is_lost=deliveries.reaches_nobody()
    )
    if filters.after:
        ranked = _behind(ranked, filters.after)
    found = list(
        ranked.select_related("agent", "team").order_by("expires_at", "rank", "pk")[: PAGE + 1]
    )
    shown = found[:PAGE]
    last = shown[-1] if len(found) > PAGE else None
    cursor = Cursor(last.expires_at, last.rank, last.pk) if last else None
    return Page(_rows(shown, who), cursor)


def _behind(rows: QuerySet[Any], after: Cursor) -> QuerySet[Any]:
    same = Q(expires_at=after.moment)
    return rows.filter(
        Q(expires_at__gt=after.moment)
        | (same & Q(rank__gt=after.rank))
        | (same & Q(rank=after.rank, pk__gt=after.id)),
        expires_at__gte=after.moment,  # what an index can start from
    )


def _rows(workflows: list[Any], who: Circle) -> list[Row]:
    names = _names(workflows)
    now = timezone.now()
    return [
        Row(
            workflow,
            decision_form.highlights(workflow),
            _asked(workflow, who.user, names.get(workflow.team_id, Names())),
            urgency(workflow, now),
            workflow.is_lost,
        )
        for workflow in workflows
    ]


def _need(workflow: Workflow) -> shape.Need:
    """What the open stage needs."""
    return shape.read(workflow.policy).stages[workflow.stage].need


def _names(workflows: Iterable[Workflow]) -> dict[UUID, Names]:
    """What the people and groups that the open stages name are called, by team."""
    rows = [row for row in workflows if row.asks != "|team|"]
    whos = [leaf.who for row in rows for leaf in shape.leaves_of(_need(row))]
    users = User.objects.filter(pk__in={id_ for who in whos for id_ in who.get("users", ())})
    persons = {str(user.pk): str(user) for user in users}
    groups: dict[UUID, dict[str, str]] = {}
    if any("group" in who for who in whos):
        groups = cases.group_names({row.team_id for row in rows})
    return {row.team_id: Names(persons, groups.get(row.team_id, {})) for row in rows}


def _asked(workflow: Workflow, user: User, names: Names) -> str:
    """Whom the open stage asks, in a few words."""
    need = _need(workflow)
    if isinstance(need, shape.Leaf):
        who, count = need.who, need.count
        if "team" in who and count == 1 and "label" not in who:
            return f"any approver of {workflow.team.name}"
        if "users" in who and "label" not in who and count == 1:
            return _named(workflow, list(who["users"]), user, names)
    return plain.need(need, names)


def _named(workflow: Workflow, ids: list[str], user: User, names: Names) -> str:
    invited = guests.addresses(workflow)
    said = ["you"] if str(user.pk) in ids else []
    said += [invited.get(id_) or names.person(id_) for id_ in ids if id_ != str(user.pk)]
    if len(said) > 2:
        return f"{said[0]} and {len(said) - 1} others"
    return " and ".join(said)


def urgency(workflow: Workflow, now: dt.datetime) -> str:
    """How near the deadline is, as a word for the style sheet."""
    left = workflow.expires_at - now
    if left <= dt.timedelta():
        return "over"
    return "urgent" if left <= URGENT else "soon" if left <= SOON else ""


# --- History -------------------------------------------------------------------------------------


def history(who: Circle, filters: HistoryFilters) -> Page[Workflow]:
    """Every request of the person's teams, newest first."""
    rows = _narrowed(Workflow.objects.filter(team_id__in=who.team_ids), who, filters)
    if filters.status:
        rows = rows.filter(status=filters.status)
    if filters.verdict:
        rows = rows.filter(decision=filters.verdict)
    if filters.by:
        rows = rows.filter(_decided_by(filters.by, who.user))
    if filters.since:
        rows = rows.filter(created_at__gte=_moment(filters.since, dt.time.min))
    if filters.until:
        rows = rows.filter(created_at__lte=_moment(filters.until, dt.time.max))
    if filters.after:
        place = filters.after
        rows = rows.filter(
            Q(created_at__lt=place.moment) | Q(created_at=place.moment, pk__lt=place.id),
            created_at__lte=place.moment,
        )
    found = list(
        rows.select_related("agent", "team", "responded_by").order_by("-created_at", "-pk")[
            : PAGE + 1
        ]
    )
    shown = found[:PAGE]
    last = shown[-1] if len(found) > PAGE else None
    return Page(shown, Cursor(last.created_at, 0, last.pk) if last else None)


def _decided_by(by: str, user: User) -> Q:
    """Who had the last word. What nobody decided is said in the words of the index for it."""
    if by in NOBODY:
        return Q(responded_by=None, responded_via=NOBODY[by]) & ~Q(decision="")
    return Q(responded_by=user.pk if by == ME else UUID(by))


def deciders(who: Circle) -> list[tuple[str, str]]:
    """What the history offers to filter by: oneself, what is nobody, and the teams' people."""
    people = User.objects.filter(memberships__team__in=who.team_ids).exclude(pk=who.user.pk)
    names = [(str(user.pk), str(user)) for user in people.distinct()[:CHOICES_OFFERED]]
    known = [(ME, "Decided by me"), ("rule", "Decided by a rule"), ("silence", "By silence")]
    return [*known, *sorted(names, key=itemgetter(1))]


def _moment(day: dt.date, time: dt.time) -> dt.datetime:
    return dt.datetime.combine(day, time, tzinfo=dt.UTC)


# --- Both ----------------------------------------------------------------------------------------


def _narrowed(rows: QuerySet[Workflow], who: Circle, filters: Filters) -> QuerySet[Workflow]:
    if filters.team:
        mine = [row.team_id for row in who.memberships if row.team.slug == filters.team]
        rows = rows.filter(team_id__in=mine)
    if filters.agent:
        rows = rows.filter(agent_id=filters.agent)
    if filters.type:
        rows = rows.filter(action_type=filters.type)
    return rows.filter(_matching(filters.q)) if filters.q else rows


def _matching(text: str) -> Q:
    found = (
        Q(name__icontains=text) | Q(action_type__icontains=text) | Q(agent__name__icontains=text)
    )
    try:
        return found | Q(pk=UUID(text))
    except ValueError:
        return found


@dataclass(frozen=True)
class Choices:
    """What the filters of a list offer: agents by id, and names of action types."""

    agents: list[tuple[UUID, str]]
    types: list[str]


def choices(who: Circle, shown: Iterable[Workflow], filters: Filters) -> Choices:
    """The teams' agents, and the action types they have described or that are on the page."""
    team_ids = who.team_ids
    agents = Agent.objects.filter(team_id__in=team_ids).values_list("pk", "name", Value(1))
    types = ActionType.objects.filter(team_id__in=team_ids).values_list("pk", "name", Value(2))
    rows = list(agents.order_by().union(types.order_by(), all=True)[:CHOICES_OFFERED])
    described = {name for _, name, kind in rows if kind == 2}
    names = described | {row.action_type for row in shown} | {filters.type}
    return Choices(
        sorted(((pk, name) for pk, name, kind in rows if kind == 1), key=itemgetter(1)),
        sorted(names - {""}),
    )
