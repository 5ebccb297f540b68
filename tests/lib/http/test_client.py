"""Tests of hitl/lib/http/client.py and wire.py against real servers on loopback."""

import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hitl.lib.errors import InvalidInput
from hitl.lib.http import UNREACHABLE, OutboundError, Response, check_headers, post
from tests.lib.http.literals import DISGUISED_HOSTS, FORBIDDEN_ADDRESSES, FORBIDDEN_NAMES
from tests.lib.http.servers import OK, Server, certificate, read_request, serve

LOOPBACK = ["127.0.0.1/32"]


def call(url: str, **options: Any) -> Response:
    """A post with plain http and loopback permitted unless the test says otherwise."""
    port = int(url.rsplit(":", 1)[1].split("/")[0]) if url.count(":") > 1 else 80
    settings: dict[str, Any] = {
        "body": b'{"a":1}',
        "allow_http": True,
        "allowed_ports": {80, 443, port},
        "allow_networks": LOOPBACK,
        "timeout_total": 5.0,
    }
    return post(url, **(settings | options))


def failed(url: str, **options: Any) -> OutboundError:
    """The error a post ends with."""
    with pytest.raises(OutboundError) as caught:
        call(url, **options)
    return caught.value


def answering(*addresses: str) -> Callable[[str, int], list[str]]:
    """A resolver with these answers to everything."""
    return lambda _host, _port: list(addresses)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


# --- where it refuses to go ---------------------------------------------------------------------


@pytest.mark.parametrize("literal", FORBIDDEN_ADDRESSES)
def test_names_that_resolve_to_forbidden_addresses_are_blocked(
    server: Server, literal: str
) -> None:
    url = f"http://hooks.example.test:{server.port}/"
    error = failed(url, resolve=answering(literal), allow_networks=[])
    assert error.kind == "blocked"
    assert not error.may_have_been_received
    assert server.connections == 0


@pytest.mark.parametrize("host", [*DISGUISED_HOSTS, *FORBIDDEN_NAMES, "127.0.0.1", "[::1]"])
def test_a_row_inserted_behind_our_back_is_blocked_at_send(server: Server, host: str) -> None:
    error = failed(f"http://{host}:{server.port}/", allow_networks=[])
    assert error.kind == "blocked"
    assert server.connections == 0


def test_one_private_answer_among_public_ones_blocks_all(server: Server) -> None:
    url = f"http://hooks.example.test:{server.port}/"
    for answers in (["93.184.216.34", "127.0.0.1"], ["2606:4700::1111", "10.0.0.1"]):
        error = failed(url, resolve=answering(*answers), allow_networks=[])
        assert error.kind == "blocked"
    assert server.connections == 0


def test_a_rebinding_name_is_looked_up_once_and_never_reaches_loopback() -> None:
    good_host = "127.0.0.2"
    with serve() as trap, serve(host=good_host, port=trap.port) as good:
        lookups: list[str] = []

        def flip(_host: str, _port: int) -> list[str]:
            lookups.append(good_host if len(lookups) % 2 == 0 else "127.0.0.1")
            return lookups[-1:]

        outcomes = [
            _peer_or_kind(f"http://rebind.example.test:{trap.port}/", flip) for _ in range(1000)
        ]
    assert outcomes == [good_host, "blocked"] * 500
    assert len(lookups) == 1000
    assert good.connections == 500
    assert trap.connections == 0


def _peer_or_kind(url: str, resolve: Callable[[str, int], list[str]]) -> str:
    try:
        return call(url, resolve=resolve, allow_networks=["127.0.0.2/32"]).peer
    except OutboundError as error:
        return error.kind


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers_not_instructions(status: int) -> None:
    with serve() as target:
        location = f"Location: {target.url}".encode()
        answer = b"HTTP/1.1 %d Moved\r\n%s\r\nContent-Length: 0\r\n\r\n" % (status, location)
        with serve(answer) as redirector:
            response = call(redirector.url)
    assert response.status == status
    assert not response.is_success
    assert target.connections == 0


