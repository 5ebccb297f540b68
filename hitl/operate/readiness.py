"""Whether this server can do its work, check by check, within two seconds whatever hangs.

Tells names, ok or failed, and ages: nothing that a stranger could use, for nobody has to log in.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from redis.backoff import NoBackoff
from redis.retry import Retry

from deliveries import silence
from deliveries.channels import CHANNELS
from hitl.lib.db import database_now
from hitl.operate import obligations, pulses
from hitl.operate.bounded import Bounded, own_connection

REDIS_SECONDS = 1.0


class Standing(StrEnum):
    """How a check ended. Unknown: what it stands on has failed."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Overall(StrEnum):
    """What the checks mean together."""

    OK = "ok"
    # People can decide, and nothing is lost, but something does not happen that should.
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One line. `seconds`: an age, where the check is about one."""

    name: str
    standing: Standing
    seconds: float | None = None


@dataclass(frozen=True)
class Report:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def overall(self) -> Overall:
        bad = {each.name for each in self.checks if each.standing != Standing.OK}
        if bad & {DATABASE, MIGRATIONS}:
            return Overall.FAILED
        return Overall.DEGRADED if bad else Overall.OK


DATABASE, REDIS, MIGRATIONS = "database", "redis", "migrations"


def report() -> Report:
    """What every check says now, or said within the last second."""
    stored = _stored.ask()
    checks = [*stored] if stored else [Check(DATABASE, Standing.FAILED), *_unknown()]
    if settings.REDIS_URL:
        checks.insert(1, Check(REDIS, _standing(_redis.ask() is True)))
    return Report(tuple(checks))


def forget() -> None:
    """Ask anew the next time."""
    _stored.forget()
    _redis.forget()


def _standing(is_well: bool) -> Standing:
    return Standing.OK if is_well else Standing.FAILED


# --- What the database says -----------------------------------------------------------------------


def _ask_database() -> list[Check] | None:
    """None where it does not answer at all."""
    try:
        with own_connection():
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return look()
    except Error:
        return None


def look() -> list[Check]:
    """What the rows say, up to the first question that is not answered; the rest is unknown."""
    found = [Check(DATABASE, Standing.OK)]
    with suppress(Error):  # one that took too long, or tables that are not what they should be
        is_new_enough = are_migrated()
        found.append(Check(MIGRATIONS, _standing(is_new_enough)))
        if is_new_enough:
            found.extend(_working())
    seen = {each.name for each in found}
    return [*found, *(each for each in _unknown() if each.name not in seen)]


def are_migrated() -> bool:
    """Whether every table is at least as new as this release."""
    return _newest() <= set(MigrationRecorder(connection).applied_migrations())


@cache
def _newest() -> frozenset[tuple[str, str]]:
    """The last migration of each app, as they lie on this disk."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes())


def _working() -> Iterator[Check]:
    now = database_now()
    for sign in pulses.signs(now):
        standing = _standing(not sign.is_silent) if sign.is_known else Standing.UNKNOWN
        yield Check(sign.name, standing, sign.age)
    silent = silence.silent(now)
    for name in _channels():
        yield Check(f"channel {name}", _standing(name not in silent), silent.get(name, 0.0))
    limit = obligations.PATIENCE.total_seconds()
    for kind in obligations.KINDS:
        age = kind.oldest(now)
        yield Check(f"overdue {kind.name}", _standing(age <= limit), age)


def _channels() -> list[str]:
    return [name for name, kind in CHANNELS.items() if kind.is_on()]


def _unknown() -> list[Check]:
    """The lines of what cannot be looked at, so that nobody takes their absence for a good sign."""
    names = [MIGRATIONS, *pulses.expected(), *(f"channel {name}" for name in _channels())]
    names += [f"overdue {kind.name}" for kind in obligations.KINDS]
    return [Check(name, Standing.UNKNOWN) for name in dict.fromkeys(names)]


# --- What Redis says ------------------------------------------------------------------------------


def _ask_redis() -> bool:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()


_stored = Bounded(_ask_database)
_redis = Bounded(_ask_redis)
