"""The proxy's configuration does what hitl/routes.py says, and tells the truth about the client."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hitl import routes
from tests.embedded import until
from tests.proxy import CONFIGURATION, program, proxy
from tests.test_routes import EXAMPLES

needs_haproxy = pytest.mark.skipif(not program(), reason="needs HAProxy on PATH or in HAPROXY")
RULES = [
    f"acl socket path_beg {routes.SOCKETS}",
    f"acl stream path {' '.join(routes.STREAMS)}",
    f"acl api path_beg {routes.API}",
    f"acl waits url_param({routes.WAIT}) -m found",
    f"use_backend {routes.LIVE} if socket || stream || {{ method GET }} api waits",
    f"default_backend {routes.WEB}",
]


def _lines() -> list[str]:
    return [line.strip() for line in CONFIGURATION.read_text().splitlines()]


def test_its_rules_are_those_of_the_code() -> None:
    found = [
        line
        for line in _lines()
        if line.startswith(("use_backend", "default_backend"))
        or (line.startswith("acl ") and line.split()[1] in ("socket", "stream", "api", "waits"))
    ]
    assert found == RULES


def test_it_asks_servers_where_they_say_that_they_leave() -> None:
    assert any(line.startswith("http-check send meth GET uri /ping ") for line in _lines())


def test_its_log_has_no_paths() -> None:
    [form] = [line for line in _lines() if line.startswith("log-format")]
    assert not {"%HU", "%HP", "%HQ", "%r", "%hr"} & set(form.replace('"', " ").split())
    assert "option httplog" not in _lines()


# --- For real -------------------------------------------------------------------------------------


class Named(BaseHTTPRequestHandler):
    """Says its name, and what it was told of the client."""

    protocol_version = "HTTP/1.1"
    name = ""

    def _say(self) -> None:
        names = {name.lower() for name in self.headers}
        told = {name: ", ".join(self.headers.get_all(name, [])) for name in names}
        body = json.dumps({"name": self.name, "told": told, "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _say

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, list[int]]]:
    with ExitStack() as stack:
        ports = {}
        for name in (routes.WEB, routes.LIVE):
            handler = type(name, (Named,), {"name": name})
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
            ports[name] = [server.server_port]
        yield ports


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "chain.pem"]
    subprocess.run([*made, *names], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "chain.pem").read_text() + (folder / "key.pem").read_text())
    return both


def _ask(
    port: int,
    method: str = "GET",
    path: str = "/",
    *,
    tls: bool = False,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, dict[str, str], Any]:
    unchecked = ssl._create_unverified_context()  # noqa: S323  # its own certificate, on loopback
    connection = (
        HTTPSConnection("127.0.0.1", port, timeout=10, context=unchecked)
        if tls
        else HTTPConnection("127.0.0.1", port, timeout=10)
    )
    with closing(connection):
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, dict(answer.headers), json.loads(raw) if raw[:1] == b"{" else raw


@needs_haproxy
def test_each_request_goes_to_its_role(tmp_path: Path, backends: dict[str, list[int]]) -> None:
    with proxy(tmp_path, backends) as (port, _):
        until(lambda: _ask(port)[0] == 200, 10)
        for method, path, query, role in EXAMPLES:
            target = f"{path}?{query}" if query else path
            status, _headers, told = _ask(port, method, target)
            assert (status, told["name"], told["path"]) == (200, role, target)


@needs_haproxy
def test_nobody_can_claim_to_be_somebody_else(
    tmp_path: Path, backends: dict[str, list[int]]
) -> None:
    lies = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example.com",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9;proto=https",
    }
    with proxy(tmp_path, backends) as (port, _):
        until(lambda: _ask(port)[0] == 200, 10)
        told = _ask(port, headers=lies)[2]["told"]
        assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "http")
        assert not {"x-forwarded-host", "x-real-ip", "forwarded"} & set(told)


@needs_haproxy
def test_a_proxy_in_front_of_it_is_believed_when_it_is_named(
    tmp_path: Path, backends: dict[str, list[int]]
) -> None:
    says = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with proxy(tmp_path, backends, OUTER_PROXY="127.0.0.1") as (port, _):
        until(lambda: _ask(port)[0] == 200, 10)
        told = _ask(port, headers=says)[2]["told"]
    assert told["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert told["x-forwarded-proto"] == "https"


@needs_haproxy
def test_with_a_certificate_it_speaks_tls_and_nothing_else(
    tmp_path: Path, backends: dict[str, list[int]], certificate: Path
) -> None:
    with proxy(tmp_path, backends, TLS_CERTIFICATES=str(certificate)) as (plain, tls):
        until(lambda: _ask(tls, tls=True)[0] == 200, 10)
        told = _ask(tls, tls=True)[2]["told"]
        assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "https")
        named = {"Host": "approvals.example.com"}
        status, headers, _ = _ask(plain, path="/history/?q=a", headers=named)
        sent_to = {name.lower(): value for name, value in headers.items()}["location"]
        assert (status, sent_to) == (308, "https://approvals.example.com/history/?q=a")
