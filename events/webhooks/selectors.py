"""Reads about webhooks: who manages which endpoint, what is due, what came of messages."""

import datetime as dt
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from events.webhooks import sending
from events.webhooks.endpoints import NO_ENDPOINT
from events.webhooks.models import WebhookEndpoint, WebhookMessage, WebhookSecret
from events.webhooks.replays import NO_MESSAGE
from hitl.accounts.models import Agent, Membership, Role, Team, User
from hitl.lib.errors import Forbidden, InvalidInput, NotFound

BY_ITSELF = (WebhookEndpoint.Disabled.GONE, WebhookEndpoint.Disabled.FAILING)
MANAGERS_ONLY = "Only managers of the team look after webhooks."


def managed_teams(user: User) -> QuerySet[Team]:
    """Teams that this person manages."""
    return Team.objects.filter(memberships__user=user, memberships__role=Role.MANAGER)


def managed_by(caller: Agent | User) -> QuerySet[WebhookEndpoint]:
    """The endpoints that a manager, or an agent whose key may, looks after. Never the
    environment's: it hears every team."""
    rows = WebhookEndpoint.objects.select_related("team", "created_by")
    if isinstance(caller, Agent):
        return rows.filter(team_id=caller.team_id)
    return rows.filter(
        team__memberships__user=caller, team__memberships__role=Role.MANAGER
    ).distinct()


def get(endpoint_id: UUID, caller: Agent | User) -> WebhookEndpoint:
    """One endpoint. Raises NotFound for another team's, Forbidden for those who do not manage."""
    found = managed_by(caller).filter(pk=endpoint_id).first()
    if found is not None:
        return found
    if isinstance(caller, User) and _is_colleague(caller, endpoint_id):
        raise Forbidden(MANAGERS_ONLY)
    raise NotFound(NO_ENDPOINT)


def _is_colleague(user: User, endpoint_id: UUID) -> bool:
    return Membership.objects.filter(
        user=user, team__in=WebhookEndpoint.objects.filter(pk=endpoint_id).values("team")
    ).exists()


def home(caller: Agent | User, team_id: UUID | None) -> UUID:
    """The team a new endpoint goes to: an agent's own, a manager's only one, or the one named.

    Raises Forbidden for those who manage none, NotFound, and InvalidInput where it is not clear.
    """
    if isinstance(caller, Agent):
        mine = [caller.team_id]
    else:
        mine = list(managed_teams(caller).values_list("pk", flat=True))
    if team_id is not None and team_id not in mine:
        if isinstance(caller, User) and caller.memberships.filter(team_id=team_id).exists():
            raise Forbidden(MANAGERS_ONLY)
        raise NotFound("There is no such team.")
    if not mine:
        raise Forbidden(MANAGERS_ONLY)
    if team_id is None and len(mine) > 1:
        raise InvalidInput("You manage several teams: name one in teamId.")
    return team_id or mine[0]


def message(endpoint: WebhookEndpoint, message_id: UUID) -> WebhookMessage:
    """One message with its attempts. Raises NotFound."""
    found = log(endpoint).prefetch_related("tries_made").filter(pk=message_id).first()
    if found is None:
        raise NotFound(NO_MESSAGE)
    return found


def log(endpoint: WebhookEndpoint) -> QuerySet[WebhookMessage]:
    """The endpoint's messages with the numbers of their events, which are large otherwise."""
    rows = WebhookMessage.objects.filter(endpoint=endpoint).select_related("event")
    return rows.only(
        *(field.name for field in WebhookMessage._meta.concrete_fields),
        "event__seq",
        "event__workflow",
    )


def counts(endpoint: WebhookEndpoint) -> dict[str, int]:
    """How many messages there are of each status."""
    rows = endpoint.messages.order_by().values_list("status").annotate(count=Count("pk"))
    return dict(rows)


def secrets(endpoint: WebhookEndpoint, now: dt.datetime) -> list[WebhookSecret]:
    """What signs at this moment, the current one first."""
    good = endpoint.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=now))
    return sorted(good, key=lambda each: (each.expires_at is not None, -each.pk))


def with_secrets(rows: QuerySet[WebhookEndpoint], now: dt.datetime) -> QuerySet[WebhookEndpoint]:
    """The same endpoints, each with what signs at this moment loaded."""
    good = WebhookSecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now))
    return rows.prefetch_related(Prefetch("secrets", queryset=good))


def due_endpoints(now: dt.datetime, *, limit: int) -> list[UUID]:
    """Endpoints for which something waits that may be sent now, at random: all get their turn."""
    waiting = sending.due(now).filter(endpoint=OuterRef("pk"))
    rows = (
        WebhookEndpoint.objects.filter(Exists(waiting), is_active=True)
        .filter(Q(rests_until=None) | Q(rests_until__lte=now))
        .order_by("?")
    )
    return list(rows.values_list("pk", flat=True)[:limit])


def alarms(user: User) -> int | None:
    """How many endpoints of the person's teams switched themselves off; None for non-managers."""
    off = WebhookEndpoint.objects.filter(team=OuterRef("team"), disabled_reason__in=BY_ITSELF)
    counted = off.order_by().values("team").annotate(count=Count("pk")).values("count")
    managed = Membership.objects.filter(user=user, role=Role.MANAGER)
    found = list(managed.values_list(Coalesce(Subquery(counted), 0), flat=True))
    return sum(found) if found else None
