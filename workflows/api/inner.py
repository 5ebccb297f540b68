"""What the ASGI wrappers around Django share: a complete request to it, and a client's going away.

Django's handler is never held open for somebody who waits: with a synchronous middleware it would
keep one thread for each. It is asked, answers at once, and what waits is a coroutine.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Result = TypeVar("Result")

# Requests at a time, so that one event with many waiters leaves room for others.
AT_ONCE = 8


class Turns:
    """Requests to Django on behalf of those who wait in one event loop, a few at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asking: set[asyncio.Task[list[Message]]] = set()

    async def ask(self, application: Application, scope: Scope) -> list[Message]:
        """One complete request to Django. It runs to its end even if nobody waits any more."""

        async def run() -> list[Message]:
            answer: list[Message] = []

            async def keep(message: Message) -> None:
                answer.append(message)

            async with self._turns:
                await application(dict(scope), _empty_body(), keep)
            return answer

        task = asyncio.create_task(run())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return await asyncio.shield(task)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What the work gives, or None where the client leaves first: then it is cancelled."""
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        return await unless(work, gone)
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def unless(work: Coroutine[Any, Any, Result], other: "asyncio.Future[Any]") -> Result | None:
    """What the work gives, or None where the other is done first: then the work is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, other), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _empty_body() -> Receive:
    """The receiving end of a request without a body whose client stays."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.get_running_loop().create_future()
        sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
