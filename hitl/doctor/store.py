"""What the server stands on: database, migrations, Redis, workers, and one idea of the time."""

import datetime as dt
import secrets
import shutil
import time

from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from hitl.doctor.findings import FAIL, OK, WARN, Finding
from hitl.lib.db import database_now

DATABASE, MIGRATIONS, BROKER, CACHE, WORKERS, CLOCK = (
    "database", "migrations", "broker", "cache", "workers", "clock",
)  # fmt: skip
STANDS = "Nothing is lost, but nothing is sent and no deadline takes effect until this is mended."
UNCACHED = "Open pages do not update, and codes and limits cannot be kept."
FREE_BYTES = 500 * 1024 * 1024
BROKER_SECONDS, WORKER_SECONDS = 3, 2.0
# Deadlines are judged by the database's clock; signatures of Slack's are good for five minutes.
SKEW_NOTED, SKEW_BAD = dt.timedelta(seconds=5), dt.timedelta(seconds=60)


def look() -> list[Finding]:
    """Database and Redis, or what stands in for them."""
    found = _database()
    if settings.REDIS_URL:
        return [*found, *_cache(), *_broker()]
    return [*found, Finding(BROKER, OK, "Queue messages live within the server's process.")]


def _database() -> list[Finding]:
    file = settings.DATABASES["default"]["NAME"]
    if settings.EMBEDDED and connection.vendor == "sqlite" and not _exists():
        says = f"There is no database in {settings.DATA_DIR} yet."
        return [Finding(DATABASE, FAIL, says, "Nothing has been set up.", "Run manage.py up.")]
    started = time.monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        says = f"The database does not answer: {_first_line(error)}"
        remedy = "Look whether it runs, and check DATABASE_URL."
        return [Finding(DATABASE, FAIL, says, "Nothing works without it.", remedy)]
    took = (time.monotonic() - started) * 1000
    what = f"SQLite in {file}" if settings.EMBEDDED else connection.vendor
    return [Finding(DATABASE, OK, f"{what} answers in {took:.1f} ms."), *_space()]


def _exists() -> bool:
    """Whether there is a file: connecting would make an empty one."""
    name = str(connection.settings_dict["NAME"])
    return ":memory:" in name or "mode=memory" in name or settings.DATA_DIR.joinpath(name).exists()


def _space() -> list[Finding]:
    if not settings.EMBEDDED or not settings.DATA_DIR.exists():
        return []
    free = shutil.disk_usage(settings.DATA_DIR).free
    if free >= FREE_BYTES:
        return []
    says = f"Only {free // 1024**2} MB are free in {settings.DATA_DIR}."
    return [Finding(DATABASE, WARN, says, "A full disk stores no answer.", "Make room.")]


def migrations() -> list[Finding]:
    """Whether the tables are those of this release."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return [Finding(MIGRATIONS, OK, "Every migration is applied.")]
    names = ", ".join(str(migration) for migration, _ in plan[:3])
    says = f"{len(plan)} not applied: {names}{' …' if len(plan) > 3 else ''}"
    why = "The code expects other tables than there are."
    remedy = "Start manage.py up again." if settings.EMBEDDED else "Run manage.py migrate."
    return [Finding(MIGRATIONS, FAIL, says, why, remedy)]


def _cache() -> list[Finding]:
    token = secrets.token_hex(8)
    try:
        cache.set("doctor", token, 10)
        answers = cache.get("doctor") == token
    except Exception as error:  # the client's own errors, whichever client it is
        return [_redis(CACHE, f"Redis does not answer: {_first_line(error)}", UNCACHED)]
    if not answers:
        return [_redis(CACHE, "Redis does not give back what was put in.", UNCACHED)]
    return [Finding(CACHE, OK, "Redis keeps what is put in.")]


def _broker() -> list[Finding]:
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except Exception as error:  # the transport's own errors
        return [_redis(BROKER, f"The queue cannot be reached: {_first_line(error)}", STANDS)]
    return [Finding(BROKER, OK, "The queue takes messages."), *_workers()]


def _redis(topic: str, says: str, why: str) -> Finding:
    return Finding(topic, FAIL, says, why, "Look whether it runs, and check REDIS_URL.")


def _workers() -> list[Finding]:
    answers = current_app.control.inspect(timeout=WORKER_SECONDS).active_queues() or {}
    if not answers:
        return [Finding(WORKERS, FAIL, "No worker answered.", STANDS, "Start manage.py worker.")]
    count = len(answers)
    found = [Finding(WORKERS, OK, f"{count} worker{'s' if count > 1 else ''} answered.")]
    taken = {queue["name"] for queues in answers.values() for queue in queues}
    if left := [name for name in settings.QUEUES if name not in taken]:
        says = f"No worker that answered takes {', '.join(left)}."
        remedy = f"Start manage.py worker --queues {','.join(left)}."
        found.append(Finding(WORKERS, FAIL, says, STANDS, remedy))
    return found


def clock() -> list[Finding]:
    """Whether this machine and the database agree about the time."""
    if connection.vendor != "postgresql":
        return [Finding(CLOCK, OK, "The database runs by this machine's clock.")]
    before = timezone.now()
    there = database_now()
    after = timezone.now()
    return [compare(there, before + (after - before) / 2, "the database")]


def compare(there: dt.datetime, here: dt.datetime, whose: str) -> Finding:
    """What the difference between two clocks means."""
    apart = here - there
    if abs(apart) <= SKEW_NOTED:
        return Finding(CLOCK, OK, f"This machine and {whose} agree about the time.")
    way = "ahead of" if apart > dt.timedelta() else "behind"
    says = f"This machine is {abs(apart).total_seconds():.0f} seconds {way} {whose}."
    level = FAIL if abs(apart) > SKEW_BAD else WARN
    why = "Signatures that look old are refused, and deadlines seem to come early or late."
    return Finding(CLOCK, level, says, why, "Let NTP set the clock, here and there.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
