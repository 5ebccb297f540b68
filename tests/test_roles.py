"""The roles of a larger server for real: web, worker and beat on PostgreSQL and Redis."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.deliveries.smtp import MailServer, silent_server
from tests.embedded import until
from tests.roles import Filled, Roles, filled

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled(tmp_path_factory.mktemp("filled") / "data") as found:
        yield found


@pytest.fixture
def server(tmp_path: Path, database: Filled) -> Iterator[Roles]:
    with database.copied(tmp_path / "data") as roles:
        roles.run_all()
        yield roles


def test_the_roles_do_together_what_one_process_does(server: Roles) -> None:
    late = server.create(timeoutSeconds=1)
    own = server.create(actionType="data.export", actionData={"report": "orders"})
    server.decide(own, "approved")
    assert server.settled(own) == "COMPLETED"
    assert server.settled(late) == "TIMEOUT"


def test_an_agent_bears_the_death_of_the_web(server: Roles) -> None:
    asked = server.agent.ask("payments.payout", {"amount": 120})
    ended: list[Any] = []

    def work() -> None:
        with server.agent.execution(server.agent.wait(asked, timeout=60)) as run:
            run.result = {"paid": run.data["amount"]}
        ended.append(run.workflow)

    working = threading.Thread(target=work)
    working.start()
    server.kill("serve")
    server.run("serve")
    server.wait_for_web()
    server.decide(dict(asked.raw), "approved")
    working.join(60)
    assert (ended[0].status, ended[0].result) == ("COMPLETED", {"paid": 120})
    types = [str(event.type) for event in server.agent.events(asked)]
    assert [types.count(name) for name in ("action.executing", "workflow.completed")] == [1, 1]


def test_each_stops_cleanly_when_told(server: Roles) -> None:
    late = server.create(timeoutSeconds=1)
    assert server.settled(late) == "TIMEOUT"  # so both are at work
    for role in ("beat", "worker"):
        began = time.monotonic()
        server.roles[role].send_signal(signal.SIGTERM)
        assert server.roles[role].wait(20) == 0, role
        assert time.monotonic() - began < 15


def test_a_worker_that_died_is_replaced_and_nothing_is_lost(server: Roles) -> None:
    server.kill("worker")
    workflow = server.create(actionType="data.export", actionData={"report": "orders"})
    server.decide(workflow, "approved")
    time.sleep(1)
    assert server.get(workflow)["status"] == "APPROVED"
    server.run("worker")
    assert server.settled(workflow) == "COMPLETED"


# --- Web and live ---------------------------------------------------------------------------------


@pytest.fixture
def split(tmp_path: Path, database: Filled) -> Iterator[tuple[Roles, Roles]]:
    """The same server twice: behind `web`, and behind `live`."""
    with database.copied(tmp_path / "data", DRAIN_SECONDS="2.5") as web:
        live = web.twin()
        try:
            web.run("web")
            live.run("live")
            web.wait_for_web("web")
            live.wait_for_web("live")
            yield web, live
        finally:
            live.end()


def test_web_answers_and_live_waits(split: tuple[Roles, Roles]) -> None:
    """One after the other on the same two, since starting them takes most of the time."""
    web, live = split
    workflow = web.create()
    path = f"/api/v1/workflows/{workflow['workflowId']}"
    _web_never_waits(web, path)
    _live_hears_of_the_decision(web, live, workflow, f"{path}?wait=30")
    _live_answers_whoever_waits_when_it_stops(web, live)
    _web_finishes_what_it_has_begun(web)


def _web_never_waits(web: Roles, path: str) -> None:
    for waiting in (f"{path}?wait=30", "/api/v1/events?after=latest&wait=30"):
        began = time.monotonic()
        with web.open(waiting) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (200, "2")
        assert time.monotonic() - began < 15
    for held in ("/ws/v1/events/", "/api/v1/events/stream"):
        assert web.call("GET", held).json["code"] == "misdirected"


def _live_hears_of_the_decision(
    web: Roles, live: Roles, workflow: dict[str, Any], path: str
) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(live.call, "GET", path)
        web.token()
        time.sleep(0.5)
        assert not waiting.done()
        assert web.decide(workflow, "approved").status == 200
        assert waiting.result(15).json["status"] == "APPROVED"


def _live_answers_whoever_waits_when_it_stops(web: Roles, live: Roles) -> None:
    path = f"/api/v1/workflows/{web.create()['workflowId']}?wait=60"
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(live.call, "GET", path)]
        time.sleep(0.5)
        began = time.monotonic()
        live.roles["live"].send_signal(signal.SIGTERM)
        # It is leaving: no more is to be sent there, and what is sent is answered all the same.
        until(live.is_leaving, 2.5)
        waiting.append(pool.submit(live.call, "GET", path))
        for each in waiting:
            assert (answer := each.result(20)).status == 200
            assert answer.json["status"] == "PENDING"
        assert 2.4 < time.monotonic() - began < 20
        assert live.roles["live"].wait(90) == 0


def _web_finishes_what_it_has_begun(web: Roles) -> None:
    """A body that is still on its way when the door closes is waited for."""
    with closing(HTTPConnection("127.0.0.1", web.port, timeout=90)) as connection:
        _post_slowly(connection, web)


def _post_slowly(connection: HTTPConnection, web: Roles) -> None:
    body = b'{"actionType": "a.b", "actionData": {}}'
    connection.putrequest("POST", "/api/v1/workflows")
    connection.putheader("Authorization", f"Bearer {web.api_key}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    time.sleep(0.3)
    web.roles["web"].send_signal(signal.SIGTERM)
    until(web.is_leaving, 2.5)
    time.sleep(4)  # longer than it takes its leave
    connection.send(body[10:])
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    assert web.roles["web"].wait(90) == 0


# --- Queues and beats -----------------------------------------------------------------------------


def test_a_queue_of_hanging_deliveries_does_not_delay_deadlines(
    tmp_path: Path, database: Filled
) -> None:
    """A mail server that says nothing holds a worker of the deliveries for 20 seconds a mail."""
    with (
        silent_server() as port,
        database.copied(tmp_path / "data", EMAIL_URL=f"smtp://127.0.0.1:{port}") as server,
    ):
        server.run("worker", "--queues=deliveries", "--concurrency=1", name="mails")
        server.run("worker", "--queues=sweeps,actions", "--concurrency=1")
        for role in ("serve", "beat"):
            server.run(role)
        server.wait_for_web()
        for _ in range(6):
            server.create()
        until(lambda: int(server.redis.llen("deliveries")) >= 4, 20)
        began = time.monotonic()
        late = server.create(timeoutSeconds=1)
        own = server.create(actionType="data.export", actionData={"report": "orders"})
        server.decide(own, "approved")
        assert server.settled(late) == "TIMEOUT"
        assert server.settled(own) == "COMPLETED"
        assert time.monotonic() - began < 8
        assert int(server.redis.llen("deliveries")) >= 4  # nothing of them has moved meanwhile


def test_several_beats_do_no_harm(tmp_path: Path, database: Filled) -> None:
    """Two ring for every sweep, two workers sweep; each effect is there once."""
    mails = MailServer()
    mails.start()
    try:
        with database.copied(tmp_path / "data", EMAIL_URL=mails.url) as server:
            for number in "12":
                server.run("beat", name=f"beat{number}")
                server.run("worker", "--concurrency=2", name=f"worker{number}")
            server.run("serve")
            server.wait_for_web()
            late = [server.create(timeoutSeconds=1 + number % 3) for number in range(12)]
            own = [server.create(actionType="data.export") for _ in range(4)]
            for workflow in own:
                server.decide(workflow, "approved")
            assert {server.settled(each) for each in late} == {"TIMEOUT"}
            assert {server.settled(each) for each in own} == {"COMPLETED"}
            time.sleep(3)  # both go on ringing
            for workflow in (*late, *own):
                told = Counter(server.events(workflow))
                assert max(told.values()) == 1, told
            keys = [str(mail["Message-ID"]) for mail in mails.accepted]
            assert len(keys) == len(set(keys)) > 0
    finally:
        mails.stop()
