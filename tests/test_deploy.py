"""Dockerfile and docker-compose.yml as far as they can be checked without an engine."""

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_our_services_run_commands_that_exist() -> None:
    roles = {name: service["command"][0] for name, service in OURS.items()}
    assert roles == {"migrate": "migrate", "web": "serve", "worker": "worker", "beat": "beat"}
    assert set(roles.values()) <= set(get_commands())
    assert json.loads(_last("CMD")) == ["serve"]


def test_each_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for other, need in service.get("depends_on", {}).items():
            is_healthy = need["condition"] == "service_healthy"
            assert "test" in SERVICES[other]["healthcheck"] or not is_healthy, (name, other)
    for name in ("web", "worker", "beat"):
        need = OURS[name]["depends_on"]["migrate"]["condition"]
        assert need == "service_completed_successfully"
        assert {"db", "redis"} <= set(OURS[name]["depends_on"])


def test_our_containers_may_do_little() -> None:
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert _last("USER") == "10001:10001"


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_there_is_no_default_for_a_secret() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "SECRET_KEY", "JWT_SECRET"):
        assert re.findall(rf"\$\{{{name}[^}}]*\}}", text)
        assert set(re.findall(rf"\$\{{{name}([^}}]{{2}})", text)) == {":?"}


def test_redis_keeps_what_it_is_given() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_image_leaves_out_what_it_does_not_need() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".env", "tests", "var", ".venv"} <= set(ignored)


def test_processes_get_the_signals() -> None:
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(_last(name)), list)


def _last(instruction: str) -> str:
    found: list[str] = re.findall(rf"^{instruction} (.*)$", DOCKERFILE, re.MULTILINE)
    return found[-1]


# --- The probe ------------------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """Answers like a server that knows its one name."""

    status = 200
    hosts: list[str] = []

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _probe(port: int) -> int:
    variables = {"PORT": str(port), "PUBLIC_URL": "https://approvals.example.com"}
    command = [sys.executable, str(ROOT / "hitl" / "health_probe.py")]
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, timeout=30, check=False
    ).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (400, 1)])
def test_the_probe_asks_under_the_public_name(status: int, code: int) -> None:
    seen: list[str] = []
    handler = type("ThisWeb", (Web,), {"status": status, "hosts": seen})
    with HTTPServer(("127.0.0.1", 0), handler) as web:
        answering = Thread(target=web.handle_request)
        answering.start()
        assert _probe(web.server_port) == code
        answering.join(10)
    assert seen == ["approvals.example.com"]


def test_the_probe_notices_when_nobody_is_there() -> None:
    assert _probe(9) == 1
