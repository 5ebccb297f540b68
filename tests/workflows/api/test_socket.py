"""The agents' socket: who may open it, what it says, and when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings as project
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client
from django.utils import timezone
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from events.hub import get_hub
from hitl.accounts.models import Agent, ApiKey, Membership, User
from hitl.accounts.services import issue_agent_token, issue_key, issue_user_token
from hitl.asgi import application
from hitl.lib.layers import EmbeddedChannelLayer
from tests.live_server import LiveServer, running
from tests.workflows.factories import make_workflow
from workflows.api import listening, socket
from workflows.api.listening import get_room

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/ws/v1/events/"
OURS = b"http://testserver"
make = sync_to_async(make_workflow)


@pytest.fixture(autouse=True)
async def _home() -> AsyncIterator[None]:
    """Hints reach this test's loop, and nothing of it is left."""
    EmbeddedChannelLayer.home = asyncio.get_running_loop()
    yield
    assert not get_room()._seats, "a seat was not given back"
    await get_hub().close()
    await get_channel_layer().flush()
    EmbeddedChannelLayer.home = None
    await sync_to_async(connections.close_all)()


class Talk:
    """The client's side of a socket."""

    def __init__(self, path: str = PATH, protocols: tuple[str, ...] = (), **headers: str) -> None:
        raw = [(name.replace("_", "-").encode(), each.encode()) for name, each in headers.items()]
        self._wire = WebsocketCommunicator(application, path, raw, list(protocols))

    async def open(self) -> tuple[bool, Any]:
        opened: tuple[bool, Any] = await self._wire.connect(timeout=10)
        return opened

    async def say(self, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        await self._wire.send_to(text_data=text)

    async def say_bytes(self, content: bytes) -> None:
        await self._wire.send_to(bytes_data=content)

    async def hear(self, seconds: float = 10) -> dict[str, Any]:
        found: dict[str, Any] = await self._wire.receive_json_from(seconds)
        return found

    async def nothing(self) -> bool:
        is_silent: bool = await self._wire.receive_nothing(0.3)
        return is_silent

    async def end(self, seconds: float = 10) -> tuple[int, str]:
        """The code and the sentence it is closed with; what comes before is overheard."""
        while True:
            message = await self._wire.receive_output(seconds)
            if message["type"] == "websocket.close":
                await self._wire.wait(seconds)
                return message["code"], message["reason"]

    async def leave(self) -> None:
        await self._wire.disconnect()


async def ready(secret: str) -> Talk:
    """A socket whose client is known."""
    talk = Talk(authorization=f"Bearer {secret}")
    assert await talk.open() == (True, None)
    assert await talk.hear() == {"type": "ready"}
    return talk


async def subscribed(secret: str, **wish: Any) -> tuple[Talk, str]:
    """A socket that follows, and where it began."""
    talk = await ready(secret)
    await talk.say({"type": "subscribe", "after": "latest"} | wish)
    answer = await talk.hear()
    assert answer["type"] == "subscribed", answer
    return talk, answer["cursor"]


@sync_to_async
def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{project.SESSION_COOKIE_NAME}={client.cookies[project.SESSION_COOKIE_NAME].value}"


class TestCredentials:
    @pytest.mark.parametrize("place", ["bearer", "key", "protocol", "message", "jwt", "person"])
    async def test_every_place_is_good(
        self, place: str, agent: Agent, api_key: str, approver: User
    ) -> None:
        jwt = await sync_to_async(issue_agent_token)(agent)
        person = await sync_to_async(issue_user_token)(approver)
        headers = {
            "bearer": {"authorization": f"Bearer {api_key}"},
            "key": {"x_api_key": api_key},
            "jwt": {"authorization": f"Bearer {jwt}"},
            "person": {"authorization": f"Bearer {person}"},
        }
        protocols = ("hitl.v1", f"hitl.token.{jwt}") if place == "protocol" else ()
        talk = Talk(PATH, protocols, **headers.get(place, {}))
        _, protocol = await talk.open()
        assert protocol == ("hitl.v1" if place == "protocol" else None)  # never the token
        if place == "message":
            await talk.say({"type": "authenticate", "token": api_key})
        assert await talk.hear() == {"type": "ready"}
        await talk.leave()

    async def test_people_come_with_their_session_from_our_pages(self, approver: User) -> None:
        cookie = await session_of(approver)
        talk = Talk(origin=OURS.decode(), cookie=cookie)
        await talk.open()
        assert await talk.hear() == {"type": "ready"}
        await talk.leave()

    async def test_session_without_a_page_counts_for_nothing(
        self, approver: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "AUTHENTICATE_SECONDS", 0.1)
        talk = Talk(cookie=await session_of(approver))
        await talk.open()
        assert (await talk.end())[0] == socket.UNKNOWN

    @pytest.mark.parametrize(
        "origin",
        ["null", "https://evil.example", "http://testserver.evil.example", "file://testserver",
         "http://evil", "http://[", "*", ""],
    )  # fmt: skip
    async def test_other_sites_are_turned_away(
        self, origin: str, approver: User, api_key: str
    ) -> None:
        cookie = await session_of(approver)
        for credentials in ({"cookie": cookie}, {"x_api_key": api_key}):
            talk = Talk(PATH, (), origin=origin, **credentials)
            assert (await talk.open())[0] is False

    async def test_wildcard_of_hosts_opens_no_socket_to_the_world(
        self, settings: Any, api_key: str
    ) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        assert (await Talk(origin="https://evil.example", x_api_key=api_key).open())[0] is False

    @pytest.mark.parametrize("query", ["token={}", "api_key={}", "x", "after=latest"])
    async def test_an_address_with_a_token_is_refused(
        self, query: str, api_key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        talk = Talk(f"{PATH}?{query.format(api_key)}", authorization=f"Bearer {api_key}")
        await talk.open()
        code, says = await talk.end()
        assert code == socket.REFUSED
        assert "no parameters" in says
        assert api_key not in caplog.text

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "Bearer x"},
            {"authorization": "Basic eDp5"},
            {"authorization": "Bearer "},
            {"authorization": "Bearer hitl_agt_" + "0" * 36},
            {"x_api_key": ""},
            {"x_api_key": "\xe9"},
            {"authorization": "Bearer x", "x_api_key": "x"},
        ],
    )
    async def test_what_is_no_credential(self, headers: dict[str, str]) -> None:
        talk = Talk(PATH, (), **headers)
        await talk.open()
        assert (await talk.end())[0] == socket.UNKNOWN

    @pytest.mark.parametrize(
        "said",
        ['{"type": "authenticate", "token": "x"}', '{"type": "authenticate"}', "{", "[]", "7",
         '{"type": "subscribe"}', '{"type": "authenticate", "token": 7}'],
    )  # fmt: skip
    async def test_first_word_that_is_no_credential(self, said: str) -> None:
        talk = Talk()
        await talk.open()
        await talk.say(said)
        assert (await talk.end())[0] == socket.UNKNOWN

    async def test_silence_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "AUTHENTICATE_SECONDS", 0.1)
        talk = Talk()
        await talk.open()
        assert (await talk.end())[0] == socket.UNKNOWN

    async def test_key_without_the_scope(self, agent: Agent) -> None:
        key = (await sync_to_async(issue_key)(agent, scopes=("create",)))[1]
        talk = Talk(x_api_key=key)
        await talk.open()
        assert (await talk.end())[0] == socket.NOT_ALLOWED

    async def test_a_limited_number_at_a_time(
        self, api_key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "OPEN_PER_AGENT", 1)
        first, second = await ready(api_key), Talk(x_api_key=api_key)
        await second.open()
        code, says = await second.end()
        assert (code, "close one first" in says) == (socket.REFUSED, True)
        await first.leave()
        await (await ready(api_key)).leave()


