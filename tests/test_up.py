"""`manage.py up` for real: one process with web, worker and beat, started, stopped and killed."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hitl.lib import signing_keys
from tests.embedded import EMAIL, MANAGE, PASSWORD, ROOT, Embedded, free_port, running, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it is about SQLite"),
]
# Twice what a loaded machine of two processors takes; by itself it is about a second each.
QUICK_START, QUICK_STOP = 6.0, 6.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """One server for what leaves it as it was."""
    with running(tmp_path_factory.mktemp("up")) as embedded:
        yield embedded


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Embedded]:
    """A server to be stopped and killed."""
    with running(tmp_path / "data") as embedded:
        yield embedded


def _run(**variables: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py up` that is expected to end by itself."""
    return subprocess.run(
        [*MANAGE, "up"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- What it says ---------------------------------------------------------------------------------


def test_the_box_says_where_who_and_how(server: Embedded) -> None:
    text = server.output
    assert f"http://localhost:{server.port}/" in text
    assert EMAIL in text
    assert str(server.folder) in text
    assert "Ctrl-C" in text
    assert "/api/v1/workflows" in text
    assert "python3 examples/refund_agent.py" in text


def test_preset_secrets_are_not_printed(server: Embedded) -> None:
    assert PASSWORD not in server.output
    assert server.api_key not in server.output


def test_it_says_nothing_else(server: Embedded) -> None:
    said = server.output.lower()
    assert "warning" not in said
    assert "traceback" not in said


def test_made_up_secrets_are_printed_once_and_work(tmp_path: Path) -> None:
    variables = {"HITL_BOOTSTRAP_API_KEY": "", "HITL_BOOTSTRAP_PASSWORD": ""}
    with running(tmp_path / "data", **variables) as own:
        words = own.output.split()
        own.api_key = next(word for word in words if word.startswith("hitl_agt_"))
        assert own.create()["status"] == "PENDING"
        assert own.output.count("shown only this once") == 2
        assert own.stop() == 0
        own.start()
        assert own.output.count("shown only this once") == 2
        assert "manage.py changepassword ann@example.com --data" in own.output
        assert "manage.py create_key demo-agent --data" in own.output


def test_the_printed_curl_creates_a_request(server: Embedded) -> None:
    lines = server.output.splitlines()
    at = next(index for index, line in enumerate(lines) if line.strip().startswith("curl"))
    command = " ".join(lines[at : at + 2]).replace("\\ ", "")
    variables = server.variables | {"HITL_URL": server.url, "HITL_API_KEY": server.api_key}
    made = subprocess.run(
        ["sh", "-c", f"{command} --silent --fail"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert '"status":"PENDING"' in made.stdout, made.stderr


# --- What it does ---------------------------------------------------------------------------------


def test_the_inbox_is_alive(server: Embedded) -> None:
    names = {row[0] for row in server.query("SELECT name FROM workflows_workflow")}
    assert {"Refund order A-1009", "Deploy checkout 2.14.0 to production"} <= names


def test_a_request_is_made_and_its_mail_is_caught(server: Embedded) -> None:
    workflow = server.create(name="Please look at this one")
    until(lambda: "approval.sent.email" in server.events(workflow), 15)
    subjects = [row[0] for row in server.query("SELECT subject FROM deliveries_sandboxmessage")]
    assert any("Please look at this one" in subject for subject in subjects)


def test_deadlines_take_effect(server: Embedded) -> None:
    assert server.settled(server.create(timeoutSeconds=1)) == "TIMEOUT"


def test_whoever_waits_is_told_at_once(server: Embedded) -> None:
    workflow = server.create()
    token = server.token()
    heard: list[float] = []

    def wait() -> None:
        assert server.agent.wait(workflow["workflowId"]).status == "APPROVED"
        heard.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(1)
    body = {"decision": "approved", "fingerprint": workflow["fingerprint"]}
    path = f"/api/v1/workflows/{workflow['workflowId']}/decide"
    assert server.call("POST", path, body, token=token).status == 200
    decided = time.monotonic()
    waiting.join(10)
    assert heard[0] - decided < 1


def test_the_server_carries_out_its_own_actions(server: Embedded) -> None:
    data = {"report": "orders"}
    workflow = server.create(actionType="data.export", actionData=data)
    server.decide(workflow, "approved")
    assert server.settled(workflow) == "COMPLETED"
    assert server.get(workflow)["result"]["echo"] == data


def test_the_demo_asks_over_http(server: Embedded) -> None:
    before = server.query("SELECT count(*) FROM workflows_workflow")[0][0]
    done = server.manage("demo")
    assert done.returncode == 0, done.stderr
    after = server.query("SELECT count(*) FROM workflows_workflow")[0][0]
    assert after - before == len(done.stdout.splitlines()) == 4


# --- Who gets in ----------------------------------------------------------------------------------


def _status_for_host(server: Embedded, host: str) -> int:
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", "/login/", headers={"Host": host})
        with connection.getresponse() as answer:
            return answer.status


def test_by_default_it_answers_to_loopback_names_only(server: Embedded) -> None:
    assert _status_for_host(server, f"localhost:{server.port}") == 200
    assert _status_for_host(server, "evil.example") == 400


def test_open_to_others_it_answers_to_this_machines_name(tmp_path: Path) -> None:
    with running(tmp_path / "data", HOST="0.0.0.0") as own:  # noqa: S104
        assert _status_for_host(own, f"{socket.gethostname().lower()}:{own.port}") == 200
        assert _status_for_host(own, "evil.example") == 400
        assert "Listens" in own.output


# --- One at a time --------------------------------------------------------------------------------


def test_a_second_server_on_the_folder_is_refused(server: Embedded) -> None:
    other = server.variables | {"PORT": str(free_port())}
    second = _run(**other)
    assert second.returncode == 1
    assert f"process {server.process.pid}, http://localhost:{server.port}/" in second.stderr
    assert "DATA=" in second.stderr
    assert server.create()["status"] == "PENDING"


def test_a_taken_port_is_named_with_the_remedy(server: Embedded, tmp_path: Path) -> None:
    other = server.variables | {"HITL_DATA": str(tmp_path / "other")}
    second = _run(**other)
    assert second.returncode == 1
    assert f"Port {server.port}" in second.stderr
    assert f"make run PORT={server.port + 1}" in second.stderr
    assert not (tmp_path / "other" / "hitl.sqlite3").exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HITL_BOOTSTRAP_API_KEY": "letmein"}, "create_key --print-only"),
        ({"HITL_BOOTSTRAP_EMAIL": "nobody"}, "not an e-mail address"),
        ({"DATABASE_URL": "postgres://h/d", "REDIS_URL": "redis://h"}, "SECRET_KEY"),
        ({"DATABASE_URL": "postgres://h/d"}, "REDIS_URL must be too"),
    ],
)
def test_wrong_variables_end_it_with_a_sentence(
    server: Embedded, tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    other = {"HITL_DATA": str(tmp_path / "data"), "PORT": str(free_port())}
    ended = _run(**(server.variables | other | variables))
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_beside_postgresql_it_names_the_roles(server: Embedded) -> None:
    secrets = {"SECRET_KEY": "s" * 50, "JWT_SECRET": "j" * 50, "ALLOWED_HOSTS": "localhost"}
    secrets["SIGNING_KEYS"] = signing_keys.generate()
    stores = {"DATABASE_URL": "postgres://h/d", "REDIS_URL": "redis://h"}
    ended = _run(**(server.variables | secrets | stores))
    assert ended.returncode == 1
    assert "manage.py serve" in ended.stderr


# --- Stopping, and starting again -----------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_and_starts_quickly_on_its_data(own: Embedded, number: int) -> None:
    workflow = own.create(name="Still here")
    began = time.monotonic()
    assert own.stop(number) == 0
    assert time.monotonic() - began < QUICK_STOP
    assert "Traceback" not in own.output
    assert own.start() < QUICK_START
    assert own.get(workflow)["name"] == "Still here"
    assert own.query("SELECT count(*) FROM accounts_user")[0][0] == 1


def test_an_open_long_poll_does_not_hold_it(own: Embedded) -> None:
    workflow = own.create()
    path = f"/api/v1/workflows/{workflow['workflowId']}?wait=30"
    with contextlib.closing(HTTPConnection("127.0.0.1", own.port, timeout=60)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {own.api_key}"})
        time.sleep(0.5)
        began = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - began < QUICK_STOP


def test_a_long_task_does_not_hold_it(tmp_path: Path) -> None:
    with running(tmp_path / "data", ACTION_MODULES="tests.slow_action") as own:
        own.manage("shell", "-c", SLOW_TYPE)
        workflow = own.create(actionType="slow.job")
        own.decide(workflow, "approved")
        until(lambda: own.get(workflow)["status"] == "EXECUTING", 15)
        began = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - began < QUICK_STOP
        assert "the next start takes it up again" in own.output
        own.start()
        # It may have happened, so it is not done again; nobody pretends to know.
        until(lambda: own.get(workflow)["status"] == "UNKNOWN", 30)


SLOW_TYPE = """
from hitl.accounts.models import Team
from workflows.models import ActionType
ActionType.objects.create(
    team=Team.objects.get(), name="slow.job", executor="function",
    executor_config={"function": "slow"}, semantics="at_most_once", lease_seconds=2,
)
"""


def test_killed_at_any_moment_it_loses_nothing(own: Embedded) -> None:
    kept = own.create(name="Kept")
    late = own.create(name="Late", timeoutSeconds=2)
    own.process.kill()
    own.process.wait()
    # The mail of a request whose worker died before it could be sent.
    time.sleep(2)
    own.start()
    assert own.get(kept)["status"] == "PENDING"
    until(lambda: own.get(late)["status"] == "TIMEOUT", 10)
    until(lambda: "approval.sent.email" in own.events(kept), 120)
    types = own.events(kept)
    assert types[0] == "workflow.created"
    assert types.count("approval.sent.email") == 1


def test_a_database_of_a_newer_version_is_left_alone(own: Embedded) -> None:
    own.stop()
    row = "('workflows', '9999_from_the_future', '2030-01-01')"
    own.query(f"INSERT INTO django_migrations (app, name, applied) VALUES {row}")  # noqa: S608
    ended = _run(**own.variables)
    assert ended.returncode == 1
    assert "newer version of hitl (it has workflows.9999_from_the_future)" in ended.stderr
