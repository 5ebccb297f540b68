"""Every role is replaced by SIGTERM under traffic, behind the proxy: nobody notices.

Two web, two live, two workers and a beat stand behind HAProxy with the configuration that we ship.
Agents create, people decide, agents carry out and report, followers wait, all through the proxy and
without ever repeating a request. `make rolling` runs it, with ROLLING_ROUNDS rounds.
"""

import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.deliveries.smtp import MailServer
from tests.embedded import START_SECONDS, until
from tests.proxy import program, proxy
from tests.roles import Filled, Roles, filled

ROUNDS = int(os.environ.get("ROLLING_ROUNDS", "0"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.timeout(600 + 600 * ROUNDS),
    pytest.mark.skipif(not program(), reason="needs HAProxy on PATH or in HAPROXY"),
    pytest.mark.skipif(not ROUNDS, reason="takes minutes: make rolling"),
]
CALLERS = 3
PAUSE_SECONDS = 0.1


class Traffic:
    """What clients do all the time. Nothing is tried again; whatever goes wrong is kept."""

    def __init__(self, port: int, api_key: str, user_token: str) -> None:
        self._port, self._agent, self._person = port, api_key, user_token
        self._stop = threading.Event()
        self.faults: list[str] = []
        self.calls: Counter[str] = Counter()
        self.lives: list[str] = []
        self.open: list[str] = []
        self.heard: list[tuple[str, int]] = []
        works = [self._live_lives] * CALLERS + [self._follow]
        self._threads = [threading.Thread(target=self._keep, args=(work,)) for work in works]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _keep(self, work: Callable[["Caller"], None]) -> None:
        with closing(Caller(self._port, self)) as caller:
            try:
                while not self._stop.is_set():
                    work(caller)
            except Exception as error:
                self.faults.append(f"{work.__name__}: {error!r}")

    def _live_lives(self, caller: "Caller") -> None:
        """One request from the question to the end, and now and then one that stays open."""
        made = caller.ask("POST", "/api/v1/workflows", {"actionType": "a.b", "actionData": {}})
        path = f"/api/v1/workflows/{made['workflowId']}"
        if len(self.lives) % 5 == 4:
            self.open.append(made["workflowId"])
        else:
            verdict = {"decision": "approved", "fingerprint": made["fingerprint"]}
            caller.ask("POST", f"{path}/decide", verdict, token=self._person)
            assert caller.ask("GET", f"{path}?wait=20")["status"] == "APPROVED"
            attempt = caller.ask("POST", f"{path}/execution/start", {})["attempt"]
            caller.ask("POST", f"{path}/execution/complete", {"attempt": attempt, "result": {}})
        self.lives.append(made["workflowId"])
        time.sleep(PAUSE_SECONDS)

    def _follow(self, caller: "Caller") -> None:
        cursor = ""
        while not self._stop.is_set():
            page = caller.ask("GET", f"/api/v1/events?wait=5&limit=100{cursor}")
            self.heard += [(event["workflowId"], event["seq"]) for event in page["items"]]
            cursor = f"&after={page['next']}"

    @property
    def agent(self) -> str:
        """The key that requests carry unless a person's token does."""
        return self._agent


class Caller:
    """One client with one connection, kept open as clients do."""

    def __init__(self, port: int, traffic: Traffic) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=90)
        self._traffic = traffic

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        """The answer; whatever is no success is a fault and ends the caller's work."""
        headers = {"Authorization": f"Bearer {token or self._traffic.agent}", "Host": "localhost"}
        raw = None
        if body is not None:
            raw = json.dumps(body).encode()
            headers |= {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
        self._connection.request(method, path, raw, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {said[:300]!r}"
        self._traffic.calls[method] += 1
        return json.loads(said)


class Fleet:
    """All processes of a server, each replaceable."""

    def __init__(self, server: Roles) -> None:
        self._server = server
        names = ("web1", "web2", "live1", "live2")
        self.fronts = {name: server.twin() for name in names}

    def start(self) -> None:
        """Start all of them."""
        for name in (*self.fronts, "worker1", "worker2", "beat"):
            self._run(name)
        for name, front in self.fronts.items():
            front.wait_for_web(name)

    def _run(self, name: str) -> None:
        role = name.rstrip("12")
        options = ["--concurrency=2"] if role == "worker" else []
        self.fronts.get(name, self._server).run(role, *options, name=name)

    def ports(self, role: str) -> list[int]:
        """Where those of a role listen."""
        return [front.port for name, front in self.fronts.items() if name.startswith(role)]

    def replace(self, name: str) -> None:
        """Have one end by SIGTERM, and start another in its place."""
        owner = self.fronts.get(name, self._server)
        process = owner.roles[name]
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, name
        self._run(name)
        if name in self.fronts:
            owner.wait_for_web(name)
            time.sleep(4)  # the proxy has seen it, too

    def end(self) -> None:
        """Kill whatever runs."""
        for owner in (*self.fronts.values(), self._server):
            owner.end()


@pytest.fixture
def mails() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Filled]:
    with filled(tmp_path / "filled") as found:
        yield found


def test_nobody_notices_that_everything_is_replaced(
    tmp_path: Path, database: Filled, mails: MailServer
) -> None:
    with ExitStack() as stack:
        variables = {"EMAIL_URL": mails.url, "DRAIN_SECONDS": "5", "RATE_LIMIT_API": "off"}
        server = stack.enter_context(database.copied(tmp_path / "data", **variables))
        fleet = Fleet(server)
        stack.callback(fleet.end)
        fleet.start()
        servers = {role: fleet.ports(role) for role in ("web", "live")}
        port, _ = stack.enter_context(proxy(tmp_path, servers))
        until(lambda: _is_up(port), START_SECONDS)
        with Traffic(port, server.api_key, server.token()) as traffic:
            until(lambda: len(traffic.lives) >= CALLERS or traffic.faults, 60)
            for name in (*fleet.fronts, "worker1", "worker2", "beat") * ROUNDS:
                fleet.replace(name)
                assert traffic.faults == [], name
            before = len(traffic.lives)
            until(lambda: len(traffic.lives) > before or traffic.faults, 60)
        assert traffic.faults == []
        print(f"{len(traffic.lives)} lives, {sum(traffic.calls.values())} calls")
        _nothing_lost_or_doubled(server, traffic, mails)


def _nothing_lost_or_doubled(server: Roles, traffic: Traffic, mails: MailServer) -> None:
    with psycopg.connect(server.variables["DATABASE_URL"], autocommit=True) as database:
        waiting = "SELECT count(*) FROM deliveries_delivery WHERE status IN ('pending', 'sending')"

        def unsent() -> int:
            [row] = database.execute(waiting).fetchall()
            return int(row[0])

        until(lambda: not unsent(), 120)
        rows = database.execute(
            "SELECT id::text, status FROM workflows_workflow WHERE action_type = 'a.b'"
        ).fetchall()
        told = database.execute(
            "SELECT workflow_id::text, type, count(*) FROM events_event GROUP BY 1, 2"
        ).fetchall()
    assert Counter(each for each, _ in rows) == Counter(traffic.lives)
    still_open = set(traffic.open)
    for workflow_id, status in rows:
        assert status == ("PENDING" if workflow_id in still_open else "COMPLETED"), workflow_id
    once = ("workflow.created", "human.responded", "action.executing", "workflow.completed")
    assert {count for _, kind, count in told if kind in once} == {1}
    # Each mail once, and nobody whose answer is still wanted has been forgotten.
    keys = Counter(str(mail["Message-ID"]) for mail in mails.accepted)
    assert max(keys.values()) == 1
    assert len(keys) >= len(still_open)
    # The follower heard of each event once, in each request's order.
    assert max(Counter(traffic.heard).values()) == 1
    for _, group in itertools.groupby(sorted(traffic.heard), key=lambda heard: heard[0]):
        numbers = [seq for _, seq in group]
        assert numbers == list(range(1, len(numbers) + 1))


def _is_up(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection):
        connection.request("GET", "/ping", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