class TestFollowing:
    async def test_events_come_with_their_cursors(self, api_key: str, agent: Agent) -> None:
        talk, _ = await subscribed(api_key)
        workflow = await make(agent)
        message = await talk.hear()
        assert set(message) == {"type", "cursor", "event"}
        assert message["cursor"] == message["event"]["cursor"]
        assert message["event"]["workflowId"] == str(workflow.pk)
        await talk.leave()

    async def test_a_cursor_goes_on_behind_it(self, api_key: str, agent: Agent) -> None:
        made = [await make(agent) for _ in range(3)]
        talk, _ = await subscribed(api_key, after="0-0")
        cursors = [(await talk.hear())["cursor"] for _ in made]
        await talk.leave()
        again, begun = await subscribed(api_key, after=cursors[0])
        assert begun == cursors[0]
        assert [(await again.hear())["cursor"] for _ in cursors[1:]] == cursors[1:]
        await again.leave()

    async def test_filters_leave_out_the_rest(
        self, api_key: str, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "HEARTBEAT_SECONDS", 0.3)
        mine, other = await make(agent), await make(agent)
        talk, begun = await subscribed(api_key, types=["workflow.created"], workflowId=str(mine.pk))
        await make(agent)
        moved = await talk.hear()
        assert moved["type"] == "cursor"
        assert moved["cursor"] != begun
        await talk.say({"type": "subscribe", "workflowId": str(other.pk)})
        assert await talk.hear() == {"type": "subscribed", "cursor": "0-0"}
        assert (await talk.hear())["event"]["workflowId"] == str(other.pk)
        await talk.leave()

    async def test_other_teams_stay_unheard(self, stranger: User, agent: Agent) -> None:
        talk, _ = await subscribed(await sync_to_async(issue_user_token)(stranger), after="0-0")
        await make(agent)
        assert await talk.nothing()
        await talk.leave()

    @pytest.mark.parametrize(
        ("said", "pointer"),
        [
            ({"type": "subscribe", "after": "7"}, "/after"),
            ({"type": "subscribe", "after": 7}, "/after"),
            ({"type": "subscribe", "after": None}, "/after"),
            ({"type": "subscribe", "types": ["no.such"]}, "/types"),
            ({"type": "subscribe", "types": "workflow.created"}, "/types"),
            ({"type": "subscribe", "workflowId": "1"}, "/workflowId"),
            ({"type": "subscribe", "team": "x"}, "/team"),
        ],
    )
    async def test_wrong_wishes_are_named(self, api_key: str, said: Any, pointer: str) -> None:
        talk = await ready(api_key)
        await talk.say(said)
        answer = await talk.hear()
        assert (answer["type"], answer["code"]) == ("error", "validation")
        assert answer["errors"][0]["pointer"].startswith(pointer)
        await talk.leave()

    @pytest.mark.parametrize(
        "said", ["{", "[]", '{"type": "x"}', "{}", '{"a": 1, "a": 2}', "[" * 50_000,
                 '{"type": "authenticate", "token": "x"}']
    )  # fmt: skip
    async def test_nonsense_is_answered(self, api_key: str, said: str) -> None:
        talk = await ready(api_key)
        await talk.say(said)
        assert (await talk.hear())["type"] == "error"
        await talk.say({"type": "ping"})
        assert await talk.hear() == {"type": "pong"}
        await talk.leave()

    async def test_a_flood_ends_it(self, api_key: str) -> None:
        talk = await ready(api_key)
        for _ in range(6):
            await talk.say({"type": "ping"})
        assert (await talk.end())[0] == socket.REFUSED

    async def test_too_long_a_message_ends_it(self, api_key: str) -> None:
        talk = await ready(api_key)
        await talk.say("x" * (socket.MESSAGE_BYTES + 1))
        assert (await talk.end())[0] == socket.TOO_BIG

    async def test_bytes_end_it(self, api_key: str) -> None:
        talk = await ready(api_key)
        await talk.say_bytes(b"{}")
        assert (await talk.end())[0] == socket.NO_TEXT


