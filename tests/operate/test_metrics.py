"""`/metrics`: who may read them, that they are true, and that nothing personal is in them."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from deliveries.models import Delivery
from events.models import Checkpoint
from hitl.accounts.models import Agent, User
from hitl.operate import queues, readiness
from hitl.operate.metrics import process, stored, tasks
from hitl.operate.models import TaskCount
from tests.embedded import ROOT
from tests.operate.stores import (
    new_connections_go_to,
    paused,
    place_of,
    postmaster,
    private_postgres,
)
from tests.workflows.factories import decide, make_overdue, make_workflow
from workflows.statistics import sweeping

pytestmark = pytest.mark.django_db
TOKEN = "metrics-token-0123456789"
Values = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _anew(settings: Settings) -> Iterator[None]:
    settings.REDIS_URL = ""
    for each in (readiness, queues, stored):
        each.forget()
    yield
    for each in (readiness, queues, stored):
        each.forget()


def told(name: str) -> Values:
    """The samples of one metric out of the rows, by the values of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in stored.families(timezone.now())
        for sample in family.samples
        if sample.name == name
    }


# --- Who may read them ----------------------------------------------------------------------------


def test_without_a_token_only_an_embedded_servers_own_machine_may_read(settings: Settings) -> None:
    settings.METRICS_TOKEN, settings.EMBEDDED = "", True
    settings.ALLOWED_HOSTS = ["localhost", "approvals.example.com"]
    own: dict[str, Any] = {"HTTP_HOST": "localhost:4000"}
    assert Client().get("/metrics", **own).status_code == 200
    others: tuple[dict[str, Any], ...] = (
        {"HTTP_HOST": "approvals.example.com"},
        own | {"REMOTE_ADDR": "192.0.2.7"},
        own | {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    )
    for other in others:
        assert Client().get("/metrics", **other).status_code == 404, other
    settings.EMBEDDED = False
    assert Client().get("/metrics", **own).status_code == 404


def test_with_a_token_only_who_brings_it_may_read(settings: Settings) -> None:
    settings.METRICS_TOKEN, settings.EMBEDDED = TOKEN, True
    settings.ALLOWED_HOSTS = ["localhost"]
    client = Client(HTTP_HOST="localhost")
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", {"token": TOKEN}).status_code == 404
    for wrong in (TOKEN, f"Bearer {TOKEN}x", "Bearer ", "Bearer é"):
        assert client.get("/metrics", HTTP_AUTHORIZATION=wrong).status_code == 404
    answer = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert "no-store" in answer["Cache-Control"]


def test_a_short_token_stops_the_start() -> None:
    variables = {"PATH": os.environ["PATH"], "METRICS_TOKEN": "short"}
    command = [sys.executable, "-c", "import hitl.settings"]
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "METRICS_TOKEN must have at least 16 characters" in done.stderr


# --- What they say --------------------------------------------------------------------------------


@pytest.fixture
def mailed(settings: Settings, agent: Agent, approver: User) -> Agent:
    """An agent whose requests are mailed."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    return agent


def test_obligations_are_counted_when_due_and_when_late(mailed: Agent, approver: User) -> None:
    make_overdue(mailed, approvers=[approver.email])
    make_workflow(mailed, approvers=[approver.email])
    found = told("hitl_obligations")
    assert found["requests", "due"] == found["requests", "late"] == 1
    assert found["deliveries", "due"] == 2
    assert found["deliveries", "late"] == 0
    assert found["webhooks", "due"] == 0
    assert told("hitl_requests_pending") == {(): 2}


def test_messages_of_the_last_hour_are_told_by_channel_and_outcome(
    mailed: Agent, approver: User
) -> None:
    for _ in range(2):
        make_workflow(mailed, approvers=[approver.email])
    first = Delivery.objects.order_by("pk")[0]
    Delivery.objects.filter(pk=first.pk).update(status="sent", sent_at=timezone.now())
    assert told("hitl_deliveries_recent") == {("email", "pending"): 1, ("email", "sent"): 1}
    assert told("hitl_requests_recent") == {("PENDING",): 2}
    later = timezone.now() + stored.RECENT + dt.timedelta(seconds=1)
    names = {s.name for family in stored.families(later) for s in family.samples}
    assert "hitl_deliveries_recent" not in names


def test_times_to_the_verdict_are_spread_over_buckets(agent: Agent, approver: User) -> None:
    for _ in range(3):
        decide(make_workflow(agent), approver)
    sweeping.sweep()
    buckets = told("hitl_decision_seconds_bucket")
    assert buckets["10",] == buckets["+Inf",] == 3
    assert told("hitl_decision_seconds_count") == {(): 3}


def test_the_age_of_the_newest_checkpoint_is_told(db: None) -> None:
    assert told("hitl_checkpoint_age_seconds") == {}
    made_at = timezone.now() - dt.timedelta(minutes=5)
    Checkpoint.objects.create(number=1, made_at=made_at, totals="", body="")
    assert 299 < told("hitl_checkpoint_age_seconds")[()] < 360


def test_tasks_are_counted_over_all_processes_and_restarts(db: None) -> None:
    one, other = tasks.Sums(), tasks.Sums()
    for run in ("a", "b"):
        one.begin(run)
        one.end(run, "sweep", failed=run == "b")
    one.write()
    other.begin("c")
    other.end("c", "sweep", failed=False)
    other.write()
    other.write()  # nothing new: nothing is added twice
    assert told("hitl_task_runs_total") == {("sweep", "ok"): 2, ("sweep", "failed"): 1}
    assert TaskCount.objects.get().seconds < 60


def test_a_run_whose_beginning_was_not_seen_is_not_counted(db: None) -> None:
    sums = tasks.Sums()
    sums.end("unknown", "sweep", failed=False)
    sums.write()
    assert not TaskCount.objects.exists()


def test_requests_are_counted_by_pattern_and_never_by_path(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = Client()
    client.force_login(approver)
    client.get(f"/workflows/{workflow.pk}/?secret=canary")
    client.get("/nowhere/canary-in-path/")
    client.generic("CANARY", "/ping")
    families = list(process.registry().collect())
    samples = [s for family in families for s in family.samples if s.name.startswith("hitl_http")]
    routes = {(s.labels["method"], s.labels["route"]) for s in samples}
    assert ("GET", "/workflows/<uuid:workflow_id>/") in routes
    assert ("GET", "none") in routes
    assert ("other", "/ping") in routes
    assert "canary" not in str(samples).lower()
    assert str(workflow.pk) not in str(samples)


def test_nothing_personal_and_no_data_is_told(mailed: Agent, approver: User) -> None:
    workflow = make_workflow(mailed, approvers=[approver.email], name="Canary name")
    decide(workflow, approver)
    sweeping.sweep()
    said = str([f.samples for f in stored.families(timezone.now())])
    for hidden in (
        approver.email,
        approver.name,
        "Canary",
        "A-1009",
        mailed.name,
        mailed.team.slug,
    ):
        assert hidden not in said
    assert str(workflow.pk) not in said


@pytest.mark.postgres
def test_every_figure_is_found_by_an_index(mailed: Agent, settings: Settings) -> None:
    """With sequential scans forbidden wherever there is another way, none is left."""
    big = ("workflows_workflow", "deliveries_delivery", "events_webhookmessage")
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
    plans: list[str] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT"):
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                plans.extend(row[0] for row in cursor.fetchall())
        return execute(sql, params, many, context)

    try:
        with connection.execute_wrapper(explained):
            list(stored.families(timezone.now()))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = on")
    assert len(plans) > 10
    assert [line for line in plans if "Seq Scan" in line and any(t in line for t in big)] == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_database_that_hangs_leaves_out_what_it_knows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = TOKEN
    with (
        private_postgres() as url,
        new_connections_go_to(monkeypatch, **place_of(url)),
        paused(postmaster(url)),
    ):
        said = Client().get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").content.decode()
    families = {family.name: family for family in text_string_to_metric_families(said)}
    assert families["hitl_ready"].samples[0].value == 0
    assert "hitl_http_request_seconds" in families
    assert "hitl_obligations" not in families


def test_depths_of_queues_are_told(db: None) -> None:
    current_app.control.purge()
    current_app.send_task("workflows.tasks.sweep_timeouts")
    assert queues.depths() == {"deliveries": 0, "webhooks": 0, "actions": 0, "sweeps": 1}
    current_app.control.purge()


def test_several_processes_count_together_where_a_folder_is_named(tmp_path: Path) -> None:
    code = (
        "import os, sys; from hitl.operate.metrics import process\n"
        "process.REQUESTS.labels('GET', '/ping', '200').inc()\n"
        "found = [s.value for f in process.registry().collect() for s in f.samples"
        " if s.name == 'hitl_http_requests_total']\n"
        "print(found[0])"
    )
    variables = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    said = [
        subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [each.stdout.strip() for each in said] == ["1.0", "2.0"]
