"""Restoring for real: the drill in small with all roles, and an embedded server by its commands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import EMAIL, ROOT, Embedded, running

pytestmark = pytest.mark.slow


@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_the_drill_in_small() -> None:
    command = [sys.executable, "-m", "scripts.drill_restore", "--requests", "1"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing ran twice" in done.stdout
    assert all(name in done.stdout for name in ("stopped", "beneath"))


@pytest.mark.timeout(600)
def test_an_embedded_server_restored_to_before_its_last_execution(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        before = _approved(server)
        copied = server.manage("backup", str(tmp_path / "copy"))
        assert copied.returncode == 0, copied.stderr
        own = f"/api/v1/workflows/{before['workflowId']}/execution"
        assert server.call("POST", f"{own}/start", {"executor": "bot"}).status == 200
        assert server.call("POST", f"{own}/complete", {"attempt": 1}).status == 200
        refused = server.manage("restore", str(tmp_path / "copy"))
        assert refused.returncode == 1
        assert "already runs" in refused.stderr
        server.stop()

        assert server.manage("restore", str(tmp_path / "copy")).returncode == 0
        server.start()
        assert "the database is a restored one" in server.output.lower()
        assert server.get(before)["status"] == "APPROVED"
        again = server.call("POST", f"{own}/start", {"executor": "bot"})
        assert (again.status, again.json["code"]) == (409, "reconciling")

        said = ("--as", EMAIL, "--reason", "The agent's log has it.")
        done = server.manage("reconcile", "--executed", before["workflowId"], *said)
        assert done.returncode == 0, done.stderr
        server.manage("reconcile", "--not-executed", "all", *said)
        assert server.manage("reconcile", "--end", *said).returncode == 0
        assert server.get(before)["status"] == "COMPLETED"
        assert server.call("POST", f"{own}/start", {"executor": "bot"}).status == 409

        fresh = _approved(server)
        path = f"/api/v1/workflows/{fresh['workflowId']}/execution/start"
        assert server.call("POST", path, {"executor": "bot"}).status == 200
        assert server.manage("check_state").returncode == 0


def _approved(server: Embedded) -> dict[str, Any]:
    workflow = server.create()
    assert server.decide(workflow, "approved").status == 200
    return workflow
