"""Which addresses and names no outbound call may reach: the list, as data, and its reading.

`ipaddress.is_global` alone is not enough: it calls NAT64, 6to4, IPv4-compatible, site-local and
multicast addresses global, and knows nothing of the metadata services of clouds.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORBIDDEN_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT, and metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # metadata of a cloud at a public-looking address
        "169.254.0.0/16",  # link-local, and metadata at 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments, and metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local use
        "100::/64",  # discard
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique local, and metadata at fd00:ec2::254
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)

# Nothing outside of this is in use as a public IPv6 address.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

FORBIDDEN_NAMES = frozenset(
    {
        "localhost",
        "metadata",
        "instance-data",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.amazonaws.com",
        "metadata.azure.com",
        "metadata.tencentyun.com",
    }
)
FORBIDDEN_SUFFIXES = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home.arpa",
)


def parse_address(text: str) -> Address:
    """The address as it must be judged: one mapped into IPv6 is the IPv4 address inside.

    Raises ValueError.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_network(text: str) -> Network | None:
    """A network in CIDR form; None for anything else, a lone address included: that is a host."""
    if "/" not in text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def is_forbidden(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Whether a call to this address is refused. `allowed` are the operator's networks."""
    if any(address in network for network in allowed):
        return False
    if isinstance(address, IPv6Address) and (
        address.scope_id is not None or address not in _GLOBAL_UNICAST
    ):
        return True
    return any(address in network for network in FORBIDDEN_NETWORKS)


def is_forbidden_name(host: str) -> bool:
    """Whether a name is refused before it is looked up: local by its spelling, or metadata."""
    return "." not in host or host in FORBIDDEN_NAMES or host.endswith(FORBIDDEN_SUFFIXES)
