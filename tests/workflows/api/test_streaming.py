"""`GET /api/v1/events/stream` and `…/events?wait=`: in time, without threads, to the end."""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from events.feed import START, Position
from events.tails import EVERYTHING
from hitl.accounts.authentication import Credential
from hitl.accounts.models import Agent
from hitl.accounts.standing import UNKNOWN, Listener, Objection
from tests.followers import stream
from tests.live_server import LiveServer, running
from tests.workflows.api.callers import Caller, as_agent, code
from tests.workflows.factories import make_workflow
from workflows.api import streaming
from workflows.api.listening import Seat
from workflows.api.streaming import Order

STREAM = "/api/v1/events/stream"
FEED = "/api/v1/events"
# Messages about earlier requests may still be on their way; what they cause is not looked for.
CREATED = "type=workflow.created"


# --- Where nothing can wait (WSGI) ---------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
class TestWithoutWaiting:
    def test_all_there_is_and_when_to_come_back(self, bot: Caller, agent: Agent) -> None:
        make_workflow(agent)
        answer = bot.get(STREAM)
        (event,) = bot.get(FEED).json()["items"]
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        assert answer.content.decode() == (
            f"retry: 2000\n\nid: {event['cursor']}\nevent: workflow.created\ndata: {text}\n\n"
            f"id: {event['cursor']}\n\n"
        )
        assert answer["Content-Type"] == "text/event-stream"
        assert (answer["Cache-Control"], answer["X-Accel-Buffering"]) == ("no-store", "no")

    def test_the_header_wins(self, bot: Caller, agent: Agent) -> None:
        first, second = make_workflow(agent), make_workflow(agent)
        cursor = bot.get(FEED).json()["items"][0]["cursor"]
        text = bot.get(STREAM, {"after": "latest"}, Last_Event_ID=cursor).content.decode()
        assert str(second.pk) in text
        assert str(first.pk) not in text

    def test_news_begin_at_the_end(self, bot: Caller, agent: Agent) -> None:
        make_workflow(agent)
        text = bot.get(STREAM, {"after": "latest"}).content.decode()
        assert text == f"retry: 2000\n\nid: {bot.get(FEED).json()['next']}\n\n"

    @pytest.mark.parametrize(
        ("query", "headers", "pointer"),
        [
            ({"after": "7"}, {}, "?after"),
            ({"after": "0-0"}, {"Last_Event_ID": "7"}, "Last-Event-ID"),
            ({"type": "no.such"}, {}, "?type"),
            ({"workflowId": "1"}, {}, "?workflowId"),
            ({"limit": "1"}, {}, "?limit"),
        ],
    )
    def test_wrong_wishes_are_named(
        self, bot: Caller, query: dict[str, str], headers: dict[str, str], pointer: str
    ) -> None:
        answer = bot.get(STREAM, query, **headers)
        assert code(answer) == (400, "validation")
        assert answer.json()["errors"][0]["pointer"].startswith(pointer)

    def test_strangers_are_told_so(self, agent: Agent) -> None:
        assert code(Caller().get(STREAM)) == (401, "unauthenticated")
        assert code(as_agent(agent, "execute").get(STREAM)) == (403, "forbidden")

    def test_long_poll_is_told_when_to_ask_again(self, bot: Caller, agent: Agent) -> None:
        answer = bot.get(FEED, {"wait": 5})
        assert (answer.json()["items"], answer["Retry-After"]) == ([], "2")
        make_workflow(agent)
        assert "Retry-After" not in bot.get(FEED, {"wait": 5})
        assert code(bot.get(FEED, {"wait": 61})) == (400, "validation")


# --- How a stream ends ----------------------------------------------------------------------------


class TestEnd:
    ORDER = Order(Listener("agent:1", Credential("api_key", "1"), frozenset()), START, EVERYTHING)
    HEAD: ClassVar = {"type": "http.response.start", "status": 200, "headers": []}

    @pytest.mark.parametrize(
        ("objection", "last_word"),
        [(None, b""), (Objection(UNKNOWN, is_unknown=True), f": {UNKNOWN}\n\n".encode())],
    )
    async def test_it_is_whole(self, objection: Objection | None, last_word: bytes) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        seat = Seat()
        seat.end(objection)
        await streaming._stream(self.ORDER, seat, self.HEAD, send)
        end = {"type": "http.response.body", "body": last_word, "more_body": False}
        assert [sent[0], sent[-1]] == [self.HEAD, end]

    async def test_a_client_that_does_not_read_is_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "SEND_SECONDS", 0.05)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(60)

        async with asyncio.timeout(5):
            await streaming._stream(self.ORDER, Seat(), self.HEAD, send)

    def test_what_is_long_goes_in_pieces(self) -> None:
        texts = ["a" * 10, "b" * streaming.CHUNK_CHARACTERS, "c", "d"]
        assert list(streaming.chunks(texts)) == [texts[0], texts[1], "cd"]


