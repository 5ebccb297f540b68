"""RFC 6901 JSON pointers: build them, read them. Pure text; "" is the whole document."""

import re

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TOKEN_LIMIT = 200


def join(root: str, *tokens: str | int) -> str:
    """The pointer to what lies below `root` under these keys and indexes."""
    return root + "".join(f"/{escape(str(token))}" for token in tokens)


def escape(token: str) -> str:
    """One key as it stands between two slashes."""
    return token.replace("~", "~0").replace("/", "~1")


def split(pointer: str) -> list[str]:
    """The keys and indexes a pointer is made of. Raises ValueError if it is not one."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError("a JSON pointer is empty or starts with a slash")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def printable(token: str) -> str:
    r"""A hostile key made fit for an error answer: no control character, no surrogate, bounded.

    Such characters appear as `\\uXXXX`, so that the answer naming the place can be encoded at all.
    """
    if len(token) > _TOKEN_LIMIT:
        token = token[:_TOKEN_LIMIT] + "…"
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", token)
