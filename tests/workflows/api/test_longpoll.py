"""Waiting for a decision: in time, without threads, and never for ever."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from events.hub import RESYNC, get_hub
from tests.live_server import Answer, LiveServer, running
from workflows.api import inner, longpoll
from workflows.api.longpoll import LongPoll, is_reached
from workflows.models import Status

WORKFLOW = uuid4()


# --- Against a fake Django, in this loop ---------------------------------------------------------


class Application:
    """Stands for Django: answers "not yet" until told otherwise, and counts how it is asked."""

    def __init__(self) -> None:
        self.status, self.is_over = 200, False
        self.asked, self.at_once, self.most_at_once = 0, 0, 0
        self.seconds = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        assert (await receive())["type"] == "http.request"
        await asyncio.sleep(self.seconds)
        not_yet = self.status == 200 and not self.is_over
        headers = [(b"Retry-After", b"2")] if not_yet else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"over" if self.is_over else b"open"})
        self.at_once -= 1

    async def is_asked(self, times: int = 1) -> None:
        """Come back while it works on a request, or after."""
        async with asyncio.timeout(3):
            while self.asked < times:
                await asyncio.sleep(0.01)

    async def has_answered(self, times: int = 1) -> None:
        """Come back when somebody waits."""
        await self.is_asked(times)
        while self.at_once:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)


class Client:
    """One waiting connection."""

    def __init__(self, application: LongPoll, query: str = "wait=5", path: str = "") -> None:
        self.sent: list[Any] = []
        self.closed = asyncio.Event()
        self.began = False
        path = path or f"/api/v1/workflows/{WORKFLOW}"
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
        self.task = asyncio.create_task(application(scope, self.receive, self.send))

    async def receive(self) -> Any:
        if not self.began:
            self.began = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def answer(self, seconds: float = 2) -> bytes:
        await asyncio.wait_for(self.task, seconds)
        body: bytes = self.sent[1]["body"]
        return body


@pytest.fixture
def django() -> Application:
    return Application()


@pytest.fixture
async def polls(django: Application, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LongPoll]:
    async def nothing(ids: list[UUID]) -> list[tuple[UUID, str]]:
        return [(workflow_id, "PENDING") for workflow_id in ids]

    monkeypatch.setattr(longpoll, "_statuses", nothing)
    yield LongPoll(django)
    await get_hub().close()


def hint(status: str = "APPROVED", workflow_id: UUID = WORKFLOW) -> None:
    message = {"type": "workflow.changed", "workflow_id": str(workflow_id), "status": status}
    get_hub().dispatch(message)


class TestWaiting:
    async def test_a_hint_ends_it(self, polls: LongPoll, django: Application) -> None:
        client = Client(polls)
        await django.has_answered()
        django.is_over = True
        hint()
        assert await client.answer() == b"over"
        assert django.asked == 2

    async def test_hints_that_change_nothing_cost_nothing(
        self, polls: LongPoll, django: Application
    ) -> None:
        """Opening the page or sending a mail is an event too, but no decision."""
        client = Client(polls)
        await django.has_answered()
        for _ in range(100):
            hint("PENDING")
        hint("APPROVED", uuid4())
        await asyncio.sleep(0.05)
        assert django.asked == 1
        django.is_over = True
        hint()
        await client.answer()

    async def test_a_hint_before_the_first_look_is_not_lost(
        self, polls: LongPoll, django: Application
    ) -> None:
        django.seconds = 0.1
        client = Client(polls)
        await django.is_asked()
        hint()  # after the view has read, before it has answered
        django.is_over = True
        assert await client.answer() == b"over"

    async def test_it_ends_with_the_time(self, polls: LongPoll, django: Application) -> None:
        async with get_hub().subscribe("team:any"):  # a hub that begins tells everybody to look
            await asyncio.sleep(0.05)
        began = time.monotonic()
        client = Client(polls, "wait=1")
        assert await client.answer() == b"open"
        assert 0.9 < time.monotonic() - began < 1.5
        assert client.sent[0]["headers"] == []
        assert django.asked == 1, "nothing was heard, so the first answer still holds"

    async def test_what_was_heard_is_looked_at_when_it_ends(
        self, polls: LongPoll, django: Application
    ) -> None:
        """No decision, but a comment or the like: the answer at the end knows of it."""
        client = Client(polls, "wait=1")
        await django.has_answered()
        hint("PENDING")
        assert await client.answer() == b"open"
        assert django.asked == 2

    async def test_a_resync_is_looked_at_when_it_ends(
        self, polls: LongPoll, django: Application
    ) -> None:
        client = Client(polls, "wait=1")
        await django.has_answered()
        get_hub().resync()
        assert await client.answer() == b"open"
        assert django.asked == 2

    async def test_lost_hints_are_found_by_one_query_for_all(
        self, polls: LongPoll, django: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queries: list[int] = []

        async def look(ids: list[UUID]) -> list[tuple[UUID, str]]:
            queries.append(len(ids))
            status = "APPROVED" if django.is_over else "PENDING"
            return [(workflow_id, status) for workflow_id in ids]

        monkeypatch.setattr(longpoll, "_statuses", look)
        monkeypatch.setattr(longpoll, "RECHECK_SECONDS", 0.1)
        paths = [f"/api/v1/workflows/{uuid4()}" for _ in range(50)]
        clients = [Client(polls, path=path) for path in paths]
        await asyncio.sleep(0.3)
        django.is_over = True
        for client in clients:
            assert await client.answer() == b"over"
        assert max(queries) == 50
        assert sum(queries) < 50 * 25  # some a second, not one for each who waits

    async def test_a_check_that_fails_is_made_again(
        self, polls: LongPoll, django: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks: list[int] = []

        async def look(ids: list[UUID]) -> list[tuple[UUID, str]]:
            looks.append(1)
            if len(looks) < 3:
                raise ConnectionError("no database")
            return [(workflow_id, "APPROVED") for workflow_id in ids]

        monkeypatch.setattr(longpoll, "_statuses", look)
        monkeypatch.setattr(longpoll, "RECHECK_SECONDS", 0.05)
        client = Client(polls)
        await django.has_answered()
        django.is_over = True
        assert await client.answer() == b"over"

    async def test_resync_makes_the_check_at_once(
        self, polls: LongPoll, django: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def look(ids: list[UUID]) -> list[tuple[UUID, str]]:
            return [
                (workflow_id, "APPROVED" if django.is_over else "PENDING") for workflow_id in ids
            ]

        monkeypatch.setattr(longpoll, "_statuses", look)
        client = Client(polls)
        await django.has_answered()
        django.is_over = True
        get_hub().resync()
        assert await client.answer(1) == b"over"
        assert RESYNC["type"] == "resync"

    async def test_many_woken_at_once_ask_a_few_at_a_time(
        self, polls: LongPoll, django: Application
    ) -> None:
        django.seconds = 0.005
        clients = [Client(polls) for _ in range(100)]
        await django.has_answered(100)
        django.is_over = True
        hint()
        for client in clients:
            assert await client.answer() == b"over"
        assert django.most_at_once <= inner.AT_ONCE

    @pytest.mark.parametrize("status", [401, 403, 404, 400, 500, 503])
    async def test_errors_are_told_at_once(
        self, polls: LongPoll, django: Application, status: int
    ) -> None:
        django.status = status
        client = Client(polls)
        await client.answer(0.5)
        assert client.sent[0]["status"] == status
        assert django.asked == 1

    async def test_a_key_revoked_meanwhile_ends_it(
        self, polls: LongPoll, django: Application
    ) -> None:
        client = Client(polls)
        await django.has_answered()
        django.status = 401
        hint()
        await client.answer()
        assert client.sent[0]["status"] == 401


class TestLeaving:
    async def test_nothing_is_left_behind(self, polls: LongPoll, django: Application) -> None:
        client = Client(polls)
        await django.has_answered()
        client.closed.set()
        await asyncio.wait_for(client.task, 1)
        assert client.sent == []
        room = next(iter(polls._rooms.values()))
        assert not room._queues
        assert room._check is None
        assert not get_hub()._queues

    async def test_a_request_under_way_is_run_to_its_end(
        self, polls: LongPoll, django: Application
    ) -> None:
        """Django must not be cancelled half way: its connection would not go back."""
        django.seconds = 0.1
        client = Client(polls)
        await django.is_asked()
        client.closed.set()
        await asyncio.wait_for(client.task, 1)
        assert django.at_once == 1
        await asyncio.sleep(0.1)
        assert django.at_once == 0

    async def test_a_stopping_server_may_cancel(self, polls: LongPoll, django: Application) -> None:
        client = Client(polls)
        await django.has_answered()
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert not get_hub()._queues


class TestWhoWaits:
    @pytest.mark.parametrize(
        "query",
        ["", "wait=0", "wait=61", "wait=x", "wait=", "wait=1&wait=2", "wait=-1", "wait=1.5",
         "wait=%D9%A3", "wait=5&until=decided&until=settled", "%FF"],
    )  # fmt: skip
    async def test_other_queries_go_straight_to_the_view(
        self, django: Application, polls: LongPoll, query: str
    ) -> None:
        client = Client(polls, query)
        await client.answer(0.5)
        assert client.sent[0]["headers"] == [(b"Retry-After", b"2")]

    @pytest.mark.parametrize(
        "path", ["/api/v1/workflows", f"/api/v1/workflows/{WORKFLOW}/events",
                 "/api/v1/workflows/" + "-" * 36, f"/api/v1/workflows/{WORKFLOW}/"]
    )  # fmt: skip
    async def test_other_paths_go_straight_to_the_view(
        self, django: Application, polls: LongPoll, path: str
    ) -> None:
        await Client(polls, path=path).answer(0.5)
        assert django.asked == 1

    def test_what_is_reached(self) -> None:
        decided = {status for status in Status if is_reached(status, "decided")}
        settled = {status for status in Status if is_reached(status, "settled")}
        assert decided == set(Status) - {Status.PENDING}
        assert settled == {
            Status.REJECTED, Status.TIMEOUT, Status.CANCELLED, Status.COMPLETED, Status.FAILED
        }  # fmt: skip


# --- Against a real server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with running() as server:
        yield server


def wait(server: LiveServer, path: str, seconds: int = 30, until: str = "") -> Any:
    query = f"?wait={seconds}" + (f"&until={until}" if until else "")
    return asyncio.create_task(server.ask("GET", f"{path}{query}"))


async def pong(server: LiveServer) -> float:
    """Seconds that the simplest request takes: the median of a few."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        assert (await server.ask("GET", "/ping")).raw == b"pong"
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


