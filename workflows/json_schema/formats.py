"""The formats we check, each by a check that takes time in proportion to the text.

The validators' stock checks are not used: some run regular expressions that backtrack, and
`regex` would compile what the agent wrote.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from jsonschema import FormatChecker

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)", re.ASCII
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[^\s\x00-\x1f\x7f<>()\[\],;:\\\"@]{1,64}")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):[^\s\x00-\x20\x7f<>\"{}|\\^`]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# A link that runs something where it is opened has no place in what people approve.
_ACTIVE_SCHEMES = frozenset({"javascript", "data", "vbscript"})


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and _parses(date.fromisoformat, text)


def _is_time(text: str) -> bool:
    return bool(_TIME.fullmatch(text)) and _is_moment(f"2000-01-01T{text}")


def _is_moment(text: str) -> bool:
    day, clock = text[:10], text[11:]
    if text[10:11] not in ("T", "t") or not _DATE.fullmatch(day) or not _TIME.fullmatch(clock):
        return False
    # Python reads six digits of a second; more are right all the same.
    clock = re.sub(r"(\.\d{6})\d+", r"\1", clock).upper()
    return _parses(datetime.fromisoformat, f"{day}T{clock}")


def _is_email(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(_LOCAL_PART.fullmatch(local)) and bool(_HOSTNAME.fullmatch(domain))


def _is_uri(text: str) -> bool:
    match = _URI.fullmatch(text)
    if match is None or match[1].lower() in _ACTIVE_SCHEMES:
        return False
    return _parses(urlsplit, text) and ("://" not in text or bool(urlsplit(text).netloc))


def _parses(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


CHECKS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "time": _is_time,
    "date-time": _is_moment,
    "duration": lambda text: bool(_DURATION.fullmatch(text)),
    "email": _is_email,
    "hostname": lambda text: bool(_HOSTNAME.fullmatch(text)),
    "ipv4": lambda text: _parses(IPv4Address, text),
    "ipv6": lambda text: "%" not in text and _parses(IPv6Address, text),
    "uri": _is_uri,
    "uuid": lambda text: bool(_UUID.fullmatch(text)),
}

EXAMPLES = {
    "date": "a date like 2026-11-23",
    "time": "a time with its zone, like 14:30:00Z",
    "date-time": "a date and time with its zone, like 2026-11-23T14:30:00Z",
    "duration": "a duration like P3DT12H",
    "email": "an e-mail address like name@example.com",
    "hostname": "a host name like example.com",
    "ipv4": "an IPv4 address like 192.0.2.1",
    "ipv6": "an IPv6 address like 2001:db8::1",
    "uri": "a web address like https://example.com/page",
    "uuid": "a UUID like 123e4567-e89b-12d3-a456-426614174000",
}


def _build() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in CHECKS.items():
        checker.checks(name)(_for_text(check))
    return checker


def _for_text(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value)


CHECKER = _build()
