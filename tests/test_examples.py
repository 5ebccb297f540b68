"""The examples against a real server: every way a request can end, and what breaks on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import ROOT, Embedded, clean_environment, running, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it runs an embedded server"),
]
AGENT = [sys.executable, "-I", str(ROOT / "examples" / "refund_agent.py")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server on which an agent that is silent for two seconds counts as dead."""
    folder = tmp_path_factory.mktemp("examples")
    with running(folder, EXECUTION_LEASE_SECONDS="2") as embedded:
        yield embedded


def listen_to_interrupts() -> None:
    """A suite that was started in the background ignores Ctrl-C, and its children would too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Agent:
    """The example in a process of its own, with its receipts in a folder of its own."""

    def __init__(self, server: Embedded, folder: Path, run: str, *options: str) -> None:
        self.server = server
        self.receipts = folder / "receipts"
        self.run = run
        where = {"HITL_URL": server.url, "HITL_API_KEY": server.api_key}
        self.process = subprocess.Popen(
            [*AGENT, "--run", run, "--receipts", str(self.receipts), *options],
            cwd=folder,
            env=clean_environment() | where,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=listen_to_interrupts,
        )

    def request(self) -> dict[str, Any]:
        """The request it has made."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            items = self.server.call("GET", "/api/v1/workflows?limit=100").json["items"]
            found[:] = [item for item in items if item["metadata"].get("run") == self.run]
            return bool(found)

        until(look, 20, what=lambda: f"{self.run} asked for nothing")
        return found[0]

    def finish(self) -> tuple[int, str]:
        """Its exit code and all it said."""
        output, _ = self.process.communicate(timeout=40)
        return self.process.returncode, output

    def receipt(self) -> Any:
        """What it "paid"."""
        (file,) = self.receipts.glob("refund-*.json")
        return json.loads(file.read_text())


def test_approved_it_acts_once_and_reports(server: Embedded, tmp_path: Path) -> None:
    agent = Agent(server, tmp_path, "approved")
    workflow = agent.request()
    until(lambda: "approval.sent.email" in server.events(workflow), 15)
    server.decide(workflow, "approved")
    code, output = agent.finish()
    assert code == 0, output
    assert agent.receipt() == workflow["actionData"]
    assert server.get(workflow)["status"] == "COMPLETED"
    assert server.events(workflow) == [
        "workflow.created",
        "approval.sent.email",
        "human.responded",
        "action.executing",
        "workflow.completed",
    ]
    assert "5. workflow.completed" in output


def test_edited_it_acts_on_the_edits(server: Embedded, tmp_path: Path) -> None:
    agent = Agent(server, tmp_path, "edited")
    workflow = agent.request()
    edited = workflow["actionData"] | {"amount": 25, "note": "Half of it – naïve, but fair"}
    assert server.decide(workflow, "modified", responseData=edited).status == 200
    code, output = agent.finish()
    assert code == 0, output
    assert agent.receipt() == edited
    assert "amount 40 → 25" in output


def test_rejected_it_does_nothing_and_says_why(server: Embedded, tmp_path: Path) -> None:
    agent = Agent(server, tmp_path, "rejected")
    server.decide(agent.request(), "rejected", feedback="Refunded last week already")
    code, output = agent.finish()
    assert code == 3
    assert "Refunded last week already" in output
    assert not agent.receipts.exists()


def test_unanswered_it_does_nothing(server: Embedded, tmp_path: Path) -> None:
    agent = Agent(server, tmp_path, "unanswered", "--timeout", "1")
    code, output = agent.finish()
    assert code == 4
    assert "Nobody answered in time" in output
    assert not agent.receipts.exists()


def test_interrupted_it_withdraws_its_request(server: Embedded, tmp_path: Path) -> None:
    agent = Agent(server, tmp_path, "withdrawn")
    workflow = agent.request()
    time.sleep(0.5)
    agent.process.send_signal(signal.SIGINT)
    code, output = agent.finish()
    assert code == 130, output
    assert server.get(workflow)["status"] == "CANCELLED"


