"""Ed25519 keys with which this server signs what others verify: they live outside the database.

The first of SIGNING_KEYS signs, all of them verify. An entry is a private key (`hitl_sk_` and 32
bytes in base64url) or, for one that has retired, its public half (`hitl_pk_…`). Several things are
signed with one key, so each says within the signed bytes what it is (for receipts: `typ`).
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from hitl.lib import canonical
from hitl.lib.errors import HitlError

PRIVATE, PUBLIC = "hitl_sk_", "hitl_pk_"
ALGORITHM = "EdDSA"
_BYTES = 32


class NoSigningKey(HitlError):
    """There is no key to sign with, or what is configured is none."""

    code = "unavailable"
    status = 503
    title = "The server has no key to sign with"


@dataclass(frozen=True)
class SigningKey:
    """What signs. `kid` is the thumbprint (RFC 7638) under which its public half is published."""

    kid: str
    private: Ed25519PrivateKey


@dataclass(frozen=True)
class _Ring:
    first: SigningKey
    public: dict[str, Ed25519PublicKey]


def generate() -> str:
    """A fresh private entry for SIGNING_KEYS."""
    return PRIVATE + secrets.token_urlsafe(_BYTES)


def public_half(entry: str) -> str:
    """The entry that verifies what `entry` signed and signs nothing. Raises NoSigningKey."""
    return PUBLIC + _text(_public(entry).public_bytes_raw())


def check() -> str:
    """A sentence that says what is wrong with SIGNING_KEYS, or ""."""
    try:
        current()
    except NoSigningKey as error:
        return str(error)
    return ""


def current() -> SigningKey:
    """The key that signs. Raises NoSigningKey."""
    return _ring().first


def public_keys() -> dict[str, Ed25519PublicKey]:
    """Every key that verifies, by kid, the one that signs first. Raises NoSigningKey."""
    return dict(_ring().public)


def sign(content: bytes) -> tuple[str, bytes]:
    """The kid of the first key and its raw signature (64 bytes). Raises NoSigningKey."""
    key = current()
    return key.kid, key.private.sign(content)


def verify(kid: str, signature: bytes, content: bytes) -> bool:
    """Whether the key of this kid signed exactly this. False for a kid that nobody knows."""
    key = _ring().public.get(kid)
    if key is None:
        return False
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def jwks() -> dict[str, Any]:
    """The public keys as a JWK set (RFC 7517, 8037), the one that signs first."""
    return {"keys": [_jwk(kid, key) for kid, key in _ring().public.items()]}


def _ring() -> _Ring:
    return _read(tuple(entry.strip() for entry in settings.SIGNING_KEYS))


@lru_cache(maxsize=16)
def _read(entries: tuple[str, ...]) -> _Ring:
    if not entries:
        raise NoSigningKey("SIGNING_KEYS is empty, so nothing can be signed.")
    if not entries[0].startswith(PRIVATE):
        raise NoSigningKey(f"The first of SIGNING_KEYS signs, so it must start with {PRIVATE}.")
    keys = [_public(entry) for entry in entries]
    private = Ed25519PrivateKey.from_private_bytes(_raw(entries[0], PRIVATE))
    first = SigningKey(_thumbprint(keys[0]), private)
    return _Ring(first, {_thumbprint(key): key for key in keys})


def _public(entry: str) -> Ed25519PublicKey:
    if entry.startswith(PRIVATE):
        return Ed25519PrivateKey.from_private_bytes(_raw(entry, PRIVATE)).public_key()
    if entry.startswith(PUBLIC):
        return Ed25519PublicKey.from_public_bytes(_raw(entry, PUBLIC))
    raise NoSigningKey(f"An entry of SIGNING_KEYS starts neither with {PRIVATE} nor {PUBLIC}.")


def _raw(entry: str, prefix: str) -> bytes:
    """The 32 bytes of an entry; the sentence of an error never holds the entry itself."""
    text = entry.removeprefix(prefix)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _BYTES:
        raise NoSigningKey(f"An entry of SIGNING_KEYS is not {prefix} and 32 bytes in base64url.")
    return raw


def _jwk(kid: str, key: Ed25519PublicKey) -> dict[str, str]:
    return {**_members(key), "kid": kid, "use": "sig", "alg": ALGORITHM}


def _members(key: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _text(key.public_bytes_raw())}


def _thumbprint(key: Ed25519PublicKey) -> str:
    return _text(hashlib.sha256(canonical.dumps(_members(key))).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
