"""What is sent and waited for, without doing it: generators that `Client` and `AsyncClient` drive.

A generator yields a `Request` and is given its `Reply` (or `Unreachable` is thrown in), or yields a
`Pause` and is given nothing. So retries, waiting and checks exist once for both.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from hitl_client import replies
from hitl_client.errors import HitlError, ServerError
from hitl_client.operations import Operation, Request
from hitl_client.replies import Reply

logger = logging.getLogger("hitl_client")

T = TypeVar("T")


@dataclass(frozen=True)
class Pause:
    """So many seconds are to pass."""

    seconds: float


Steps = Generator[Request | Pause, Any, T]


class Sender:
    """One server and one agent's key, with how long to try. Keeps nothing else."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 5,
        patience: float = 300.0,
    ) -> None:
        self.base_url = _address(base_url or os.environ.get("HITL_URL", ""))
        self._key = _key(api_key or os.environ.get("HITL_API_KEY", ""))
        self.timeout = timeout
        self.retries = retries
        self.patience = patience

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        return {
            "Authorization": f"Bearer {self._key}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "hitl-client/0.1 (python)",
        }

    def call(self, operation: Operation, *ids: str, **options: Any) -> Steps[Any]:
        """What the operation answers, after as many tries as it takes."""
        value, _ = yield from self.answered(operation, *ids, **options)
        return value

    def answered(
        self, operation: Operation, *ids: str, patience: float | None = None, **options: Any
    ) -> Steps[tuple[Any, Reply]]:
        """Every operation here may be repeated: its doubles are known by key, number or content.

        Tries again `retries` times, or for `patience` seconds where that is given.
        """
        failures, began = 0, time.monotonic()
        while True:
            try:
                return (yield from self.once(operation, *ids, **options))
            except HitlError as error:
                failures += 1
                pause = replies.pause(failures, error)
                left = None if patience is None else began + patience - time.monotonic()
                if not self._goes_on(error, failures, pause, left):
                    raise
                logger.warning("%s; asking again in %.1f s", _line(error), pause)
            yield Pause(pause)

    def _goes_on(self, error: HitlError, failures: int, pause: float, left: float | None) -> bool:
        asked = error.retry_after if isinstance(error, ServerError) else None
        if not replies.is_transient(error) or (asked or 0) > replies.LONGEST_RETRY_AFTER:
            return False
        return failures <= self.retries if left is None else pause < left

    def once(
        self, operation: Operation, *ids: str, hold: float = 0.0, **parts: Any
    ) -> Steps[tuple[Any, Reply]]:
        """One try; `hold` is how long the server may hold the answer back."""
        request = replace(operation.request(*ids, **parts), seconds=self.timeout + hold)
        reply: Reply = yield request
        return replies.read(operation, reply), reply


def _address(base_url: str) -> str:
    parts = urlsplit(base_url)
    more = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or more:
        raise ValueError(
            "base_url is no server's address, like https://hitl.example.com: pass it, or set "
            "HITL_URL"
        )
    return base_url.rstrip("/")


def _key(api_key: str) -> str:
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("api_key is empty or no key: pass it, or set HITL_API_KEY")
    return api_key


def _line(error: HitlError) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
