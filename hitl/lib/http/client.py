"""The one client for calls to the outside: webhooks, agent callbacks, HTTP actions.

Invariants: it connects only to an address it has just checked, never follows a redirect, never
asks the environment for a proxy or a password, and is over by its deadline. Built on http.client
because libraries that bring redirects, proxies, .netrc and pools would have to be talked out of
each, and none lets the check and the connection share one resolution of the name.
"""

import datetime as dt
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Unpack, cast

from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.http import wire
from hitl.lib.http.addresses import Address
from hitl.lib.http.errors import OutboundError
from hitl.lib.http.targets import Rules, Target, check_url

# Room for the header of the answer and for the overhead of chunks.
_OVERHEAD = 65_536
What = tuple[str, bytes | None]  # the method and the body

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")
_OURS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Response:
    """What the endpoint answered, whatever the status: 3xx too, which are never followed."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; repeated ones joined by a comma."""
    body: bytes
    elapsed: float
    """Seconds from the call to the last byte read."""
    peer: str
    """The address that answered."""
    is_truncated: bool = False

    @property
    def is_success(self) -> bool:
        """2xx, and nothing else."""
        return 200 <= self.status < 300


def moment(date: str) -> dt.datetime | None:
    """A Date header (RFC 9110, section 5.6.7) as an aware time; None for anything else."""
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else None


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that break the request apart or contradict us. Raises InvalidInput."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            fault = "This header cannot be set."
        elif not _HEADER_VALUE.fullmatch(value):
            fault = "A header's value is one line of at most 8192 ASCII characters."
        else:
            continue
        raise InvalidInput(fault, [FieldError("", fault, "header")])


class Options(Rules, total=False):
    """What may be said about a call beyond the operator's rules."""

    headers: Mapping[str, str]
    timeout_total: float
    max_response: int
    resolve: wire.Resolve
    tls: ssl.SSLContext | None


def post(url: str, *, body: bytes, **options: Unpack[Options]) -> Response:
    """POST bytes: see `request`."""
    return request("POST", url, body=body, **options)


def get(url: str, **options: Unpack[Options]) -> Response:
    """GET: see `request`."""
    return request("GET", url, **options)


def request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_total: float = 20.0,
    max_response: int = 65_536,
    resolve: wire.Resolve = wire.system_resolve,
    tls: ssl.SSLContext | None = None,
    **rules: Unpack[Rules],
) -> Response:
    """Call once and read at most `max_response` bytes of the answer, all in `timeout_total` s.

    `tls` replaces the system's trust (an operator's own authority); it must verify. `rules` is
    the operator's allow-list. Raises OutboundError; any status at all is an answer, not an error.
    """
    started = time.monotonic()
    deadline = wire.Deadline(timeout_total)
    target = _checked(url, headers or {}, rules)
    found = wire.permitted_addresses(target, resolve, deadline, rules)
    sock, peer = _open(target, found, tls, deadline)
    line = wire.Wire(sock, deadline, 2 * max_response + _OVERHEAD)
    with sock:
        answer, content = _exchange(line, target, (method, body), headers or {}, max_response)
    return Response(
        status=answer.status,
        headers=_joined(answer.getheaders()),
        body=content[:max_response],
        elapsed=time.monotonic() - started,
        peer=peer,
        is_truncated=len(content) > max_response,
    )


def _checked(url: str, headers: Mapping[str, str], rules: Rules) -> Target:
    try:
        check_headers(headers)
        return check_url(url, **rules)
    except InvalidInput:
        # Registration gives the reason; here it would tell a blocked address from a dead one.
        raise OutboundError("blocked") from None


def _open(
    target: Target,
    found: Sequence[Address],
    tls: ssl.SSLContext | None,
    deadline: wire.Deadline,
) -> tuple[socket.socket, str]:
    context = tls or _trust()
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("outbound TLS always verifies the certificate and its name")
    sock, peer = wire.connect(found, target.port, deadline)
    if target.scheme == "https":
        sock = wire.secure(sock, target.host, context, deadline)
    return sock, peer


@cache
def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _exchange(
    line: wire.Wire, target: Target, what: What, headers: Mapping[str, str], max_response: int
) -> tuple[HTTPResponse, bytes]:
    try:
        return _speak(line, target, what, headers, max_response)
    except TimeoutError:
        fault = OutboundError("timeout", "The endpoint did not answer in time.")
    except ssl.SSLError:
        fault = OutboundError("tls", "The TLS connection to the endpoint broke.")
    except OSError:
        fault = OutboundError("connect", "The endpoint hung up before it had answered.")
    except (HTTPException, ValueError):
        fault = OutboundError("protocol", "The endpoint's answer is not HTTP as we read it.")
    fault.may_have_been_received = line.has_written
    raise fault


def _speak(
    line: wire.Wire, target: Target, what: What, headers: Mapping[str, str], max_response: int
) -> tuple[HTTPResponse, bytes]:
    method, body = what
    connection = HTTPConnection(target.host, target.port)
    connection.sock = cast(Any, line)
    connection.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
    ours = {
        "host": target.authority,
        "user-agent": "hitl",
        "accept-encoding": "identity",
        "connection": "close",
    } | ({} if body is None else {"content-length": str(len(body))})
    given = {name.lower(): value for name, value in headers.items()}
    for name, value in (ours | given).items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer, answer.read(max_response + 1)


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
