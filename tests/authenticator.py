"""An authenticator app, written from RFC 4226 and RFC 6238 and from nothing of ours."""

import base64
import hashlib
import struct
import time


def code(secret: str, at: float | None = None) -> str:
    """The six digits that the app shows at a time (default: now) for a secret in base32."""
    step = int(time.time() if at is None else at) // 30
    block = struct.pack(">Q", step)
    key = base64.b32decode(secret.encode() + b"=" * (-len(secret) % 8))
    inner = hashlib.sha1(_pad(key, 0x36) + block).digest()  # noqa: S324 - the algorithm of TOTP
    digest = hashlib.sha1(_pad(key, 0x5C) + inner).digest()  # noqa: S324
    offset = digest[19] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def _pad(key: bytes, byte: int) -> bytes:
    return bytes(each ^ byte for each in key.ljust(64, b"\0"))
