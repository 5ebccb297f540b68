"""Reads about people and teams."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from hitl.accounts.models import Absence, ContactPoint, Membership, Role, Team, User

LONGEST_CHAIN = 5  # as far as policies follow delegates of delegates
DECIDING_ROLES = (Role.APPROVER, Role.MANAGER)


def teams_of(user: User) -> QuerySet[Team]:
    """Teams whose records this person may see."""
    return Team.objects.filter(memberships__user=user)


def membership(team_id: UUID, user_id: UUID) -> Membership | None:
    """The person's membership in the team right now, if the account is active."""
    return (
        Membership.objects.select_related("user")
        .filter(team_id=team_id, user_id=user_id, user__is_active=True)
        .first()
    )


def approvers(team_id: UUID) -> list[User]:
    """Everybody in the team who may decide."""
    return list(
        User.objects.filter(
            memberships__team_id=team_id, memberships__role__in=DECIDING_ROLES, is_active=True
        ).order_by("email")
    )


def approvers_by_email(team_id: UUID, emails: Iterable[str]) -> dict[str, User]:
    """The approvers of the team among `emails`, by lower-case address (login or contact point)."""
    wanted = {email.lower() for email in emails}
    found = {user.email.lower(): user for user in approvers(team_id)}
    for point in ContactPoint.objects.filter(
        kind=ContactPoint.Kind.EMAIL,
        address__in=wanted,
        verified_at__isnull=False,
        user__in=list(found.values()),
    ).select_related("user"):
        found.setdefault(point.address.lower(), point.user)
    return {email: user for email, user in found.items() if email in wanted}


def stood_in_for(user_id: UUID) -> list[UUID]:
    """Those who are away now and have named this person; delegates of delegates included."""
    now = timezone.now()
    current = Absence.objects.filter(Q(end=None) | Q(end__gt=now), start__lte=now)
    pairs = current.exclude(delegate=None).values_list("user_id", "delegate_id")
    found: list[UUID] = []
    wanted = {user_id}
    for _ in range(LONGEST_CHAIN):
        wanted = {user for user, delegate in pairs if delegate in wanted} - {user_id, *found}
        found += sorted(wanted)
    return found


def is_delegate() -> Exists:
    """Of memberships, whether somebody who is away now has named the person."""
    now = timezone.now()
    current = Absence.objects.filter(Q(end=None) | Q(end__gt=now), start__lte=now)
    return Exists(current.filter(delegate=OuterRef("user")))


def by_address(email: str) -> User | None:
    """Who logs in with the address or has proved that it is theirs, closed accounts included."""
    login = User.objects.filter(email__iexact=email).first()
    if login:
        return login
    point = (
        ContactPoint.objects.select_related("user")
        .filter(kind=ContactPoint.Kind.EMAIL, address=email.lower(), verified_at__isnull=False)
        .first()
    )
    return point.user if point else None


def by_contact(kind: str, address: str) -> User | None:
    """Whose verified contact point this is, if the account is active."""
    point = (
        ContactPoint.objects.select_related("user")
        .filter(kind=kind, address=address, verified_at__isnull=False, user__is_active=True)
        .first()
    )
    return point.user if point else None