# --- Against a real server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with running() as server:
        yield server


class TestStream:
    async def test_events_come_as_they_happen(self, server: LiveServer) -> None:
        async with stream(server, f"?after=latest&{CREATED}") as open_:
            assert open_.status == 200
            assert open_.headers["content-type"] == "text/event-stream"
            assert open_.headers["cache-control"] == "no-store"
            assert "content-length" not in open_.headers
            begin = await open_.block()
            path = await server.create()
            await open_.block()  # where news begin
            first = await open_.block()
        assert begin.retry == "2000"
        assert (first.type, first.id) == ("workflow.created", first.event["cursor"])
        assert path.endswith(first.event["workflowId"])

    async def test_what_is_told_is_what_the_page_tells(self, server: LiveServer) -> None:
        await server.create()
        page = (await server.ask("GET", FEED)).json["items"]
        async with stream(server) as open_:
            assert [await open_.event() for _ in page] == page

    async def test_coming_back_goes_on_behind_the_last(self, server: LiveServer) -> None:
        for _ in range(3):
            await server.create()
        page = (await server.ask("GET", FEED)).json["items"]
        for place in (0, len(page) // 2, len(page) - 2):
            last = f"Last-Event-ID: {page[place]['cursor']}\r\n"
            async with stream(server, "?after=latest", headers=last) as open_:
                assert await open_.event() == page[place + 1]

    async def test_filters_leave_out_the_rest(self, server: LiveServer) -> None:
        mine, other = await server.create(), await server.create()
        query = f"?workflowId={mine.rsplit('/', 1)[1]}&type=human.responded"
        async with stream(server, query) as open_:
            await server.decide(other)
            await server.decide(mine, "rejected")
            event = await open_.event()
        assert (event["type"], event["status"]) == ("human.responded", "REJECTED")
        assert mine.endswith(event["workflowId"])

    async def test_refusals_are_ordinary_problems(self, server: LiveServer) -> None:
        assert (await server.ask("GET", STREAM, token="x")).json["code"] == "unauthenticated"
        assert (await server.ask("GET", f"{STREAM}?after=7")).json["code"] == "validation"
        assert (await server.ask("HEAD", STREAM)).status == 200
        assert (await server.ask("POST", STREAM)).status == 405

    async def test_a_crowd_holds_no_thread(self, server: LiveServer) -> None:
        async with asyncio.timeout(60):
            opening = [stream(server, f"?after=latest&{CREATED}") for _ in range(90)]
            crowd = [await one.__aenter__() for one in opening]
            try:
                assert {one.status for one in crowd} == {200}
                if sys.platform == "linux":
                    assert server.threads < 40
                path = await server.create()
                told = await asyncio.gather(*(one.event() for one in crowd))
                assert {path.endswith(event["workflowId"]) for event in told} == {True}
            finally:
                for one in opening:
                    await one.__aexit__(None, None, None)


class TestLongPoll:
    async def wait(self, server: LiveServer, query: str) -> Any:
        return await server.ask("GET", f"{FEED}?{query}")

    async def test_it_ends_with_the_first_event(self, server: LiveServer) -> None:
        start = (await server.ask("GET", f"{FEED}?after=latest")).json["next"]
        crowd = [
            asyncio.create_task(self.wait(server, f"after={start}&wait=30&{CREATED}"))
            for _ in range(20)
        ]
        await asyncio.sleep(1)
        assert not any(each.done() for each in crowd)
        path = await server.create()
        answers = await asyncio.gather(*crowd)
        for answer in answers:
            assert answer.headers["content-type"] == "application/json"
            assert path.endswith(answer.json["items"][0]["workflowId"])
            assert answer.json["next"] == answer.json["items"][-1]["cursor"]
        page = (await server.ask("GET", f"{FEED}?after={start}&{CREATED}")).json
        assert answers[0].json["items"] == page["items"][: len(answers[0].json["items"])]

    async def test_what_is_there_comes_at_once(self, server: LiveServer) -> None:
        await server.create()
        answer = await asyncio.wait_for(self.wait(server, "wait=30&limit=1"), 5)
        assert len(answer.json["items"]) == 1

    async def test_it_ends_with_the_time(self, server: LiveServer) -> None:
        start = (await server.ask("GET", f"{FEED}?after=latest")).json["next"]
        waiting = asyncio.create_task(
            self.wait(server, "after=latest&type=workflow.timeout&wait=1")
        )
        await asyncio.sleep(0.3)
        await server.create()  # not what it waits for, but it is moved past it
        page = (await waiting).json
        assert page["items"] == []
        assert Position.parse(page["next"]) > Position.parse(start)

    async def test_news_are_awaited(self, server: LiveServer) -> None:
        waiting = asyncio.create_task(self.wait(server, f"after=latest&wait=30&{CREATED}"))
        await asyncio.sleep(1)
        path = await server.create()
        assert path.endswith((await waiting).json["items"][0]["workflowId"])
