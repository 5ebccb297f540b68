"""`/readyz`: what it says of healthy, failing and hanging stores, to whom, and how quickly."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from deliveries.models import Delivery
from hitl.accounts.models import Agent, User
from hitl.operate import obligations, pulses, readiness, tasks
from hitl.operate.bounded import SECONDS, Bounded
from hitl.operate.models import Pulse
from tests.operate.stores import (
    new_connections_go_to,
    paused,
    place_of,
    postmaster,
    private_postgres,
    private_redis,
    redis_process,
)
from tests.workflows.factories import make_executing, make_overdue, make_workflow
from workflows.models import ExecutionAttempt

pytestmark = pytest.mark.django_db
# The answer is worked out in a thread of its own, which sees what is committed only.
committed = pytest.mark.django_db(transaction=True)
# Over the limit there may be what the answer itself takes on a busy machine.
NEWEST = MigrationLoader(None).graph.leaf_nodes("operate")[0][1]
AT_MOST = SECONDS + 1.5


@pytest.fixture(autouse=True)
def _anew(settings: Settings) -> Iterator[None]:
    settings.REDIS_URL = ""
    readiness.forget()
    yield
    readiness.forget()


@pytest.fixture
def _alive() -> None:
    for name in pulses.expected():
        pulses.note(name)


def ask(query: str = "") -> tuple[int, str, dict[str, str]]:
    """Status code, overall, and how each check stands."""
    readiness.forget()
    answer = Client().get(f"/readyz{query}")
    told = answer.json()
    checks = {each["check"]: each["status"] for each in told["checks"]}
    return answer.status_code, told["status"], checks


def look() -> tuple[str, dict[str, str]]:
    """The same of what is not committed: overall, and how each check stands."""
    checks = readiness.look()
    overall = readiness.Report(tuple(checks)).overall
    return str(overall), {each.name: str(each.standing) for each in checks}


def failed(checks: dict[str, str]) -> set[str]:
    return {name for name, standing in checks.items() if standing == "failed"}


@committed
@pytest.mark.usefixtures("_alive")
def test_a_healthy_server_is_ready() -> None:
    status, overall, checks = ask()
    assert (status, overall) == (200, "ok"), checks
    assert list(checks)[:4] == ["database", "migrations", "beat", "worker deliveries"]
    assert set(checks.values()) == {"ok"}
    assert ask("?strict")[0] == 200


@committed
@pytest.mark.usefixtures("_alive")
def test_each_check_has_a_line_and_nothing_is_kept_by_caches() -> None:
    answer = Client().get("/readyz")
    lines = [line.strip().rstrip(",") for line in answer.content.decode().splitlines()]
    checks = [json.loads(line) for line in lines if line.startswith('{"check"')]
    assert checks == answer.json()["checks"]
    assert "no-store" in answer["Cache-Control"]
    assert Client().head("/readyz").status_code == 200
    assert Client().post("/readyz").status_code == 405


# --- The watchdog's part --------------------------------------------------------------------------


@committed
def test_who_never_was_there_is_missed() -> None:
    status, overall, checks = ask()
    assert (status, overall) == (200, "degraded")
    assert failed(checks) == {"beat"}
    assert checks["worker sweeps"] == "unknown"
    assert ask("?strict")[0] == 503


@pytest.mark.parametrize(
    ("beat", "worker", "wanted"),
    [
        (30, 30, ("ok", "ok")),
        (5, 40, ("ok", "failed")),
        (40, 45, ("failed", "unknown")),
        (40, 30, ("failed", "ok")),
        (40, 600, ("failed", "failed")),
    ],
)
def test_beat_and_worker_are_told_apart(beat: int, worker: int, wanted: tuple[str, str]) -> None:
    now = timezone.now()
    for name in pulses.expected():
        age = beat if name == "beat" else worker
        Pulse.objects.create(name=name, at=now - dt.timedelta(seconds=age))
    overall, checks = look()
    assert (checks["beat"], checks["worker actions"]) == wanted
    assert overall == ("ok" if set(wanted) == {"ok"} else "degraded")


def test_a_later_sign_of_life_replaces_the_earlier() -> None:
    for name in pulses.expected():
        Pulse.objects.create(name=name, at=timezone.now() - dt.timedelta(hours=1))
    tasks.pulse.run("worker sweeps")
    signs = pulses.signs(timezone.now())
    young = [sign.name for sign in signs if sign.age is not None and sign.age < 60]
    assert young == ["worker sweeps"]


# --- Obligations ----------------------------------------------------------------------------------


@committed
@pytest.mark.usefixtures("_alive")
def test_what_is_late_is_told_with_its_age_and_nothing_else(
    settings: Settings, agent: Agent, approver: User
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    long_ago = timezone.now() - dt.timedelta(minutes=3)
    make_overdue(agent)
    make_executing(agent, approver)
    Delivery.objects.update(status="pending", next_retry_at=long_ago, update_due_at=long_ago)
    ExecutionAttempt.objects.update(lease_until=long_ago)
    _, overall, checks = ask()
    assert overall == "degraded"
    late = {"overdue requests", "overdue deliveries", "overdue updates", "overdue attempts"}
    assert failed(checks) == late | {"channel email"}
    body = Client().get("/readyz").content.decode()
    ages = {each["check"]: each.get("seconds") for each in json.loads(body)["checks"]}
    assert 180 <= ages["overdue deliveries"] < 240
    assert ages["overdue webhooks"] == 0
    for hidden in ("Refund", "A-1009", approver.email, agent.team.name):
        assert hidden not in body


@pytest.mark.usefixtures("_alive")
def test_what_is_just_due_is_not_late(agent: Agent) -> None:
    make_workflow(agent)
    Delivery.objects.update(next_retry_at=timezone.now() - dt.timedelta(seconds=20))
    assert failed(look()[1]) == set()


@pytest.mark.postgres
def test_every_age_is_found_by_an_index(agent: Agent) -> None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            for kind in obligations.KINDS:
                rows = kind.overdue(now, now).order_by(kind.due).values_list(kind.due)[:1]
                assert "Seq Scan" not in rows.explain(), kind.name
        finally:
            cursor.execute("SET enable_seqscan = on")


# --- Stores that fail -----------------------------------------------------------------------------


@pytest.mark.usefixtures("_alive")
def test_a_database_from_before_this_release_is_not_ready() -> None:
    MigrationRecorder(connection).record_unapplied("operate", NEWEST)
    overall, checks = look()
    assert overall == "failed"
    assert failed(checks) == {"migrations"}
    assert checks["worker sweeps"] == "unknown"


@committed
def test_a_database_that_cannot_be_opened_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_connections_go_to(monkeypatch, NAME="/nowhere/at/all", HOST="127.0.0.1", PORT=9):
        status, overall, checks = ask()
    assert (status, overall) == (503, "failed")
    assert failed(checks) == {"database"}
    assert set(checks) > {"migrations", "beat", "worker sweeps", "overdue requests"}
    assert ask()[2]["database"] == "ok"


@committed
@pytest.mark.postgres
def test_a_database_that_hangs_does_not_hang_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with private_postgres() as url, new_connections_go_to(monkeypatch, **place_of(url)):
        assert failed(ask()[2]) == {"migrations"}  # it answers, and is empty
        with paused(postmaster(url)):
            began = time.monotonic()
            status, _, checks = ask()
            assert time.monotonic() - began < AT_MOST
            assert (status, failed(checks)) == (503, {"database"})
        assert ask()[2]["database"] == "ok"
    status, _, checks = ask()  # and now it is back at the tests' own
    assert checks["database"] == "ok"


@committed
@pytest.mark.postgres
def test_a_database_that_was_stopped_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with private_postgres() as url:
        place = place_of(url)
    with new_connections_go_to(monkeypatch, **place):
        began = time.monotonic()
        assert ask()[0] == 503
        assert time.monotonic() - began < 1.5


@committed
@pytest.mark.postgres
@pytest.mark.usefixtures("_alive")
def test_redis_that_hangs_or_is_gone_is_told_and_keeps_nobody_from_deciding(
    settings: Settings,
) -> None:
    with private_redis() as url:
        settings.REDIS_URL = url
        assert ask()[:2] == (200, "ok")
        with paused(redis_process(url)):
            began = time.monotonic()
            status, overall, checks = ask()
            assert time.monotonic() - began < AT_MOST
            assert (status, overall, failed(checks)) == (200, "degraded", {"redis"})
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        assert ask()[2]["redis"] == "ok"
    status, overall, checks = ask()
    assert (status, overall, failed(checks)) == (200, "degraded", {"redis"})
    assert ask("?strict")[0] == 503


# --- Many who ask ---------------------------------------------------------------------------------


def test_many_who_ask_share_one_answer_and_one_thread_hangs() -> None:
    runs: list[float] = []

    def hang() -> bool:
        runs.append(time.monotonic())
        time.sleep(1.5)
        return True

    asked = Bounded(hang, seconds=0.2)
    began = time.monotonic()
    answers = [asked.ask() for _ in range(50)]
    took = time.monotonic() - began
    assert answers == [None] * 50
    assert len(runs) == 1
    assert took < 1
    time.sleep(1.6)
    assert asked.ask() is None  # the second run hangs as well
    assert len(runs) == 2


def test_a_young_answer_is_given_again() -> None:
    answers: Any = iter(range(9))
    asked = Bounded(lambda: next(answers))
    assert [asked.ask(), asked.ask(), asked.ask()] == [0, 0, 0]
    asked.forget()
    assert asked.ask() == 1


@committed
def test_no_connection_stays_open() -> None:
    ask()
    before = connections["default"]
    assert ask()[2]["database"] == "ok"
    assert connections["default"] is before
