"""The live socket: who may listen, to what, for how long; and that it never hangs on a browser."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as project
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from dashboard import consumers
from events import live
from events.hub import get_hub
from hitl.accounts.models import Agent, Membership, Role, Team, User
from hitl.accounts.services import add_member
from hitl.asgi import application
from tests.workflows.factories import make_workflow
from workflows.api import listening
from workflows.api.listening import get_room

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = b"http://testserver"


@pytest.fixture(autouse=True)
async def _no_leftover_hub() -> AsyncIterator[None]:
    yield
    assert not get_room()._open, "a seat was not given back"
    await get_hub().close()


@database_sync_to_async
def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[project.SESSION_COOKIE_NAME].value


def socket(session: str = "", origin: bytes | None = ORIGIN) -> WebsocketCommunicator:
    headers = [(b"host", b"testserver")]
    if origin is not None:
        headers.append((b"origin", origin))
    if session:
        headers.append((b"cookie", f"{project.SESSION_COOKIE_NAME}={session}".encode()))
    return WebsocketCommunicator(application, "/ws/live/", headers=headers)


async def opened(user: User) -> WebsocketCommunicator:
    """A socket that is ready, with the first "read again" out of the way."""
    browser = socket(await session_of(user))
    connected, _ = await browser.connect()
    assert connected
    first = [await browser.receive_json_from() for _ in range(1)]
    assert first == [{"type": "ready"}]
    while not await browser.receive_nothing(timeout=0.05):
        assert await browser.receive_json_from() == {"type": "resync"}
    return browser


async def closed_with(browser: WebsocketCommunicator, timeout: float = 2) -> int:
    while True:
        message = await browser.receive_output(timeout)
        if message["type"] == "websocket.close":
            await browser.disconnect()
            return int(message["code"])


async def publish(workflow_id: str, team_id: str, **more: Any) -> None:
    message = {"type": "workflow.changed", "workflow_id": workflow_id, "team_id": team_id, **more}
    await live._send(message)


async def test_a_change_is_passed_on_to_the_team(approver: User, team: Team) -> None:
    browser = await opened(approver)
    await publish("w1", str(team.pk), seq=3, status="PENDING")
    hint = await browser.receive_json_from()
    assert (hint["type"], hint["workflow_id"], hint["seq"]) == ("workflow.changed", "w1", 3)
    await browser.disconnect()


async def test_a_real_request_is_announced(approver: User, agent: Agent) -> None:
    browser = await opened(approver)
    workflow = await database_sync_to_async(make_workflow)(agent)
    hint = await browser.receive_json_from()
    assert hint["workflow_id"] == str(workflow.pk)
    assert set(hint) <= {
        "type", "workflow_id", "team_id", "event_id", "xid", "event_type", "seq", "status"
    }  # fmt: skip
    await browser.disconnect()


async def test_other_teams_hear_nothing(stranger: User, approver: User, team: Team) -> None:
    browser = await opened(stranger)
    await publish("w1", str(team.pk))
    assert await browser.receive_nothing(timeout=0.2)
    await browser.disconnect()


async def test_a_page_can_have_several_teams(approver: User, stranger: User, team: Team) -> None:
    elsewhere = await Team.objects.aget(slug="elsewhere")
    await database_sync_to_async(add_member)(elsewhere, approver, Role.VIEWER)
    browser = await opened(approver)
    for name in (team, elsewhere):
        await publish("w1", str(name.pk))
        assert (await browser.receive_json_from())["team_id"] == str(name.pk)
    await browser.disconnect()


@pytest.mark.parametrize("session", ["", "nosuchsession0000000000000000000"])
async def test_nobody_listens_without_a_login(db: None, session: str) -> None:
    browser = socket(session)
    assert (await browser.connect())[0]
    assert await closed_with(browser) == consumers.LOGGED_OUT


async def test_somebody_without_a_team_hears_nothing(db: None) -> None:
    lonely = await database_sync_to_async(User.objects.create_user)("lonely@example.com", "x")
    browser = socket(await session_of(lonely))
    assert (await browser.connect())[0]
    assert await closed_with(browser) == consumers.NOT_ALLOWED


@pytest.mark.parametrize(
    "origin",
    [None, b"null", b"https://evil.example", b"http://testserver.evil.example", b"http://evil"],
)
async def test_other_sites_cannot_open_the_socket(approver: User, origin: bytes | None) -> None:
    browser = socket(await session_of(approver), origin)
    connected, _ = await browser.connect()
    assert not connected


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check every tenth of a second who still may listen."""
    monkeypatch.setattr(listening, "CHECK_SECONDS", 0.1)


