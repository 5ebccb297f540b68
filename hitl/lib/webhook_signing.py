"""Standard Webhooks 1.0: secrets, keys and the signatures of one attempt.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. Ours,
because the reference library changes the zone of the time it is given and signs `v1` only.
"""

import base64
import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
SECRET_BYTES = 32
SHORTEST, LONGEST = 24, 64  # bytes of a symmetric secret, as the specification wants them
_SEED = 32


def new_secret() -> str:
    """A fresh symmetric secret: `whsec_` and 32 random bytes in base64."""
    return SECRET + _text(secrets.token_bytes(SECRET_BYTES))


def new_private_key() -> str:
    """A fresh Ed25519 key: `whsk_` and seed with public key (64 bytes) in base64."""
    key = Ed25519PrivateKey.generate()
    return PRIVATE + _text(key.private_bytes_raw() + key.public_key().public_bytes_raw())


def public_key(private: str) -> str:
    """The `whpk_` key with which receivers check what `private` signed."""
    public = _ed25519(private).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PUBLIC + _text(raw)


def is_secret(text: str) -> bool:
    """Whether this is a symmetric secret of a length that the specification allows."""
    if not text.startswith(SECRET):
        return False
    try:
        return SHORTEST <= len(_raw(text, SECRET)) <= LONGEST
    except ValueError:
        return False


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature: `v1,…` (HMAC-SHA256) for a `whsec_`, `v1a,…` (Ed25519) for a `whsk_`.

    Signed is `id.timestamp.body`, with the time of this attempt in whole seconds.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    if secret.startswith(PRIVATE):
        return f"v1a,{_text(_ed25519(secret).sign(content))}"
    return f"v1,{_text(hmac.digest(_raw(secret, SECRET), content, hashlib.sha256))}"


def _ed25519(private: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_raw(private, PRIVATE)[:_SEED])


def _raw(text: str, prefix: str) -> bytes:
    return base64.b64decode(text.removeprefix(prefix), validate=True)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
