"""`Idempotency-Key`: one creation per key, and the same answer to every repetition of it.

After the IETF draft "The Idempotency-Key HTTP Header Field" (-07). The row is written in the
transaction of the work itself, so that the two live or die together; whoever comes second waits on
the unique index. What validation refuses is not stored: the mended request may use the same key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction

from hitl.accounts.models import Agent
from hitl.lib import canonical
from hitl.lib.errors import Conflict, HitlError, InvalidInput
from workflows.models import IdempotencyKey

WAIT_MILLISECONDS = 2000
LONGEST = 255
# A structured-field string (RFC 9651, 3.3.3), or, as most clients send it, the bare characters.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-+\--\[\]-~]+")  # visible ASCII without quote, comma, backslash
_LOCK_NOT_AVAILABLE = "55P03"


class KeyReused(HitlError):
    """The key came with another body before."""

    code = "key-reused"
    status = 422
    title = "The Idempotency-Key was used for something else"


class InProgress(Conflict):
    """The first request with this key has not finished."""

    code = "request-in-progress"
    title = "The same request is still being worked on"


@dataclass(frozen=True)
class Answer:
    """What the first request was told, and what its repetitions are told."""

    status: int
    body: Any
    workflow_id: UUID | None = None
    replayed: bool = False


def parse(header: str) -> str:
    """The key in a header's value. Raises InvalidInput for anything malformed."""
    text = header.strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or not 0 < len(key) <= LONGEST:
        raise InvalidInput(
            f"Idempotency-Key must be 1 to {LONGEST} visible ASCII characters, in double quotes "
            "or without quotes, commas, blanks and backslashes. A UUID is a good key."
        )
    return key


def run(agent: Agent, route: str, key: str, request: Any, work: Callable[[], Answer]) -> Answer:
    """Do `work` once for this key, or give the stored answer.

    `request` is the parsed body: another body under the same key raises KeyReused. InProgress is
    raised when the first one has not finished after two seconds. Errors of `work` store nothing.
    """
    fingerprint = canonical.fingerprint(request)
    scope = {"agent": agent, "route": route, "key": key}
    return _stored(scope, fingerprint) or _first(scope, fingerprint, work)


def _first(scope: dict[str, Any], fingerprint: str, work: Callable[[], Answer]) -> Answer:
    try:
        with transaction.atomic(durable=True):
            row = _claim(scope, fingerprint)
            answer = work()
            # Given back as it will be given again: sorted, as canonical JSON is.
            body = canonical.loads(canonical.dumps(answer.body))
            row.workflow_id, row.response_status = answer.workflow_id, answer.status
            row.response_body = body
            row.save(update_fields=["workflow", "response_status", "response_body"])
            return Answer(answer.status, body, answer.workflow_id)
    except _Taken:
        # Whoever held the index entry has committed, so the answer is there.
        stored = _stored(scope, fingerprint)
        if stored is None:
            raise _in_progress() from None
        return stored


class _Taken(Exception):
    """Somebody else has used the key in the meantime."""


def _claim(scope: dict[str, Any], fingerprint: str) -> IdempotencyKey:
    """Insert the row; PostgreSQL lets us wait here for one who is doing the same."""
    _limit_waiting()
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(**scope, fingerprint=fingerprint)
    except IntegrityError:
        raise _Taken from None
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == _LOCK_NOT_AVAILABLE:
            raise _in_progress() from None
        raise


def _limit_waiting() -> None:
    """Until the end of the transaction. SQLite lets one writer in at a time, before `_claim`."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {WAIT_MILLISECONDS}")


def _stored(scope: dict[str, Any], fingerprint: str) -> Answer | None:
    row = IdempotencyKey.objects.filter(**scope).first()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise KeyReused("This Idempotency-Key belongs to a request with another body.")
    return Answer(row.response_status or 0, row.response_body, row.workflow_id, replayed=True)


def _in_progress() -> InProgress:
    return InProgress(
        "A request with this Idempotency-Key is being worked on: send it again in a moment."
    )
