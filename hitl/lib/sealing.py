"""Secrets at rest: authenticated encryption with keys that can be replaced one after the other.

The first of ENCRYPTION_KEYS seals, all of them open; SECRET_KEY opens too, so that nothing is lost
on the day the first key is named. Without ENCRYPTION_KEYS, SECRET_KEY does both.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from hitl.lib.errors import HitlError

MARK = "sealed:"
# Binds the derived keys to this use: SECRET_KEY signs sessions as well.
_PURPOSE = b"hitl.lib.sealing 1"


class Unreadable(HitlError):
    """No key that is loaded opens this: it was sealed with one that has been taken away."""

    code = "unreadable-secret"
    status = 500
    title = "A stored secret cannot be opened with the present keys"


def seal(text: str) -> str:
    """The text encrypted with the first key; different each time."""
    return _ring().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed. Raises Unreadable where no key fits or the text was tampered with."""
    try:
        return _ring().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None


def reseal(sealed: str) -> str:
    """The same secret under the first key. Raises Unreadable."""
    try:
        return _ring().rotate(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None


def is_current(sealed: str) -> bool:
    """Whether the first key alone opens it, so that the others may go."""
    first = _keys()[0]
    try:
        _fernet(first).decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def keep(text: str) -> str:
    """A secret as it is kept among values that are none: sealed, and marked as that."""
    return text if not text or text.startswith(MARK) else MARK + seal(text)


def reveal(kept: str) -> str:
    """What was kept; what was never sealed comes as it is. Raises Unreadable."""
    return unseal(kept.removeprefix(MARK)) if kept.startswith(MARK) else kept


def _keys() -> tuple[str, ...]:
    return (*settings.ENCRYPTION_KEYS, settings.SECRET_KEY)


def _ring() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in _keys()])


@lru_cache(maxsize=16)
def _fernet(key: str) -> Fernet:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE)
    return Fernet(base64.urlsafe_b64encode(derived.derive(key.encode())))