def test_the_environment_has_no_say(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login joe password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serve() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        assert call(server.url).is_success
    assert proxy.connections == 0
    assert b"secret" not in server.requests[0]
    assert b"authorization" not in server.requests[0].lower()


def test_blocked_refused_and_unknown_sound_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    errors = [
        failed(f"http://127.0.0.1:{port}/"),
        failed(f"http://127.0.0.1:{port}/", allow_networks=[]),
        failed(f"http://hooks.example.test:{port}/", resolve=answering("10.0.0.1")),
        failed(f"http://hooks.example.test:{port}/", resolve=answering()),
        failed(f"http://127.0.0.1:{port + 1}/", allowed_ports={port}),
    ]
    assert [error.kind for error in errors] == ["connect", "blocked", "blocked", "dns", "blocked"]
    assert {str(error) for error in errors} == {UNREACHABLE}
    assert not any(error.may_have_been_received for error in errors)


def test_hosts_the_operator_lists_are_reached_wherever_they_are(server: Server) -> None:
    url = f"http://executor:{server.port}/"
    options: dict[str, Any] = {"allow_networks": [], "resolve": answering("127.0.0.1")}
    assert call(url, allow_hosts=[f"executor:{server.port}"], **options).is_success
    assert failed(url, allow_hosts=["other"], **options).kind == "blocked"


# --- names --------------------------------------------------------------------------------------


def test_a_dns_failure_is_told_apart_for_retries() -> None:
    def fail(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    error = failed("http://hooks.example.test/", resolve=fail)
    assert (error.kind, error.may_have_been_received) == ("dns", False)


def test_the_systems_resolver_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
        asked.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))] * 2

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert failed("http://hooks.example.test/").kind == "blocked"
    assert asked == [("hooks.example.test", 80)]


def test_a_resolver_that_hangs_ends_with_the_deadline() -> None:
    release = threading.Event()

    def hang(_host: str, _port: int) -> list[str]:
        release.wait(5)
        return ["127.0.0.1"]

    started = time.monotonic()
    error = failed("http://hooks.example.test/", resolve=hang, timeout_total=0.3)
    release.set()
    assert (error.kind, str(error)) == ("timeout", UNREACHABLE)
    assert time.monotonic() - started < 1.5


def test_the_next_address_is_tried_when_one_is_dead(server: Server) -> None:
    response = call(
        f"http://hooks.example.test:{server.port}/",
        resolve=answering("127.0.0.3", "127.0.0.1"),
        allow_networks=["127.0.0.0/8"],
    )
    assert response.peer == "127.0.0.1"


# --- peers that behave badly --------------------------------------------------------------------