def test_heartbeats_carry_it_through_slow_work(server: Embedded, tmp_path: Path) -> None:
    agent = Agent(server, tmp_path, "slow", "--slow", "5")
    workflow = agent.request()
    server.decide(workflow, "approved")
    code, output = agent.finish()
    assert code == 0, output
    assert server.get(workflow)["status"] == "COMPLETED"


def test_killed_while_acting_the_attempt_ends_and_is_not_repeated(
    server: Embedded, tmp_path: Path
) -> None:
    agent = Agent(server, tmp_path, "killed", "--slow", "60")
    workflow = agent.request()
    server.decide(workflow, "approved")
    until(lambda: server.get(workflow)["status"] == "EXECUTING", 15)
    agent.process.kill()
    agent.finish()
    # The sample type is idempotent, so nothing is left open: the agent may ask again.
    until(lambda: server.get(workflow)["status"] == "FAILED", 30)
    code, output = Agent(server, tmp_path, "killed").finish()
    assert code == 1
    assert "fell silent" in output
    assert not agent.receipts.exists()


def test_killed_and_back_in_time_it_takes_up_the_same_attempt(
    server: Embedded, tmp_path: Path
) -> None:
    agent = Agent(server, tmp_path, "back", "--slow", "1.2")
    workflow = agent.request()
    server.decide(workflow, "approved")
    until(lambda: server.get(workflow)["status"] == "EXECUTING", 15)
    agent.process.kill()
    agent.finish()
    code, output = Agent(server, tmp_path, "back").finish()
    assert code == 0, output
    assert server.get(workflow)["execution"]["attempt"] == 1


def test_it_bears_a_restart_of_the_server(tmp_path: Path) -> None:
    with running(tmp_path / "data") as own:
        agent = Agent(own, tmp_path, "patient")
        workflow = agent.request()
        own.process.kill()
        own.process.wait()
        time.sleep(1)
        own.start()
        own.decide(workflow, "approved")
        code, output = agent.finish()
        assert code == 0, output
        assert "asking again" in output
        assert own.get(workflow)["status"] == "COMPLETED"


def test_without_a_key_it_says_where_to_get_one(tmp_path: Path) -> None:
    done = subprocess.run(
        AGENT, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "HITL_API_KEY" in done.stderr


def test_a_wrong_key_is_a_sentence(server: Embedded, tmp_path: Path) -> None:
    where = {"HITL_URL": server.url, "HITL_API_KEY": "hitl_agt_wrong"}
    done = subprocess.run(
        AGENT,
        cwd=tmp_path,
        env=clean_environment() | where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "The server refused" in done.stderr
    assert "Traceback" not in done.stderr


# --- The shell script -----------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example is about curl")
@pytest.mark.parametrize(("decision", "code"), [("approved", 0), ("rejected", 3)])
def test_the_script_asks_and_obeys(
    server: Embedded, tmp_path: Path, decision: str, code: int
) -> None:
    question = f'May I say "{decision}" \\ here?'
    where = {"HITL_URL": server.url, "HITL_API_KEY": server.api_key}
    script = subprocess.Popen(
        ["sh", str(ROOT / "examples" / "ask.sh"), question],
        cwd=tmp_path,
        env=clean_environment() | where,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    asked: list[dict[str, Any]] = []

    def look() -> bool:
        items = server.call("GET", "/api/v1/workflows?status=PENDING&limit=100").json["items"]
        asked[:] = [item for item in items if item["name"] == question]
        return bool(asked)

    until(look, 20)
    assert server.decide(asked[0], decision, feedback="As you like").status == 200
    output, _ = script.communicate(timeout=30)
    assert script.returncode == code, output
    assert server.get(asked[0])["status"] == ("COMPLETED" if code == 0 else "REJECTED")
