"""Real processes are killed: the watchdog says who is missing, within a minute."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.embedded import Embedded, running, until
from tests.roles import Roles, filled

pytestmark = pytest.mark.slow
AT_MOST = 60


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Roles]:
    with filled(tmp_path / "filled") as found, found.copied(tmp_path / "data") as server:
        yield server


def standing(server: Embedded) -> dict[str, str]:
    """How each check stands."""
    return {each["check"]: each["status"] for each in server.call("GET", "/readyz").json["checks"]}


def until_told(server: Embedded, **wanted: str) -> float:
    """Wait until the checks say so; how long that took."""
    began = time.monotonic()
    until(
        lambda: wanted.items() <= standing(server).items(),
        AT_MOST,
        what=lambda: f"{standing(server)}\n{server.output[-2000:]}",
    )
    return time.monotonic() - began


@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_workers_and_a_beat_that_die_are_noticed_within_a_minute(roles: Roles) -> None:
    roles.run("worker", "--queues=deliveries,actions", "--concurrency=1", name="mails")
    roles.run("worker", "--queues=sweeps,webhooks", "--concurrency=1", name="sweeper")
    roles.run("serve")
    roles.run("beat")
    roles.wait_for_web()
    until_told(roles, redis="ok", database="ok", migrations="ok", beat="ok", **workers())
    roles.kill("mails")
    silent = {"worker deliveries": "failed", "worker actions": "failed"}
    assert until_told(roles, **workers() | silent) < AT_MOST
    assert standing(roles)["beat"] == "ok"
    assert roles.call("GET", "/readyz?strict").status == 503
    roles.kill("beat")
    assert until_told(roles, beat="failed") < AT_MOST
    assert roles.call("GET", "/readyz").json["status"] == "degraded"
    assert roles.call("GET", "/readyz").status == 200


def workers() -> dict[str, str]:
    """All of them alive."""
    return {f"worker {queue}": "ok" for queue in settings.QUEUES}


def test_an_embedded_server_has_all_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        until_told(server, beat="ok", database="ok", migrations="ok", **workers())
        assert "redis" not in standing(server)
        assert server.call("GET", "/readyz").json["status"] == "ok"
        assert "Traceback" not in server.output
