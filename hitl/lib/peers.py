"""Where a request comes from: the peer, unless that is a proxy we were told to believe.

`X-Forwarded-For` is a list to which every proxy adds whom it heard; whoever sends a request may
begin it with anything. So it is read from its end, and only as far as trusted proxies wrote it.
"""

import ipaddress
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.http import HttpRequest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# No chain of proxies is longer; a header may be.
LONGEST_CHAIN = 20


def parse_networks(texts: Sequence[str]) -> list[Network]:
    """Addresses and CIDRs from the settings. Raises ValueError."""
    return [ipaddress.ip_network(text.strip(), strict=False) for text in texts]


def address(request: HttpRequest) -> str:
    """The address of whoever sent the request, as far as it can be known."""
    found: str = request.META.get("REMOTE_ADDR", "")
    for hop in _hops(request):
        if not _is_trusted(found):
            break
        parsed = _parse(hop)
        if parsed is None:
            break  # "unknown", or nonsense: what a trusted proxy says ends here
        found = str(parsed)
    return found


def network(request: HttpRequest) -> str:
    """Whose limit it is: the address, for IPv6 its /64, since one household has 2^64 of them."""
    text = address(request)
    parsed = _parse(text)
    if parsed is None or parsed.version == 4:
        return text
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _hops(request: HttpRequest) -> Iterator[str]:
    """Whom each proxy heard, the nearest first."""
    header = request.META.get("HTTP_X_FORWARDED_FOR", "")
    yield from (hop.strip() for hop in reversed(header.rsplit(",", LONGEST_CHAIN)))


def _is_trusted(text: str) -> bool:
    networks: list[Network] = settings.TRUSTED_PROXIES
    if not text:  # a Unix socket, which only a proxy on this machine can open
        return bool(networks)
    parsed = _parse(text)
    return parsed is not None and any(parsed in each for each in networks)


def _parse(text: str) -> Address | None:
    """An address as proxies write it: some add the port, and brackets around IPv6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
