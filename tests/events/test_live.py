"""Hints leave after the commit, carry ids only, and their loss harms nobody."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import channel_layers, get_channel_layer
from django.db import connections, transaction

from events import live
from events.hub import RESYNC, Hub, get_hub
from events.models import Event
from hitl.accounts.models import Agent
from hitl.lib.layers import EmbeddedChannelLayer
from tests.workflows.factories import make_workflow
from workflows import services
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """The hub of this test's loop, on the layer the settings name."""
    EmbeddedChannelLayer.home = asyncio.get_running_loop()
    hub = get_hub()
    yield hub
    await hub.close()
    await get_channel_layer().flush()
    EmbeddedChannelLayer.home = None
    await sync_to_async(connections.close_all)()  # those of the thread that did the work


async def change(queue: asyncio.Queue[dict[str, Any]], seconds: float = 2) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        while (hint := await queue.get()) == RESYNC:
            pass
        return hint


async def test_a_change_is_announced_with_ids_only(hub: Hub, agent: Agent) -> None:
    async with hub.subscribe(f"team:{agent.team_id}") as queue:
        workflow = await sync_to_async(make_workflow)(agent)
        hint = await change(queue)
    event = await Event.objects.aget(workflow_id=workflow.pk)
    assert hint == {
        "type": "workflow.changed",
        "workflow_id": str(workflow.pk),
        "team_id": str(agent.team_id),
        "event_id": event.pk,
        "xid": event.xid,
        "seq": 1,
        "status": "PENDING",
        "event_type": "workflow.created",
    }


async def test_what_is_rolled_back_is_not_announced(hub: Hub, agent: Agent) -> None:
    @sync_to_async
    def fail() -> None:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            make_workflow(agent)
            raise ZeroDivisionError

    async with hub.subscribe(f"team:{agent.team_id}") as queue:
        await fail()
        with pytest.raises(TimeoutError):
            await change(queue, 0.3)


async def test_waiters_hear_within_milliseconds(hub: Hub, agent: Agent) -> None:
    workflow = await sync_to_async(make_workflow)(agent)
    async with hub.subscribe(f"workflow:{workflow.pk}") as queue:
        await sync_to_async(services.cancel)(workflow.pk, agent=agent)
        began = time.monotonic()
        assert (await change(queue))["status"] == "CANCELLED"
        assert time.monotonic() - began < 0.1


async def test_a_thread_of_another_loop_reaches_the_waiters(hub: Hub, agent: Agent) -> None:
    """A worker's thread has no loop of its own; `async_to_sync` makes one for each call."""
    workflow = await sync_to_async(make_workflow)(agent)
    message = {"type": "workflow.changed", "workflow_id": str(workflow.pk), "status": "APPROVED"}
    async with hub.subscribe(f"workflow:{workflow.pk}") as queue:
        await asyncio.get_running_loop().run_in_executor(None, live.publish, message)
        assert await change(queue) == message


def test_without_a_layer_the_change_is_kept(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone:
        async def group_send(self, group: str, message: Any) -> None:
            raise ConnectionError("no Redis")

    monkeypatch.setattr(live, "get_channel_layer", Gone)
    with caplog.at_level(logging.WARNING, live.logger.name):
        workflow = make_workflow(agent)
    assert Workflow.objects.filter(pk=workflow.pk).exists()
    assert "not published" in caplog.text


def test_a_layer_that_hangs_is_given_up(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging:
        async def group_send(self, group: str, message: Any) -> None:
            await asyncio.sleep(60)

    monkeypatch.setattr(live, "get_channel_layer", Hanging)
    monkeypatch.setattr(live, "PUBLISH_SECONDS", 0.1)
    began = time.monotonic()
    make_workflow(agent)
    assert time.monotonic() - began < 2


@pytest.mark.postgres
async def test_a_cut_subscription_comes_back_and_says_so(
    hub: Hub, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis throws the subscriber out; the layer reconnects without a word, the hub notices."""
    url = os.environ.get("TEST_REDIS_URL")
    if not url:
        pytest.skip("needs Redis")
    monkeypatch.setattr("events.hub.PING_SECONDS", 0.1)
    async with hub.subscribe(f"team:{agent.team_id}") as queue:
        await asyncio.sleep(0.3)
        while not queue.empty():
            queue.get_nowait()
        server = redis.Redis.from_url(url)
        await asyncio.to_thread(server.execute_command, "CLIENT", "KILL", "TYPE", "pubsub")
        server.close()
        async with asyncio.timeout(10):
            assert await queue.get() == RESYNC
        await sync_to_async(make_workflow)(agent)
        assert (await change(queue))["event_type"] == "workflow.created"


def test_the_layer_of_the_settings_is_the_one_used() -> None:
    assert channel_layers["default"] is get_channel_layer()
