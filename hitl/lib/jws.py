"""Compact JWS (RFC 7515) under our signing keys: one algorithm, and a type that says what it is.

What the header of a foreign token says chooses nothing but which of our own keys is tried.
"""

from typing import Any

import jwt
from jwt import api_jws

from hitl.lib import canonical, signing_keys, strict_json
from hitl.lib.errors import InvalidInput

MALFORMED, UNKNOWN_KEY, FORGED = "malformed", "unknown-key", "forged"


class Untrusted(Exception):
    """Not signed by us as this type. `reason`: MALFORMED, UNKNOWN_KEY or FORGED."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def sign(claims: dict[str, Any], *, typ: str) -> str:
    """The claims, in canonical form, signed by the current key. Raises NoSigningKey."""
    key = signing_keys.current()
    headers = {"typ": typ, "kid": key.kid}
    raw = canonical.dumps(claims)
    return api_jws.encode(raw, key.private, algorithm=signing_keys.ALGORITHM, headers=headers)


def read(token: str, *, typ: str) -> dict[str, Any]:
    """The claims of a token that one of our keys signed as `typ`; times are not looked at.

    Raises Untrusted, or NoSigningKey where this server has no keys to judge by.
    """
    known = signing_keys.public_keys()
    header = _header(token)
    if header.get("typ") != typ or header.get("alg") != signing_keys.ALGORITHM:
        raise Untrusted(MALFORMED)
    key = known.get(str(header.get("kid")))
    if key is None:
        raise Untrusted(UNKNOWN_KEY)
    try:
        raw = api_jws.decode(token, key, algorithms=[signing_keys.ALGORITHM])
    except jwt.InvalidSignatureError:
        raise Untrusted(FORGED) from None
    except (jwt.PyJWTError, ValueError):
        raise Untrusted(MALFORMED) from None
    return _object(raw)


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    # A hostile header nests its JSON until the parser gives up; a hostile number overflows.
    except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
        raise Untrusted(MALFORMED) from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        claims = strict_json.loads(raw)
    except InvalidInput:
        raise Untrusted(MALFORMED) from None
    if not isinstance(claims, dict):
        raise Untrusted(MALFORMED)
    return claims
