"""Where a person can be reached: addresses added, proved, ordered, removed.

Invariant: a proved address is one person's. An address that nobody has proved yet bars nobody else
from proving that it is theirs.
"""

import logging

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from hitl.accounts.models import ContactPoint, User
from hitl.lib.errors import Conflict, NotFound

logger = logging.getLogger(__name__)

MOST = 20


class AddressTaken(Conflict):
    """Another person has proved that the address is theirs, or logs in with it."""

    code = "address-taken"
    title = "This address belongs to somebody else"


class TooManyAddresses(Conflict):
    """The person has enough of them."""

    code = "too-many-addresses"
    title = "There are too many addresses"


def mine(user: User) -> list[ContactPoint]:
    """The person's addresses in the preferred order."""
    return list(user.contact_points.order_by("position", "pk"))


def get(user: User, point_id: int) -> ContactPoint:
    """One of the person's addresses. Raises NotFound for any other."""
    point = user.contact_points.filter(pk=point_id).first()
    if point is None:
        raise NotFound("There is no such address among yours.")
    return point


def check_free(user: User, kind: str, address: str) -> None:
    """Raise AddressTaken where somebody else has it; closed accounts hold nothing back."""
    others = ContactPoint.objects.filter(
        kind=kind, address=address, verified_at__isnull=False, user__is_active=True
    ).exclude(user=user)
    logins = User.objects.filter(email__iexact=address, is_active=True).exclude(pk=user.pk)
    if others.exists() or (kind == ContactPoint.Kind.EMAIL and logins.exists()):
        raise AddressTaken(
            f"{address} belongs to somebody else here. If it is yours, ask them or an "
            "administrator to remove it there first."
        )


@transaction.atomic
def add(user: User, kind: str, address: str) -> ContactPoint:
    """The person's point with that address, last in the order and not proved if it is new.

    Raises AddressTaken or TooManyAddresses.
    """
    check_free(user, kind, address)
    known = user.contact_points.filter(kind=kind, address=address).first()
    if known:
        return known
    if user.contact_points.count() >= MOST:
        raise TooManyAddresses(f"You have {MOST} addresses; remove one first.")
    last = user.contact_points.aggregate(last=Max("position"))["last"]
    return ContactPoint.objects.create(
        user=user, kind=kind, address=address, position=0 if last is None else last + 1
    )


def prove(point: ContactPoint) -> ContactPoint:
    """Note that the address is the person's; again is harmless. Raises AddressTaken."""
    check_free(point.user, point.kind, point.address)
    if point.verified_at is not None:
        return point
    point.verified_at = timezone.now()
    try:
        with transaction.atomic():
            _left_behind(point).delete()
            point.save(update_fields=["verified_at"])
    except IntegrityError:  # somebody else proved it in this very moment
        raise AddressTaken from None
    logger.info("address proved", extra={"user": str(point.user_id), "kind": point.kind})
    return point


def _left_behind(point: ContactPoint) -> QuerySet[ContactPoint]:
    """The same address where accounts that are closed by now still hold it."""
    same = ContactPoint.objects.filter(kind=point.kind, address=point.address)
    return same.filter(verified_at__isnull=False, user__is_active=False).exclude(user=point.user)


def mailbox(user: User, address: str) -> ContactPoint | None:
    """The person's point for a mailbox, made for the one they log in with; None if not theirs."""
    point = user.contact_points.filter(
        kind=ContactPoint.Kind.EMAIL, address=address, verified_at__isnull=False
    ).first()
    if point is None and user.email.lower() == address.lower():
        return prove(add(user, ContactPoint.Kind.EMAIL, address))
    return point


def set_use(user: User, point_id: int, use: str) -> None:
    """Write there always, only when the others fail, or never. Raises NotFound."""
    point = get(user, point_id)
    point.use = ContactPoint.Use(use)
    point.save(update_fields=["use"])


@transaction.atomic
def move(user: User, point_id: int, by: int) -> None:
    """One place up (`by` -1) or down (1); at the ends nothing happens. Raises NotFound."""
    points = list(user.contact_points.select_for_update().order_by("position", "pk"))
    place = next((n for n, point in enumerate(points) if point.pk == point_id), None)
    if place is None:
        raise NotFound("There is no such address among yours.")
    other = min(max(place + by, 0), len(points) - 1)
    points[place], points[other] = points[other], points[place]
    for position, point in enumerate(points):
        point.position = position
    ContactPoint.objects.bulk_update(points, ["position"])


def remove(user: User, point_id: int) -> ContactPoint:
    """Write there no more; the address is free for others. Raises NotFound."""
    point = get(user, point_id)
    point.delete()
    logger.info("address removed", extra={"user": str(user.pk), "kind": point.kind})
    return point
