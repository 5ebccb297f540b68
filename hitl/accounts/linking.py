"""Proves that an account at a provider belongs to a person: a code shown to one, used by the other.

Codes live for minutes in the cache: losing them costs a click and links nobody.
"""

import secrets
from uuid import UUID

from django.core.cache import cache
from django.db import transaction

from hitl.accounts import contacts
from hitl.accounts.models import ContactPoint, User

LIFETIME_SECONDS = 900


def issue(user: User, kind: str, *, address: str = "") -> str:
    """A fresh code for this person; with `address` it proves that one address and no other."""
    code = secrets.token_urlsafe(18).replace("-", "A").replace("_", "B")
    cache.set(_key(kind, code), (str(user.pk), address), LIFETIME_SECONDS)
    return code


def redeem(kind: str, code: str, address: str) -> User | None:
    """Link `address` to whom the code was shown to, once; None for a code that is not good.

    Raises AddressTaken where the address is somebody else's.
    """
    found = cache.get(_key(kind, code))
    if not found:
        return None
    user_id, meant = found
    user = User.objects.filter(pk=UUID(user_id), is_active=True).first()
    if user is None or (meant and meant != address):
        return None
    cache.delete(_key(kind, code))
    link(user, kind, address)
    return user


@transaction.atomic
def link(user: User, kind: str, address: str) -> ContactPoint:
    """Make a proven address this person's. Raises AddressTaken where it is somebody else's."""
    return contacts.prove(contacts.add(user, kind, address))


def _key(kind: str, code: str) -> str:
    return f"link:{kind}:{code}"
