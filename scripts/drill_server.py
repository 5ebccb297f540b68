"""The roles of the drill as processes, driven from outside, and the ledgers of its stand-ins."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

import psycopg

from scripts.services import postgres_folder
from tests.deliveries.smtp import MailServer
from tests.receiver import Receiver, receiver

HOME = Path(__file__).resolve().parent.parent
APPROVER, ROOT_USER = "ann@example.com", "root@example.com"
AGENT, ONCE, SAFE = KINDS = ("drill.agent", "drill.once", "drill.safe")
ROLES = ("serve", "worker", "beat")
STOP_SECONDS, START_SECONDS = 60, 300  # a machine may be busy
# Everything the roles need in their database; prints the agent's key.
FILL = """
import sys
from events.webhooks import endpoints
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member, issue_key
from workflows.models import ActionType
team = Team.objects.create(name="Drill", slug="drill")
add_member(team, User.objects.create_user("{approver}"), Role.APPROVER)
User.objects.create_superuser("{root}", "correct horse battery staple")
ActionType.objects.create(team=team, name="{agent}", executor="agent", lease_seconds=3600)
for name, semantics in (("{once}", "at_most_once"), ("{safe}", "idempotent")):
    ActionType.objects.create(
        team=team, name=name, executor="http", semantics=semantics,
        executor_config=dict(url="{action}"),
    )
endpoints.create(team_id=team.pk, url="{hook}")
print(issue_key(Agent.objects.create(team=team, name="drill-bot"))[1])
"""


@dataclass
class Ledgers:
    """What arrived at the stand-ins, and what the agent did with its own hands."""

    actions: Receiver
    hooks: Receiver
    mails: MailServer
    by_agent: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls) -> "Iterator[Ledgers]":
        """Listen for as long as the context lasts."""
        mails = MailServer()
        with receiver() as actions, receiver() as hooks:
            mails.start()
            try:
                yield cls(actions, hooks, mails)
            finally:
                mails.stop()

    def note(self, row: str) -> None:
        """The agent has done it."""
        self.by_agent.append(row)

    def runs(self) -> Counter[str]:
        """How often each request's action was carried out."""
        called = (each.headers["x-hitl-workflow"] for each in list(self.actions.ledger))
        return Counter([*called, *self.by_agent])

    def everything(self) -> dict[str, int]:
        """How much has left the server so far."""
        return {
            "actions": len(self.actions.ledger),
            "webhooks": len(self.hooks.ledger),
            "mails": len(self.mails.accepted),
            "actions of the agent": len(self.by_agent),
        }