async def test_logging_out_closes_the_socket(impatient: None, approver: User) -> None:
    browser = await opened(approver)
    await database_sync_to_async(SessionStore.get_model_class().objects.all().delete)()
    assert await closed_with(browser) == consumers.LOGGED_OUT


async def test_a_blocked_account_is_cut_off(impatient: None, approver: User) -> None:
    browser = await opened(approver)
    await User.objects.filter(pk=approver.pk).aupdate(is_active=False)
    assert await closed_with(browser) == consumers.LOGGED_OUT


async def test_a_changed_password_cuts_other_devices_off(impatient: None, approver: User) -> None:
    browser = await opened(approver)
    approver.set_password("something else entirely")
    await approver.asave()
    assert await closed_with(browser) == consumers.LOGGED_OUT


async def test_leaving_a_team_closes_the_socket(impatient: None, approver: User) -> None:
    browser = await opened(approver)
    await Membership.objects.filter(user=approver).adelete()
    assert await closed_with(browser) == consumers.NOT_ALLOWED


async def test_the_check_happens_under_a_flood_of_hints_too(
    impatient: None, approver: User, team: Team
) -> None:
    browser = await opened(approver)
    await Membership.objects.filter(user=approver).adelete()

    async def flood() -> None:
        while True:
            await publish("w1", str(team.pk))
            await asyncio.sleep(0.002)

    task = asyncio.create_task(flood())
    try:
        assert await closed_with(browser) == consumers.NOT_ALLOWED
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_stays_keeps_listening(impatient: None, approver: User, team: Team) -> None:
    browser = await opened(approver)
    assert await browser.receive_nothing(timeout=0.35)
    await publish("w1", str(team.pk))
    assert (await browser.receive_json_from())["workflow_id"] == "w1"
    await browser.disconnect()


async def test_a_person_has_a_limited_number_of_sockets(
    approver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "OPEN_PER_PERSON", 2)
    first, second = await opened(approver), await opened(approver)
    third = socket(await session_of(approver))
    assert (await third.connect())[0]
    assert await closed_with(third) == consumers.TOO_MANY
    await first.disconnect()
    fourth = await opened(approver)
    for browser in (second, fourth):
        await browser.disconnect()


@pytest.mark.parametrize("said", ["{}", "approve", '{"type": "subscribe", "team": "other"}'])
async def test_what_the_browser_says_is_ignored(approver: User, team: Team, said: str) -> None:
    browser = await opened(approver)
    await browser.send_to(text_data=said)
    await browser.send_to(bytes_data=b"\x00\xff")
    await publish("w1", str(team.pk))
    assert (await browser.receive_json_from())["workflow_id"] == "w1"
    await browser.disconnect()


async def test_saying_too_much_ends_the_talk(approver: User) -> None:
    browser = await opened(approver)
    await browser.send_to(text_data="x" * (consumers.MESSAGE_BYTES + 1))
    assert await closed_with(browser) == consumers.TOO_BIG


async def test_sockets_share_one_subscription(approver: User, colleague: User, team: Team) -> None:
    browsers = [await opened(approver), await opened(approver), await opened(colleague)]
    hubs = [task for task in asyncio.all_tasks() if task.get_name() == "live-hub"]
    assert len(hubs) == 1
    await publish("w1", str(team.pk))
    for browser in browsers:
        assert (await browser.receive_json_from())["workflow_id"] == "w1"
        await browser.disconnect()


async def test_a_server_that_stops_asks_to_come_back(approver: User) -> None:
    browser = await opened(approver)
    get_room().close()
    assert await closed_with(browser) == consumers.RESTART
