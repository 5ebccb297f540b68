"""One connection to one checked address, under one deadline for everything that happens on it.

Socket time limits hold for a single operation only, so a peer sending a byte a second would never
meet them. Here each operation gets what is left of the whole.
"""

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from queue import Empty, SimpleQueue
from typing import Any

from hitl.lib.http import addresses
from hitl.lib.http.errors import OutboundError
from hitl.lib.http.targets import Rules, Target, permitted_networks

Resolve = Callable[[str, int], Sequence[str]]
"""All addresses of a host, as text; raises OSError. Called once a call."""

# A dead address must not use up the time of the live one beside it.
_CONNECT_SECONDS = 5.0
_CHUNK = 65_536


class Deadline:
    """A moment on the monotonic clock by which everything must be over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def system_resolve(host: str, port: int) -> list[str]:
    """What the operating system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def permitted_addresses(
    target: Target, resolve: Resolve, deadline: Deadline, rules: Rules
) -> list[addresses.Address]:
    """All addresses of the target; raises OutboundError if a single one is forbidden.

    One forbidden answer among good ones is an attack or an accident; neither is worth a guess.
    """
    if target.address is not None:
        return [target.address]
    try:
        answers = _within(deadline, lambda: resolve(target.host, target.port))
        found = [addresses.parse_address(answer) for answer in answers]
    except TimeoutError:
        raise OutboundError("timeout") from None
    except (OSError, ValueError):
        raise OutboundError("dns") from None
    if not found:
        raise OutboundError("dns")
    networks = permitted_networks(rules)
    if not target.is_listed and any(addresses.is_forbidden(one, networks) for one in found):
        raise OutboundError("blocked")
    return found


def _within(deadline: Deadline, call: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Run a call that knows no time limit; a thread that outlives it ends with the resolver."""
    answers: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

    def run() -> None:
        try:
            answers.put(call())
        except Exception as error:
            answers.put(error)

    threading.Thread(target=run, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining())
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def connect(
    found: Sequence[addresses.Address], port: int, deadline: Deadline
) -> tuple[socket.socket, str]:
    """A connection to the first address that answers, and that address. Raises OutboundError."""
    timed_out = False
    for address in found:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(min(deadline.remaining(), _CONNECT_SECONDS))
            sock.connect((str(address), port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            timed_out = isinstance(error, TimeoutError)
        else:
            return sock, str(address)
    raise OutboundError("timeout" if timed_out else "connect")


def secure(
    sock: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline
) -> ssl.SSLSocket:
    """Start TLS for the original host name, whatever address is behind it. Raises OutboundError.

    The given socket is spent either way: wrapped, or closed.
    """
    try:
        sock.settimeout(deadline.remaining())
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        reason = f"The endpoint's certificate is not valid: {error.verify_message}."
        raise OutboundError("tls", reason) from None
    except TimeoutError:
        raise OutboundError("timeout", "The endpoint did not finish the TLS handshake.") from None
    except OSError:
        raise OutboundError("tls", "The TLS handshake with the endpoint failed.") from None


class Wire:
    """What http.client needs of a socket, with the deadline and a bound on what is read."""

    def __init__(self, sock: socket.socket, deadline: Deadline, max_read: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._max_read = max_read
        self.has_written = False

    def sendall(self, data: bytes) -> None:
        """Send everything, in pieces, each within what is left of the time."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._deadline.remaining())
            self.has_written = True
            rest = rest[self._sock.send(rest[:_CHUNK]) :]

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        """The stream of what the peer sends."""
        return io.BufferedReader(_Bounded(self._sock, self._deadline, self._max_read))

    def close(self) -> None:
        """Nothing: http.client calls this before it reads the body; the socket's owner hangs up."""


class _Bounded(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline, max_read: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = max_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise HTTPException("more than we read")
        self._sock.settimeout(self._deadline.remaining())
        count = self._sock.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count