class Server:
    """Web, worker and beat on a database of their own."""

    def __init__(self, cluster: str, redis: str, ledgers: Ledgers) -> None:
        self._cluster = cluster
        self._name = f"drill_{os.getpid()}"
        self.database = urlunsplit(urlsplit(cluster)._replace(path=f"/{self._name}"))
        self._port = _free_port()
        self._ledgers = ledgers
        self._roles: dict[str, subprocess.Popen[bytes]] = {}
        self._key = self._token = ""
        self.kinds: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._variables = dict(os.environ) | {
            "DJANGO_SETTINGS_MODULE": "hitl.settings",
            "DATABASE_URL": self.database,
            "REDIS_URL": redis.removesuffix("/0") + "/6",
            "PUBLIC_URL": "https://approvals.example.com",
            "ALLOWED_HOSTS": "approvals.example.com,127.0.0.1",
            "PORT": str(self._port),
            "SECRET_KEY": "secret-key-of-the-drill-0123456789abcdef-0123456789",
            "JWT_SECRET": "jwt-secret-of-the-drill-0123456789abcdef",
            "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXByb29mLTAxMjM0NTY",
            "ACTION_SIGNING_SECRET": "whsec_c2VjcmV0LW9mLXRoZS1kcmlsbA==",
            "EMAIL_URL": ledgers.mails.url,
            "DEFAULT_FROM_EMAIL": "hitl <approvals@example.com>",
            "OUTBOUND_ALLOW": f"{ledgers.actions.allow},{ledgers.hooks.allow}",
            "OUTBOUND_ALLOW_HTTP": "on",
            "LOG_LEVEL": "ERROR",
            "RATE_LIMIT_API": "off",
            "SSL_REDIRECT": "off",  # plain HTTP on loopback
        }

    # --- Processes and database ------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the database and who is in it, and start all roles."""
        self.recreate_database()
        self.manage("migrate", "--verbosity=0")
        filled = FILL.format(
            approver=APPROVER, root=ROOT_USER, agent=AGENT, once=ONCE, safe=SAFE,
            action=self._ledgers.actions.url, hook=self._ledgers.hooks.url,
        )  # fmt: skip
        self._key = self.manage("shell", "--verbosity=0", "-c", filled).stdout.split()[-1]
        self._token = self.manage("create_token", "--user", APPROVER).stdout.strip()
        self.start_all()

    def recreate_database(self) -> None:
        """An empty one under the same name."""
        with psycopg.connect(self._cluster, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{self._name}"'.encode())

    def dump(self, target: Path) -> None:
        """As an operator would, while everything works."""
        self._postgres("pg_dump", "--format=custom", f"--file={target}", self.database)

    def load(self, dump: Path, *, over: bool = False) -> None:
        """Put the dump back: all of it or nothing; `over` the tables that are there."""
        how = ["--clean", "--if-exists"] if over else []
        command = ["--single-transaction", *how, f"--dbname={self.database}", str(dump)]
        for _ in range(20):  # roles that work may stand in its way: a deadlock ends one of the two
            if self._postgres("pg_restore", *command, check=not over).returncode == 0:
                return
            time.sleep(0.2)
        raise SystemExit("drill: pg_restore could not replace the tables")

    def _postgres(
        self, program: str, *arguments: str, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        beside = Path(postgres_folder()) / program
        command = str(beside) if beside.exists() else shutil.which(program) or program
        return _run([command, *arguments], self._variables, check=check)

    def manage(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A command of the operator's."""
        return _run([sys.executable, "manage.py", *arguments], self._variables, check=check)

    def start(self, role: str) -> None:
        """Start one, as the head of a process group."""
        more = ["--concurrency=2"] if role == "worker" else []
        self._roles[role] = subprocess.Popen(
            [sys.executable, "manage.py", role, *more],
            cwd=HOME, env=self._variables, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def start_all(self) -> None:
        """Start what does not run, and wait until the web answers."""
        for role in ROLES:
            if role not in self._roles:
                self.start(role)
        give_up = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > give_up:
                raise SystemExit("drill: the web does not answer")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with suppress(URLError, ConnectionError, TimeoutError):
            answer = urlopen(f"http://127.0.0.1:{self._port}/ping", timeout=2)
            return bool(answer.read() == b"pong")
        return False

    def stop(self, role: str) -> None:
        """Politely, as a deployment does."""
        process = self._roles.pop(role)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def stop_all(self) -> None:
        """Stop every role."""
        for role in list(self._roles):
            self.stop(role)

    def kill(self) -> None:
        """However it went, leave nothing behind."""
        for process in self._roles.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with psycopg.connect(self._cluster, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)'.encode())

    # --- From outside ----------------------------------------------------------------------------

    def create(self, kind: str) -> str:
        """A pending request; its id, once the server has acknowledged it."""
        body = {"actionType": kind, "actionData": {"n": len(self.kinds)}, "timeoutSeconds": 86_400}
        status, answer = self._call("POST", "", body)
        _require(status == 201, answer)
        row = str(answer["workflowId"])
        with self._lock:
            self.kinds[row] = kind
        return row

    def decide(self, row: str) -> None:
        """A person approves."""
        shown = self._call("GET", f"/{row}")[1]["fingerprint"]
        body = {"decision": "approved", "fingerprint": shown}
        status, answer = self._call("POST", f"/{row}/decide", body, token=self._token)
        _require(status == 200, answer)

    def begin(self, row: str) -> str:
        """The agent asks to carry out: "" where it may, else the code of the refusal."""
        status, answer = self._call("POST", f"/{row}/execution/start", {"executor": "drill"})
        if status == 200:
            self._attempts[row] = int(answer["attempt"])
            return ""
        return str(answer["code"])

    def report(self, row: str) -> None:
        """The agent says that it is done."""
        body = {"attempt": self._attempts[row], "result": {"done": True}}
        status, answer = self._call("POST", f"/{row}/execution/complete", body)
        _require(status == 200, answer)

    def carry_out(self, row: str, ledgers: Ledgers) -> None:
        """As a careful agent does: begin, act, report."""
        refusal = self.begin(row)
        _require(not refusal, refusal)
        ledgers.note(row)
        self.report(row)

    def exists(self, row: str) -> bool:
        """Whether the server knows it."""
        return bool(self._call("GET", f"/{row}")[0] == 200)

    def status(self, row: str) -> str:
        """How it stands."""
        return str(self._call("GET", f"/{row}")[1].get("status", "GONE"))

    def events(self, row: str) -> list[dict[str, Any]]:
        """Its log."""
        items: list[dict[str, Any]] = self._call("GET", f"/{row}/events")[1]["items"]
        return items

    def waiting(self) -> list[str]:
        """What people have to confirm."""
        lines = self.manage("reconcile", "--list").stdout.splitlines()
        return [line.split("\t")[0] for line in lines]

    def _call(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        request = Request(f"http://127.0.0.1:{self._port}/api/v1/workflows{path}", method=method)
        request.add_header("Authorization", f"Bearer {token or self._key}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        for wait in (0.1, 0.3, 1.0, 3.0, 0.0):
            try:
                with urlopen(request, timeout=60) as response:  # noqa: S310  # loopback
                    return response.status, json.loads(response.read())
            except HTTPError as error:
                with error:
                    answer = json.loads(error.read())
                if error.code < 500 or not wait:
                    return error.code, answer
                time.sleep(wait)  # tables are being exchanged at this moment
        raise AssertionError("the last try returns")


def _require(is_so: bool, answer: object) -> None:
    if not is_so:
        raise SystemExit(f"drill: the server answered {answer}")


def _run(
    command: list[str], variables: dict[str, str], *, check: bool
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        command, cwd=HOME, env=variables, capture_output=True, text=True, timeout=900, check=False
    )
    if check and done.returncode:
        raise SystemExit(f"drill: {command[:3]} ended with {done.returncode}:\n{done.stderr}")
    return done


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
