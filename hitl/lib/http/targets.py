"""A URL, read once and strictly, into the one target that is then judged and connected to.

Invariant: what a lenient parser could read differently (numeric hosts, userinfo, back-slashes,
control characters, trailing dots) is refused, never repaired.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NoReturn, TypedDict, Unpack
from urllib.parse import SplitResult, urlsplit

import idna

from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.http import addresses

MAX_URL = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}

_UNCLEAN = re.compile(r"[\x00-\x20\x7f-\xa0\\\s]")
_NETLOC = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@]+))(?::([0-9]{1,5}))?")
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Rules(TypedDict, total=False):
    """What the operator permits beyond https to public addresses. All of it is optional."""

    allow_http: bool
    """Plain http, for development."""
    allowed_ports: Collection[int]
    """Instead of 443 and 8443 (and 80 where http is allowed)."""
    allow_hosts: Collection[str]
    """`host` or `host:port`, exactly as in the URL: trusted wherever they resolve to."""
    allow_networks: Collection[str]
    """Networks (CIDR) that may be reached although they are on the forbidden list.

    The two lists may be mixed, as operators write them in one setting; what is neither a host of
    the URL nor a network permits nothing.
    """


@dataclass(frozen=True)
class Target:
    """Where a call goes. `host` is lower-case ASCII; `address` is set when the host is one."""

    scheme: str
    host: str
    port: int
    path: str
    address: addresses.Address | None
    is_listed: bool

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, **rules: Unpack[Rules]) -> Target:
    """Read an endpoint's URL, or raise InvalidInput with the reason. Looks nothing up.

    For registration; a call checks again, and the addresses that the name has by then as well.
    """
    parts = _split(url, "http" if rules.get("allow_http") else "https")
    match = _NETLOC.fullmatch(parts.netloc)
    if match is None:
        _refuse("The host is not a name or an address (user names are not allowed in it).")
    host, address = _address(match[1]) if match[1] else _name(match[2])
    port = int(match[3] or DEFAULT_PORTS[parts.scheme])
    listed = _is_listed(host, port, rules)
    if not listed:
        _check_port(port, rules)
        _check_host(host, address, rules)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path, address, listed)


def _refuse(message: str) -> NoReturn:
    raise InvalidInput(message, [FieldError("", message, "url")])


def _split(url: str, weakest: str) -> SplitResult:
    if len(url) > MAX_URL:
        _refuse(f"The URL is longer than {MAX_URL} characters.")
    if _UNCLEAN.search(url):
        _refuse("The URL contains spaces, control characters or back-slashes.")
    try:
        parts = urlsplit(url)
    except ValueError:
        _refuse("This is not a URL.")
    if parts.scheme not in {"https", weakest}:
        _refuse(f"The URL must start with {weakest}://.")
    if not (parts.path + parts.query).isascii() or "#" in url:
        _refuse("Percent-encode what follows the host, and leave out the part after #.")
    return parts


def _address(literal: str) -> tuple[str, addresses.Address]:
    try:
        return str(IPv6Address(literal)), addresses.parse_address(literal)
    except ValueError:
        _refuse("The host is not an IPv6 address.")


def _name(raw: str) -> tuple[str, addresses.Address | None]:
    try:
        host = raw.lower() if raw.isascii() else idna.encode(raw.lower()).decode()
    except idna.IDNAError:
        _refuse("The host is not an international domain name.")
    if not _NAME.fullmatch(host):
        _refuse("The host is not a domain name.")
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return host, None
    # Resolvers read 127.1, 0x7f.1, 017700000001 and 2130706433 as addresses; we read one form.
    try:
        return host, IPv4Address(host)
    except ValueError:
        _refuse("Write an IPv4 address as four decimal numbers.")


def _is_listed(host: str, port: int, rules: Rules) -> bool:
    shown = f"[{host}]" if ":" in host else host
    listed = {entry.lower() for entry in _permitted(rules)}
    in_default_ports = port in _ports(rules)
    return f"{shown}:{port}" in listed or (in_default_ports and bool(listed & {shown, host}))


def permitted_networks(rules: Rules) -> list[addresses.Network]:
    """The operator's networks; entries that name hosts are left out."""
    return [network for entry in _permitted(rules) if (network := addresses.parse_network(entry))]


def _permitted(rules: Rules) -> list[str]:
    return [*rules.get("allow_hosts", ()), *rules.get("allow_networks", ())]


def _ports(rules: Rules) -> Collection[int]:
    usual = (80, 443, 8443) if rules.get("allow_http") else (443, 8443)
    return rules.get("allowed_ports", usual)


def _check_port(port: int, rules: Rules) -> None:
    if port not in _ports(rules):
        permitted = ", ".join(str(number) for number in sorted(_ports(rules)))
        _refuse(f"Port {port} is not permitted; permitted are {permitted}.")


def _check_host(host: str, address: addresses.Address | None, rules: Rules) -> None:
    if address is None:
        blocked = addresses.is_forbidden_name(host)
    else:
        blocked = addresses.is_forbidden(address, permitted_networks(rules))
    if blocked:
        _refuse("The host is not on the public internet. The operator can permit it by name.")
