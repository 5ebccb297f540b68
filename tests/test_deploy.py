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
from django.conf import settings
from django.core.management import get_commands, load_command_class

from hitl import routes, wsgi_server
from hitl.management.commands import live

ROOT = Path(__file__).resolve().parent.parent
COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
WORKING = ("worker", "beat")
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_our_services_run_commands_that_exist() -> None:
    roles = {name: service["command"][0] for name, service in OURS.items()}
    assert set(roles.values()) == {"migrate", "web", "live", "worker", "beat"}
    assert set(roles.values()) <= set(get_commands())
    assert json.loads(_last("CMD")) == ["serve"]
    for name, service in OURS.items():
        command, *arguments = service["command"]
        parser = load_command_class(*_where(command)).create_parser("manage.py", command)
        options = vars(parser.parse_args(arguments))  # exits where it knows one of them not
        assert options.get("name") == ("worker" if command == "worker" else None), name


def test_every_queue_has_its_workers() -> None:
    taken = [
        argument.removeprefix("--queues=").split(",")
        for service in OURS.values()
        for argument in service["command"]
        if argument.startswith("--queues=")
    ]
    queues = [queue for some in taken for queue in some]
    assert sorted(queues) == sorted(settings.QUEUES)
    assert ["sweeps"] in taken  # and nothing that may hang stands in their way


def test_our_variables_are_settings() -> None:
    read = (ROOT / "hitl" / "settings.py").read_text()
    for name in SERVICES["web"]["environment"]:
        assert f'"{name}"' in read, name


def test_there_is_time_to_take_leave() -> None:
    """Docker kills what has not ended within its grace period."""
    drain = float(SERVICES["web"]["environment"]["DRAIN_SECONDS"])
    assert _grace("web") > drain + wsgi_server.GRACE_SECONDS
    assert _grace("live") > drain + live.GRACE_SECONDS
    for name, service in OURS.items():
        if service["command"][0] == "worker":
            assert _grace(name) > settings.CELERY_TASK_TIME_LIMIT


def _grace(name: str) -> float:
    return float(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def _where(command: str) -> tuple[str, str]:
    found = get_commands()[command]
    return str(found), command


# --- The proxy ------------------------------------------------------------------------------------


def test_the_proxy_reads_what_we_ship() -> None:
    command, [folder, _] = SERVICES["proxy"]["command"], SERVICES["proxy"]["volumes"]
    files = [command[place + 1] for place, word in enumerate(command) if word == "-f"]
    assert folder == "./hitl/proxy:/etc/hitl:ro"
    assert [Path(file).parent for file in files] == [Path("/etc/hitl")] * 2
    assert all((ROOT / "hitl" / "proxy" / Path(file).name).is_file() for file in files)


def test_the_proxy_finds_the_servers() -> None:
    servers = (ROOT / "hitl" / "proxy" / "servers.cfg").read_text()
    port = SERVICES["web"]["environment"]["PORT"]
    for name in (routes.WEB, routes.LIVE):
        assert re.search(rf"server-template {name} \d+ {name}:{port} ", servers)
        assert name in SERVICES
        assert "ports" not in SERVICES[name]  # the proxy is the only way in
    assert "hitl.internal" in SERVICES["web"]["environment"]["ALLOWED_HOSTS"]


def test_who_is_behind_the_proxy_believes_it_alone() -> None:
    [network] = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert SERVICES["web"]["environment"]["TRUSTED_PROXIES"] == network["subnet"]


# --- What others check ----------------------------------------------------------------------------


def test_the_file_is_what_compose_reads() -> None:
    checked = _run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE_FILE)
    assert checked.returncode == 0, checked.stdout


def test_the_schema_has_teeth(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE_FILE.read_text().replace("stop_grace_period", "stop_grace_periods"))
    assert _run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", wrong).returncode


def test_hadolint_finds_nothing() -> None:
    linted = _run("hadolint", "--no-color", ROOT / "Dockerfile")
    assert linted.returncode == 0, linted.stdout


def _run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """One of the development packages' programs, which stand beside the interpreter."""
    command = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


# --- Who waits for whom, and what it may do -------------------------------------------------------


def test_each_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for other, need in service.get("depends_on", {}).items():
            is_healthy = need["condition"] == "service_healthy"
            # Ours have that of the image, where they have no other.
            own = "HEALTHCHECK" in DOCKERFILE if other in OURS else False
            tells = "test" in SERVICES[other].get("healthcheck", {"test": own} if own else {})
            assert tells or not is_healthy, (name, other)
    for name in OURS.keys() - {"migrate"}:
        need = OURS[name]["depends_on"]["migrate"]["condition"]
        assert need == "service_completed_successfully"
        assert {"db", "redis"} <= set(OURS[name]["depends_on"])


def test_our_containers_may_do_little() -> None:
    for service in (*OURS.values(), SERVICES["proxy"]):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert _last("USER") == "10001:10001"


def test_nothing_is_published_beyond_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"proxy"}
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in published["proxy"])


def test_there_is_no_default_for_a_secret() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "SECRET_KEY", "JWT_SECRET", "SIGNING_KEYS"):
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


# --- docs/production.md ---------------------------------------------------------------------------


def test_the_document_names_commands_and_options_that_exist() -> None:
    text = (ROOT / "docs" / "production.md").read_text()
    used = re.findall(r"manage\.py (\w+)((?: --[\w-]+(?:[= ][\w.%,]+)?)*)", text)
    assert {"web", "live", "worker", "beat", "migrate", "serve"} <= {name for name, _ in used}
    for name, options in used:
        parser = load_command_class(*_where(name)).create_parser("manage.py", name)
        known = {flag for action in parser._actions for flag in action.option_strings}
        assert set(re.findall(r"--[\w-]+", options)) <= known, (name, options)


def test_the_document_names_services_that_exist() -> None:
    text = (ROOT / "docs" / "production.md").read_text()
    [recreated] = re.findall(r"up --detach --no-deps (worker[\w -]+)`", text)
    workers_and_beat = [name for name, each in OURS.items() if each["command"][0] in WORKING]
    assert recreated.split() == workers_and_beat
    for name in set(re.findall(r"\b([A-Z]+_[A-Z_]+)\b", text)) - {"ROLLING_ROUNDS"}:
        assert re.search(rf"^# {name}=", (ROOT / ".env.example").read_text(), re.MULTILINE) or (
            f"{name} " in (ROOT / "hitl" / "proxy" / "haproxy.cfg").read_text()
        ), name
