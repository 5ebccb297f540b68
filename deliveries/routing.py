"""Who gets what: which addresses of a person are written to at once, and which come next.

A person's verified contact points are tried in the preferred order, as far as their channel is on.
Those used *always* are all written to at once; the others step in, one by one, when those fail.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from deliveries.channels import CHANNELS
from deliveries.models import Delivery
from hitl.accounts import selectors as accounts
from hitl.accounts.models import ContactPoint, User


@dataclass(frozen=True)
class Recipient:
    """One person at one address."""

    user: User | None
    channel: str
    address: str


def first_wave(people: Sequence[User], *, only: Collection[str] = ()) -> list[Recipient]:
    """Everybody's addresses to write to at once; nothing for people nobody can reach.

    `only` names the channels that are wanted: of somebody who has none of them, all count.
    """
    points = _points(people)
    return [
        recipient
        for person in people
        for recipient in _recipients(person, _at_once(_wanted(_open(points[person.pk]), only)))
    ]


def _wanted(
    points: list[tuple[ContactPoint, str]], only: Collection[str]
) -> list[tuple[ContactPoint, str]]:
    return [pair for pair in points if pair[1] in only] or points


def order_for(person: User) -> tuple[list[Recipient], list[Recipient]]:
    """The person's addresses that are written to at once, and those that come next, in order."""
    points = _open(_points([person])[person.pk])
    now = _at_once(points)
    later = [pair for pair in points if pair not in now]
    return _recipients(person, now), _recipients(person, later)


def next_for(delivery: Delivery) -> Recipient | None:
    """Where the same person can be tried after this delivery failed; None when nothing is left.

    Who is no member (any more) is written to nowhere else: guests are reached by mail only.
    """
    if delivery.user is None or not accounts.membership(delivery.team_id, delivery.user.pk):
        return None
    tried = set(
        Delivery.objects.filter(
            workflow_id=delivery.workflow_id,
            round=delivery.round,
            wave=delivery.wave,
            kind=delivery.kind,
            user=delivery.user,
        ).values_list("channel", "recipient")
    )
    for point, channel in _open(_points([delivery.user])[delivery.user.pk]):
        if (channel, point.address) not in tried:
            return Recipient(delivery.user, channel, point.address)
    return None


def anything_is_on() -> bool:
    """Whether this server has any channel at all; without one, the dashboard is all there is."""
    return any(channel.is_on() for channel in CHANNELS.values())


def _points(people: Iterable[User]) -> dict[UUID, list[ContactPoint]]:
    """Verified contact points in the preferred order; the login's address where none is a mail."""
    found: dict[UUID, list[ContactPoint]] = {person.pk: [] for person in people}
    rows = ContactPoint.objects.filter(user__in=list(found), verified_at__isnull=False)
    for row in rows.order_by("position", "pk"):
        found[row.user_id].append(row)
    for person in people:
        if not any(row.kind == ContactPoint.Kind.EMAIL for row in found[person.pk]):
            login = ContactPoint(user=person, kind=ContactPoint.Kind.EMAIL, address=person.email)
            found[person.pk].append(login)
    return found


def _open(points: list[ContactPoint]) -> list[tuple[ContactPoint, str]]:
    """The points that are not switched off and whose channel is on, with the channel's name."""
    names = {kind.contact_kind: name for name, kind in CHANNELS.items() if kind.is_on()}
    wanted = (point for point in points if point.use != ContactPoint.Use.OFF)
    return [(point, names[point.kind]) for point in wanted if point.kind in names]


def _recipients(person: User, points: list[tuple[ContactPoint, str]]) -> list[Recipient]:
    return [Recipient(person, channel, point.address) for point, channel in points]


def _at_once(points: list[tuple[ContactPoint, str]]) -> list[tuple[ContactPoint, str]]:
    always = [pair for pair in points if pair[0].use == ContactPoint.Use.ALWAYS]
    return always or points[:1]