class TestRealServer:
    async def test_the_answer_comes_with_the_decision(self, server: LiveServer) -> None:
        path = await server.create()
        waiter = wait(server, path)
        await asyncio.sleep(0.3)
        decided = await server.decide(path)
        assert decided.status == 200, decided.raw
        answer: Answer = await waiter
        assert (answer.status, answer.json["status"]) == (200, "APPROVED")
        assert "retry-after" not in answer.headers

    async def test_a_hundred_waits_hold_no_thread_and_delay_nobody(
        self, server: LiveServer
    ) -> None:
        """The answers come about 100 ms after the commit, whoever else is waiting.

        A busy machine gets more time, measured by how long it takes for a pong.
        """
        calm = await pong(server)
        paths = [await server.create() for _ in range(10)]
        crowd = [wait(server, path) for path in paths for _ in range(10)]
        await asyncio.sleep(2)
        assert not any(waiter.done() for waiter in crowd)
        if sys.platform == "linux":
            assert server.threads < 40
        assert await pong(server) < 0.2 + 20 * calm

        lags = []
        for index, path in enumerate(paths):
            committed = (await server.decide(path)).at
            group = await asyncio.gather(*crowd[index * 10 : index * 10 + 10])
            assert {answer.json["status"] for answer in group} == {"APPROVED"}
            lags.append(min(answer.at for answer in group) - committed)
        assert statistics.median(lags) < 0.1 + 5 * calm, lags

    async def test_it_ends_with_the_time(self, server: LiveServer) -> None:
        path = await server.create()
        began = time.monotonic()
        answer = await server.ask("GET", f"{path}?wait=1")
        assert (answer.status, answer.json["status"]) == (200, "PENDING")
        assert "retry-after" not in answer.headers
        assert 1 <= answer.at - began < 3

    async def test_settled_outlasts_the_decision(self, server: LiveServer) -> None:
        path = await server.create()
        waiter = wait(server, path, until="settled")
        await asyncio.sleep(0.3)
        await server.decide(path)
        started = await server.ask("POST", f"{path}/execution/start")
        assert started.status == 200, started.raw
        assert not waiter.done()
        await server.ask("POST", f"{path}/execution/complete", {"attempt": 1, "result": 5})
        answer = await waiter
        assert (answer.json["status"], answer.json["result"]) == ("COMPLETED", 5)

    async def test_what_has_happened_is_told_at_once(self, server: LiveServer) -> None:
        path = await server.create()
        await server.ask("POST", f"{path}/cancel")
        began = time.monotonic()
        answer = await server.ask("GET", f"{path}?wait=30&until=settled")
        assert answer.json["status"] == "CANCELLED"
        assert answer.at - began < 2

    async def test_strangers_do_not_wait(self, server: LiveServer) -> None:
        path = await server.create()
        assert (await server.ask("GET", f"{path}?wait=30", token="x")).status == 401
        assert (await server.ask("GET", f"{path}?wait=30", token="-")).status == 401
        absent = f"/api/v1/workflows/{uuid4()}?wait=30"
        assert (await server.ask("GET", absent)).status == 404

    async def test_those_who_hang_up_are_forgotten(self, server: LiveServer) -> None:
        path = await server.create()
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(server.head("GET", f"{path}?wait=60", server.api_key, 0))
            await writer.drain()
            writer.close()
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await server.decide(path)
        assert time.monotonic() - began < 2
