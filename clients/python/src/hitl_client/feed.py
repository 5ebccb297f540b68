"""The team's events, one after the other: each once, each request's in order, from any cursor."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from hitl_client import core, replies
from hitl_client import operations as ops
from hitl_client.core import Core, id_of
from hitl_client.errors import HitlError
from hitl_client.models import FeedEvent, FeedPage, Workflow
from hitl_client.replies import Reply
from hitl_client.sending import Pause, Steps
from hitl_client.vocabulary import EventType

logger = logging.getLogger("hitl_client")

LATEST = "latest"
EARLY_PAUSE = 1.0


class Follower:
    """Where somebody is in the feed. `cursor` is behind everything that `more` has given."""

    def __init__(
        self,
        client: Core,
        *,
        after: str | None,
        types: Sequence[EventType | str],
        workflow: Workflow | str | None,
    ) -> None:
        self.core = client
        self.cursor = after
        self.filters = {
            "type": [str(each) for each in types] or None,
            "workflowId": None if workflow is None else id_of(workflow),
        }

    def more(self) -> Steps[tuple[FeedEvent, ...]]:
        """The next events; waits until there are some, and bears a server that is being restarted.

        Raises what the server refuses, and Unreachable after `patience` seconds without an answer.
        """
        failures, silent_since = 0, 0.0
        while True:
            began = time.monotonic()
            try:
                page, reply = yield from self._page()
            except HitlError as error:
                now = time.monotonic()
                silent_since = silent_since if failures else now
                failures += 1
                if not replies.is_transient(error) or now - silent_since > self.core.patience:
                    raise
                pause = replies.pause(failures, error)
                logger.warning("The feed is not read; asking again in %.1f s: %s", pause, error)
                yield Pause(pause)
                continue
            failures, self.cursor = 0, page.next
            if page.items:
                return page.items
            if time.monotonic() - began < core.HOLD_SECONDS - 0.5:
                # The server cannot hold an answer back, or is being stopped.
                yield Pause(max(reply.retry_after or 0.0, EARLY_PAUSE))

    def _page(self) -> Steps[tuple[FeedPage, Reply]]:
        hold = core.HOLD_SECONDS
        query = {**self.filters, "after": self.cursor, "wait": hold}
        answer: tuple[FeedPage, Reply] = yield from self.core.once(ops.FEED, query=query, hold=hold)
        return answer
