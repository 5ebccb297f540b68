"""The format of API keys: `hitl_agt_` + 30 random base62 characters + 6 of checksum.

After GitHub's token format: the prefix lets leak scanners recognise a key, the CRC-32 rejects a
typo without a database look-up. The checksum is no security; 178 random bits are, so plain SHA-256
is enough at rest (OWASP ASVS 5.0, 6.5.2).
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "hitl_agt_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 30, 6


def generate() -> str:
    """A fresh key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return f"{PREFIX}{body}{_checksum(body)}"


def is_well_formed(key: str) -> bool:
    """Whether this looks like one of our keys, checksum included."""
    body = key.removeprefix(PREFIX)
    if body == key or len(body) != _RANDOM + _CHECK or not body.isascii():
        return False
    return secrets.compare_digest(body[_RANDOM:], _checksum(body[:_RANDOM]))


def digest(key: str) -> str:
    """What is stored: hex SHA-256 of the whole key."""
    return hashlib.sha256(key.encode()).hexdigest()


def visible_prefix(key: str) -> str:
    """What people see of a key afterwards."""
    return key[: len(PREFIX) + 8]


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
