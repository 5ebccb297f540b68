"""The names under which this machine can be reached, for servers that listen beyond loopback."""

import contextlib
import socket

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  # recognised here, not bound
# Documentation addresses (RFC 5737, RFC 3849): routed like the rest of the internet, never in use.
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def names(host: str) -> list[str]:
    """The `Host` headers to accept when listening on `host`: loopback, and what else it reaches."""
    if host not in EVERYWHERE:
        return list(dict.fromkeys([*LOOPBACK, _in_url(host)]))
    machine = socket.gethostname().lower()
    return list(dict.fromkeys([*LOOPBACK, machine, f"{machine}.local", *addresses()]))


def myself(host: str, port: int) -> str:
    """The address under which a server that listens on `host` reaches itself."""
    own = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{_in_url(own)}:{port}"


def addresses() -> list[str]:
    """This machine's own addresses towards the network, as they stand in a URL.

    A datagram socket is connected, which sends nothing but makes the system choose a source.
    """
    found = []
    for family, target in _PROBES:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            found.append(_in_url(probe.getsockname()[0]))
    return found


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
