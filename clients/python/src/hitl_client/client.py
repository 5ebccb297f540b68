"""The synchronous client, on nothing but the standard library. Threads may share one."""

from __future__ import annotations

import functools
import http.client
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from hitl_client import receipts
from hitl_client.core import Core, new_executor
from hitl_client.errors import Unreachable
from hitl_client.execution import Execution, begin, finish, keep_alive
from hitl_client.feed import LATEST, Follower
from hitl_client.models import FeedEvent, Workflow
from hitl_client.operations import Request
from hitl_client.replies import Reply
from hitl_client.sending import Pause, Steps
from hitl_client.vocabulary import EventType

P = ParamSpec("P")
T = TypeVar("T")

CHUNK, MAX_BYTES = 64 * 1024, 64 * 1024 * 1024


def _blocking(
    method: Callable[Concatenate[Core, P], Steps[T]],
) -> Callable[Concatenate[Client, P], T]:
    """The method of the same name that does what the generator says, and blocks meanwhile."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(method(self.core, *args, **kwargs))

    return call


class Client:
    """A hitl server and an agent's key; by default those of HITL_URL and HITL_API_KEY.

    `timeout` is how many seconds one answer may take, `retries` how often a call is repeated when
    no good answer comes, `patience` how many seconds a wait or a report bears a silent server.
    Every repetition is safe: the server knows doubles by their key, number or content.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 5,
        patience: float = 300.0,
    ) -> None:
        self.core = Core(base_url, api_key, timeout=timeout, retries=retries, patience=patience)
        self._opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
        )

    def __repr__(self) -> str:
        return f"Client({self.core.base_url!r})"

    ask = _blocking(Core.ask)
    get = _blocking(Core.get)
    wait = _blocking(Core.wait)
    cancel = _blocking(Core.cancel)
    events = _blocking(Core.events)
    remarks = _blocking(Core.remarks)
    questions = _blocking(Core.questions)
    answer = _blocking(Core.answer)
    approved_data = _blocking(Core.approved_data)
    start = _blocking(Core.start)
    heartbeat = _blocking(Core.heartbeat)
    complete = _blocking(Core.complete)
    fail = _blocking(Core.fail)
    receipt = _blocking(receipts.issue)
    verify_receipt = _blocking(receipts.verify)
    consume_receipt = _blocking(receipts.consume)

    def follow(
        self,
        *,
        after: str | None = LATEST,
        types: Sequence[EventType | str] = (),
        workflow: Workflow | str | None = None,
    ) -> Iterator[FeedEvent]:
        """The events of all of the team's requests, as they happen, for ever: each once.

        Keep `event.cursor` when you are done with an event, and begin behind it the next time:
        `follow(after=cursor)`. None begins with the very first, "latest" with news only. `types`
        and `workflow` leave others out. Costs one open connection.
        """
        follower = Follower(self.core, after=after, types=types, workflow=workflow)
        while True:
            yield from self.run(follower.more())

    @contextmanager
    def execution(
        self, workflow: Workflow | str, *, executor: str | None = None
    ) -> Iterator[Execution]:
        """Carry out an approved action: `with client.execution(workflow) as run:`.

        Checks the data, claims the action, sends heartbeats meanwhile, and reports: `run.result`
        where the body ends well, the exception where it raises one, nothing where it raises
        OutcomeUnknown or is interrupted. A process that comes back after a crash under the same
        `executor` takes up its attempt; two at once must never share a name.
        """
        run, seconds = self.run(begin(self.core, workflow, executor or new_executor()))
        over = threading.Event()
        beating = threading.Thread(
            target=self._keep_alive, args=(run, seconds, over), daemon=True, name="hitl heartbeats"
        )
        beating.start()
        try:
            yield run
        except BaseException as error:
            over.set()
            self.run(finish(self.core, run, error))
            raise
        over.set()
        self.run(finish(self.core, run, None))

    def _keep_alive(self, run: Execution, seconds: float, over: threading.Event) -> None:
        steps = keep_alive(self.core, run, seconds)

        def pause(seconds: float) -> None:
            if over.wait(seconds):
                steps.close()

        self.run(steps, pause=pause)

    def run(self, steps: Steps[T], *, pause: Callable[[float], object] = time.sleep) -> T:
        """Do what the generator says, one thing after the other, and return what it returns."""
        try:
            effect = next(steps)
            while True:
                if isinstance(effect, Pause):
                    pause(effect.seconds)
                    effect = next(steps)
                    continue
                try:
                    reply = self._send(effect)
                except Unreachable as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, request: Request) -> Reply:
        """One try. Raises Unreachable; every status is an answer."""
        deadline = time.monotonic() + request.seconds
        wanted = urllib.request.Request(  # noqa: S310  # the scheme is checked
            self.core.base_url + request.path,
            request.body,
            {**self.core.headers, **(request.headers or {})},
            method=request.method,
        )
        try:
            try:
                with self._opener.open(wanted, timeout=request.seconds) as answer:
                    return _read(answer, deadline)
            except urllib.error.HTTPError as error:
                with error:
                    return _read(error, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            text = str(reason) or type(reason).__name__
            raise Unreachable(f"No answer from {self.core.base_url}: {text}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key must not go wherever an answer points to: a redirect is an answer like any other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _read(answer: Any, deadline: float) -> Reply:
    parts, size = [], 0
    while part := answer.read1(CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise ValueError(f"the answer has more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
    declared = answer.headers.get("Content-Length", "")
    if declared.isdigit() and size < int(declared):
        raise http.client.IncompleteRead(b"", int(declared) - size)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status, headers, b"".join(parts))
