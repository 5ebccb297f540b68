"""The asynchronous client: the same calls as coroutines, on aiohttp (`hitl-client[async]`)."""

from __future__ import annotations

import asyncio
import functools
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

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

if TYPE_CHECKING:
    import aiohttp

P = ParamSpec("P")
T = TypeVar("T")

MAX_BYTES = 64 * 1024 * 1024


def _awaitable(
    method: Callable[Concatenate[Core, P], Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The coroutine of the same name that does what the generator says."""

    @functools.wraps(method)
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(method(self.core, *args, **kwargs))

    return call


class AsyncClient:
    """What Client is, for asyncio: `async with AsyncClient() as client:`, or call `aclose`.

    It belongs to the event loop in which it is first used; any number of its calls may be under
    way at once. Cancelling a call is safe, and tells the server nothing.
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
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"AsyncClient({self.core.base_url!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    ask = _awaitable(Core.ask)
    get = _awaitable(Core.get)
    wait = _awaitable(Core.wait)
    cancel = _awaitable(Core.cancel)
    events = _awaitable(Core.events)
    remarks = _awaitable(Core.remarks)
    questions = _awaitable(Core.questions)
    answer = _awaitable(Core.answer)
    approved_data = _awaitable(Core.approved_data)
    start = _awaitable(Core.start)
    heartbeat = _awaitable(Core.heartbeat)
    complete = _awaitable(Core.complete)
    fail = _awaitable(Core.fail)
    receipt = _awaitable(receipts.issue)
    verify_receipt = _awaitable(receipts.verify)
    consume_receipt = _awaitable(receipts.consume)

    async def follow(
        self,
        *,
        after: str | None = LATEST,
        types: Sequence[EventType | str] = (),
        workflow: Workflow | str | None = None,
    ) -> AsyncIterator[FeedEvent]:
        """As `Client.follow`, to be read with `async for`."""
        follower = Follower(self.core, after=after, types=types, workflow=workflow)
        while True:
            for event in await self.run(follower.more()):
                yield event

    @asynccontextmanager
    async def execution(
        self, workflow: Workflow | str, *, executor: str | None = None
    ) -> AsyncIterator[Execution]:
        """Carry out an approved action: `async with client.execution(workflow) as run:`.

        As `Client.execution`, with heartbeats from a task: a body that blocks the event loop for
        longer than the lease loses it.
        """
        run, seconds = await self.run(begin(self.core, workflow, executor or new_executor()))
        beating = asyncio.create_task(
            self.run(keep_alive(self.core, run, seconds)), name="hitl heartbeats"
        )
        try:
            yield run
        except BaseException as error:
            await _stopped(beating)
            await self.run(finish(self.core, run, error))
            raise
        await _stopped(beating)
        await self.run(finish(self.core, run, None))

    async def run(self, steps: Steps[T]) -> T:
        """Do what the generator says, one thing after the other, and return what it returns."""
        try:
            effect = next(steps)
            while True:
                if isinstance(effect, Pause):
                    await asyncio.sleep(effect.seconds)
                    effect = next(steps)
                    continue
                try:
                    reply = await self._send(effect)
                except Unreachable as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, request: Request) -> Reply:
        """One try. Raises Unreachable; every status is an answer."""
        aiohttp = _aiohttp()
        try:
            async with self._open().request(
                request.method,
                _url(self.core.base_url + request.path),
                data=request.body,
                headers={**self.core.headers, **(request.headers or {})},
                allow_redirects=False,
                proxy=_proxy(self.core.base_url),
                timeout=aiohttp.ClientTimeout(total=request.seconds),
            ) as answer:
                body = await answer.content.read(MAX_BYTES)
                while len(body) <= MAX_BYTES and (part := await answer.content.read(MAX_BYTES)):
                    body += part
                if len(body) > MAX_BYTES:
                    raise ValueError(f"the answer has more than {MAX_BYTES} bytes")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status, headers, body)
        except (OSError, aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            text = str(error) or type(error).__name__
            raise Unreachable(f"No answer from {self.core.base_url}: {text}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            aiohttp = _aiohttp()
            # Waiting holds a connection each, so their number is not bounded here.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError:
        raise ImportError("AsyncClient needs aiohttp: pip install 'hitl-client[async]'") from None
    return aiohttp


def _url(text: str) -> Any:
    """The address as it is written: aiohttp would decode what looks needlessly encoded to it."""
    import yarl

    return yarl.URL(text, encoded=True)


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names; aiohttp itself would read .netrc, too."""
    parts = urlsplit(base_url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
