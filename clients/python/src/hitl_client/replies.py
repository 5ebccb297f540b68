"""From HTTP answers to values or exceptions, and which of those are worth another try. Pure."""

from __future__ import annotations

import email.utils
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from hitl_client.errors import (
    HitlError,
    KeyInUse,
    ServerError,
    UnexpectedAnswer,
    Unreachable,
    from_problem,
)
from hitl_client.operations import Operation

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
# A server that wants us to stay away for longer than this is not waited for.
LONGEST_RETRY_AFTER = 60.0
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_SAID = 200  # characters of an unexpected answer that are quoted


@dataclass(frozen=True)
class Reply:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def retry_after(self) -> float | None:
        """Seconds until another try is welcome (RFC 9110, 10.2.3); None where nothing is said."""
        said = self.headers.get("retry-after", "").strip()
        if said.isascii() and said.isdigit():
            return float(said[:9])
        when = _http_date(said)
        return max(0.0, (when - self.date).total_seconds()) if when else None

    @property
    def date(self) -> datetime:
        """The server's clock, as far as it told it: ours may be wrong."""
        return _http_date(self.headers.get("date", "")) or datetime.now(timezone.utc)


def read(operation: Operation, reply: Reply) -> Any:
    """The model that the answer stands for, or its bytes.

    Raises ServerError for what the server refused, UnexpectedAnswer for what it cannot have said.
    """
    if reply.status >= 400:
        raise _refusal(reply)
    if not 200 <= reply.status < 300:
        raise _elsewhere(reply)
    value = _json(reply)
    if operation.answer is None:
        return reply.body
    try:
        return operation.answer.parse(value)
    except UnexpectedAnswer as error:
        error.status = reply.status
        raise


def is_transient(error: HitlError) -> bool:
    """Whether the same request may well be answered if it is sent again."""
    if isinstance(error, ServerError):
        return error.status in TRANSIENT or isinstance(error, KeyInUse)
    if isinstance(error, UnexpectedAnswer):
        return 200 <= error.status < 300
    return isinstance(error, Unreachable)


def pause(failures: int, error: HitlError | None = None) -> float:
    """Seconds before the next try, after so many failures in a row: doubling, half of it random.

    Never less than the server asked for.
    """
    longest = min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)
    asked = (error.retry_after or 0.0) if isinstance(error, ServerError) else 0.0
    return max(asked, random.uniform(longest / 2, longest))  # noqa: S311  # guards nothing


def _refusal(reply: Reply) -> ServerError:
    try:
        problem = json.loads(reply.body)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        problem = {"detail": f"The answer was {reply.status}, and not from hitl: {_quoted(reply)}"}
    return from_problem(problem, status=reply.status, retry_after=reply.retry_after)


def _elsewhere(reply: Reply) -> UnexpectedAnswer:
    where = reply.headers.get("location", "")
    hint = f" to {where}; give that address as base_url" if where else ""
    return UnexpectedAnswer(f"The answer was {reply.status}{hint}.", status=reply.status)


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        is_theirs = "json" in reply.headers.get("content-type", "")
        # What is cut off in the middle is not quoted: it holds people's data.
        said = f"{len(reply.body)} bytes, cut off" if is_theirs else _quoted(reply)
        message = f"The answer is no JSON: {said}"
        raise UnexpectedAnswer(message, status=reply.status) from None


def _quoted(reply: Reply) -> str:
    text = " ".join(reply.body[: 4 * _SAID].decode("utf-8", "replace").split())
    return repr(text[:_SAID]) if text else "nothing"


def _http_date(text: str) -> datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