def drip(prefix: bytes) -> Callable[[socket.socket], None]:
    """A peer that sends a byte every now and then, for ever."""

    def script(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(prefix)
        while True:
            sock.sendall(b"x")
            time.sleep(0.05)

    return script


def silence(sock: socket.socket) -> None:
    """A peer that accepts and says nothing."""
    sock.recv(1)
    time.sleep(2)


@pytest.mark.parametrize(
    "script",
    [
        drip(b""),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
        silence,
    ],
)
def test_slow_peers_are_cut_off_at_the_deadline(script: Callable[[socket.socket], None]) -> None:
    with serve(script) as slow:
        started = time.monotonic()
        error = failed(slow.url, timeout_total=0.5)
        elapsed = time.monotonic() - started
    assert error.kind == "timeout"
    assert error.may_have_been_received
    assert 0.4 < elapsed < 1.5


def test_a_peer_that_does_not_read_is_cut_off_too() -> None:
    with serve(lambda _sock: time.sleep(1.5)) as deaf:
        started = time.monotonic()
        error = failed(deaf.url, body=b"x" * 30_000_000, timeout_total=0.5)
        elapsed = time.monotonic() - started
    assert (error.kind, error.may_have_been_received) == ("timeout", True)
    assert elapsed < 1.5


def test_a_gigabyte_answer_is_read_up_to_the_limit_only() -> None:
    sent = 0

    def flood(sock: socket.socket) -> None:
        nonlocal sent
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(10_000):
            sent += sock.send(b"x" * 100_000)

    with serve(flood) as generous:
        tracemalloc.start()
        response = call(generous.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (len(response.body), response.is_truncated) == (65_536, True)
    assert peak < 10_000_000
    assert sent < 50_000_000


def endless(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    """A peer that repeats itself for ever, fast."""

    def script(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(start)
        while True:
            sock.sendall(piece)

    return script


@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03\x01 this is not http at all\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"y" * 1000 + b"\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
        b"HTTP/1.1 200 OK\r\n" + 50 * (b"X: " + b"y" * 50_000 + b"\r\n") + b"\r\n",
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_answers_that_are_not_http_are_a_protocol_error(answer: Any) -> None:
    with serve(answer) as odd:
        error = failed(odd.url)
    assert (error.kind, error.may_have_been_received) == ("protocol", True)
    assert "SSH" not in str(error)


def test_a_peer_that_hangs_up_may_have_acted() -> None:
    with serve(b"") as rude:
        error = failed(rude.url)
    assert (error.kind, error.may_have_been_received) == ("connect", True)


# --- TLS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "ends", "reason"),
    [
        (["hooks.example.test"], timedelta(days=1), "self-signed"),
        (["hooks.example.test"], timedelta(hours=-1), "not valid"),
    ],
)
def test_certificates_nobody_vouches_for_are_refused(
    tmp_path: Path, names: list[str], ends: timedelta, reason: str
) -> None:
    context, _ = certificate(tmp_path, *names, ends=ends)
    with serve(tls=context) as server:
        error = failed(f"https://hooks.example.test:{server.port}/", resolve=answering("127.0.0.1"))
    assert (error.kind, error.may_have_been_received) == ("tls", False)
    assert reason in str(error)
    assert server.requests == []


@pytest.mark.parametrize(
    ("names", "ends", "reason"),
    [
        (["other.example.test"], timedelta(days=1), "Hostname mismatch"),
        (["hooks.example.test"], timedelta(hours=-1), "expired"),
    ],
)
def test_a_trusted_authority_does_not_excuse_a_wrong_name_or_date(
    tmp_path: Path, names: list[str], ends: timedelta, reason: str
) -> None:
    context, trust = certificate(tmp_path, *names, ends=ends)
    with serve(tls=context) as server:
        url = f"https://hooks.example.test:{server.port}/"
        error = failed(url, resolve=answering("127.0.0.1"), tls=trust)
    assert error.kind == "tls"
    assert reason in str(error)
    assert server.requests == []


def test_the_checked_address_is_called_with_the_original_name(tmp_path: Path) -> None:
    context, trust = certificate(tmp_path, "hooks.example.test")
    with serve(tls=context) as server:
        url = f"https://hooks.example.test:{server.port}/in?x=1"
        response = call(url, resolve=answering("127.0.0.1"), tls=trust, headers={"X-A": "b"})
    assert (response.status, response.body, response.peer) == (200, b"ok", "127.0.0.1")
    assert server.server_names == ["hooks.example.test"]
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /in?x=1 http/1.1"
    assert f"host: hooks.example.test:{server.port}" in lines
    assert "x-a: b" in lines
    assert body == b'{"a":1}'


def test_plain_http_on_a_tls_port_is_a_tls_failure() -> None:
    with serve(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as server:
        error = failed(f"https://127.0.0.1:{server.port}/")
    assert (error.kind, error.may_have_been_received) == ("tls", False)


def test_a_handshake_that_never_ends_meets_the_deadline() -> None:
    with serve(silence) as server:
        error = failed(f"https://127.0.0.1:{server.port}/", timeout_total=0.3)
    assert (error.kind, error.may_have_been_received) == ("timeout", False)


def test_a_slow_peer_behind_tls_meets_the_deadline(tmp_path: Path) -> None:
    context, trust = certificate(tmp_path, "127.0.0.1")
    with serve(drip(b"HTTP/1.1 200 OK\r\n"), tls=context) as server:
        error = failed(f"https://127.0.0.1:{server.port}/", timeout_total=0.5, tls=trust)
    assert (error.kind, error.may_have_been_received) == ("timeout", True)


def test_verification_cannot_be_switched_off(server: Server) -> None:
    lax = ssl.create_default_context()
    lax.check_hostname = False
    with pytest.raises(ValueError, match="always verifies"):
        call(f"https://127.0.0.1:{server.port}/", tls=lax)
    assert server.connections == 0


# --- the ordinary case --------------------------------------------------------------------------


def test_an_answer_comes_back_whole() -> None:
    answer = (
        b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 4\r\n\r\nwait"
    )
    with serve(answer) as server:
        response = call(
            server.url, headers={"Content-Type": "application/json", "user-agent": "me"}
        )
    assert (response.status, response.body, response.is_truncated) == (503, b"wait", False)
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-a"] == "1, 2"
    assert 0 < response.elapsed < 5
    head = server.requests[0].lower()
    assert head.count(b"user-agent:") == 1
    assert b"user-agent: me\r\n" in head
    assert b"accept-encoding: identity\r\n" in head
    assert b"content-length: 7\r\n" in head


def test_chunked_answers_and_answers_without_a_length_are_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    for answer in (chunked, b"HTTP/1.1 200 OK\r\n\r\nok", b"HTTP/1.0 200 OK\r\n\r\nok"):
        with serve(answer) as server:
            assert call(server.url).body == b"ok"


def test_ipv6_is_spoken_where_the_operator_lists_it() -> None:
    with serve(OK, host="::1") as server:
        response = call(server.url, allow_hosts=[f"[::1]:{server.port}"])
    assert response.peer == "::1"
    assert f"host: [::1]:{server.port}\r\n".encode() in server.requests[0].lower()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"X-A": "b\r\nX-Evil: c"},
        {"X-A": "b\nc"},
        {"X-A\r\nX-Evil": "c"},
        {"X A": "c"},
        {"": "c"},
        {"X-A": "ü"},
        {"X-A": "\0"},
    ],
)
def test_headers_that_break_the_request_apart_are_never_sent(
    server: Server, headers: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput):
        check_headers(headers)
    assert failed(server.url, headers=headers).kind == "blocked"
    assert server.connections == 0