class TestStanding:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listening, "CHECK_SECONDS", 0.05)

    async def test_a_revoked_key_ends_it(self, api_key: str) -> None:
        talk, _ = await subscribed(api_key)
        await ApiKey.objects.aupdate(revoked_at=timezone.now())
        assert (await talk.end())[0] == socket.UNKNOWN

    async def test_a_logout_ends_it(self, approver: User) -> None:
        talk = Talk(origin=OURS.decode(), cookie=await session_of(approver))
        await talk.open()
        assert await talk.hear() == {"type": "ready"}
        await sync_to_async(Session.objects.all().delete)()
        assert (await talk.end())[0] == socket.UNKNOWN

    async def test_a_changed_membership_ends_it(self, approver: User) -> None:
        talk, _ = await subscribed(await sync_to_async(issue_user_token)(approver))
        await Membership.objects.all().adelete()
        assert (await talk.end())[0] == socket.NOT_ALLOWED

    async def test_a_stop_asks_to_come_back(self, api_key: str) -> None:
        talk, _ = await subscribed(api_key)
        get_room().close()
        assert (await talk.end())[0] == socket.RESTART
        get_room()._is_closing = False


# --- Against a real server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with running() as server:
        yield server


async def test_a_real_client_follows(server: LiveServer) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with connect(f"ws://127.0.0.1:{server.port}{PATH}", additional_headers=headers) as client:
        assert json.loads(await client.recv()) == {"type": "ready"}
        await client.send('{"type": "subscribe", "after": "latest"}')
        assert json.loads(await client.recv())["type"] == "subscribed"
        path = await server.create()
        async with asyncio.timeout(10):
            # What the requests of other tests still become comes on the same feed.
            while not path.endswith(json.loads(await client.recv())["event"]["workflowId"]):
                continue


async def test_a_token_in_the_address_stays_out_of_the_log(server: LiveServer) -> None:
    url = f"ws://127.0.0.1:{server.port}{PATH}?token={server.api_key}"
    async with connect(url) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == socket.REFUSED
    assert server.api_key not in server.log.read_text()
