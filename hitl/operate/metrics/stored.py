"""What the rows say at the moment of being asked: the same on every process, true after a restart.

Every question uses an index and has an end: counts stop at LIMIT, lists of the last hour go by key.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import Error
from django.db.models import Count, QuerySet, Sum
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from deliveries.models import Delivery
from events.models import Checkpoint, WebhookEndpoint, WebhookMessage
from events.webhooks.selectors import BY_ITSELF
from hitl.accounts.models import Team
from hitl.lib import db
from hitl.lib.models import uuid7_floor
from hitl.operate import obligations, queues, readiness
from hitl.operate.bounded import Bounded, own_connection
from hitl.operate.metrics import tasks
from hitl.operate.readiness import Overall, Standing
from workflows.models import RequestCount, Status, Workflow
from workflows.statistics import spread

LIMIT = 10_000
RECENT = dt.timedelta(hours=1)
DECISION_DAYS = 7


class Families(Collector):
    """Metrics that have been worked out already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def registry() -> CollectorRegistry:
    """Everything now. A database that hangs leaves out what only it knows."""
    found = CollectorRegistry()
    found.register(Families([*_checks(), *_queues(), *(_stored.ask() or ())]))
    return found


def forget() -> None:
    """Ask anew the next time."""
    _stored.forget()


# --- What /readyz says, and the queues ------------------------------------------------------------


def _checks() -> Iterator[Metric]:
    report = readiness.report()
    ready = report.overall != Overall.FAILED
    yield GaugeMetricFamily("hitl_ready", "Whether people can decide here.", value=int(ready))
    okay = _gauge("hitl_check_ok", "A check of /readyz; none where it is unknown.", "check")
    ages = _gauge("hitl_check_age_seconds", "The age that a check of /readyz tells.", "check")
    for check in report.checks:
        if check.standing != Standing.UNKNOWN:
            okay.add_metric([check.name], int(check.standing == Standing.OK))
        if check.seconds is not None:
            ages.add_metric([check.name], check.seconds)
    yield from (okay, ages)


def _queues() -> Iterator[Metric]:
    family = _gauge("hitl_queue_messages", "Messages that no worker has taken yet.", "queue")
    for name, depth in queues.depths().items():
        family.add_metric([name], depth)
    yield family


# --- What the database says -----------------------------------------------------------------------


def _ask() -> list[Metric] | None:
    try:
        with own_connection():
            return list(families(db.database_now()))
    except Error:
        return None  # `hitl_check_ok` says so


_stored = Bounded(_ask)


def families(now: dt.datetime) -> Iterator[Metric]:
    """All that is read from rows."""
    yield from _counted(now)
    yield from _recent(now)
    yield _checkpoint(now)
    yield _decisions(now)
    yield from _tasks(now)


def _counted(now: dt.datetime) -> Iterator[Metric]:
    late = now - obligations.PATIENCE
    asked = [
        (kind.name, state, kind.overdue(moment, now))
        for kind in obligations.KINDS
        for state, moment in (("due", now), ("late", late))
    ]
    pending = Workflow.objects.filter(status=Status.PENDING)
    off = WebhookEndpoint.objects.filter(disabled_reason__in=BY_ITSELF)
    *counts, waiting, disabled = db.counts(LIMIT, *(rows for *_, rows in asked), pending, off)
    says = f"What should have been done by now, and for a minute (late); counted to {LIMIT}."
    family = _gauge("hitl_obligations", says, "kind", "state")
    for (kind_name, state, _), count in zip(asked, counts, strict=True):
        family.add_metric([kind_name, state], count)
    yield family
    says = f"Requests that wait for people; counted to {LIMIT}."
    yield GaugeMetricFamily("hitl_requests_pending", says, value=waiting)
    says = "Endpoints of webhooks that were switched off because they failed."
    yield GaugeMetricFamily("hitl_webhook_endpoints_off", says, value=disabled)


def _recent(now: dt.datetime) -> Iterator[Metric]:
    asked: tuple[tuple[str, str, QuerySet[Any], tuple[str, ...]], ...] = (
        ("hitl_requests_recent", "Requests", Workflow.objects.all(), ("status",)),
        ("hitl_deliveries_recent", "Messages", Delivery.objects.all(), ("channel", "status")),
        ("hitl_webhooks_recent", "Webhooks", WebhookMessage.objects.all(), ("status",)),
    )
    since = uuid7_floor(now - RECENT)
    for name, what, rows, labels in asked:
        family = _gauge(name, f"{what} made in the last hour, by how they stand now.", *labels)
        recent = rows.filter(pk__gte=since).order_by().values_list(*labels)
        for *values, count in recent.annotate(count=Count("pk")):
            family.add_metric([str(value) for value in values], count)
        yield family


def _checkpoint(now: dt.datetime) -> Metric:
    says = "How long ago the log was signed last; none before the first time."
    family = _gauge("hitl_checkpoint_age_seconds", says)
    newest = Checkpoint.objects.order_by("-number").values_list("made_at", flat=True).first()
    if newest:
        family.add_metric([], max((now - newest).total_seconds(), 0.0))
    return family


def _decisions(now: dt.datetime) -> Metric:
    """From the days as they were counted for the statistics, half a minute ago or so."""
    first = now.date() - dt.timedelta(days=DECISION_DAYS - 1)
    teams = Team.objects.order_by().values("pk")  # the index goes by team
    columns = [*spread.columns("verdict"), "verdict_seconds"]
    rows = RequestCount.objects.filter(team__in=teams, day__gte=first).order_by()
    sums = rows.aggregate(**{f"all_{name}": Sum(name, default=0) for name in columns})
    passed, buckets = 0, []
    bounds = [*map(str, spread.BOUNDS), "+Inf"]
    for bound, name in zip(bounds, spread.columns("verdict"), strict=True):
        passed += sums[f"all_{name}"]
        buckets.append((bound, float(passed)))
    says = f"Time to the verdict, of requests made in the last {DECISION_DAYS} days: not a counter."
    family = HistogramMetricFamily("hitl_decision_seconds", says)
    family.add_metric([], buckets, float(sums["all_verdict_seconds"]))
    return family


def _tasks(now: dt.datetime) -> Iterator[Metric]:
    runs = CounterMetricFamily("hitl_task_runs", "Tasks run.", labels=["task", "outcome"])
    seconds = CounterMetricFamily("hitl_task_seconds", "Time they took.", labels=["task"])
    ages = _gauge("hitl_task_age_seconds", "Since runs of the task were last counted.", "task")
    for row in tasks.rows():
        runs.add_metric([row.task, "ok"], row.runs - row.failures)
        runs.add_metric([row.task, "failed"], row.failures)
        seconds.add_metric([row.task], row.seconds)
        ages.add_metric([row.task], max((now - row.at).total_seconds(), 0.0))
    yield from (runs, seconds, ages)


def _gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, labels=labels)
