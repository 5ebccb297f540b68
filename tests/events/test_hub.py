"""The hub: one subscription per loop, fanned out, and honest about what may have been lost."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from events import hub as hub_module
from events.hub import QUEUE_SIZE, RESYNC, Hub, get_hub
from events.live import GROUP

TEAM, WORKFLOW = "team:t1", "workflow:w1"
HINT: dict[str, Any] = {"type": "workflow.changed", "team_id": "t1", "workflow_id": "w1"}


class Layer(InMemoryChannelLayer):
    """An in-memory layer that can be cut off, deaf or broken."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = self.is_deaf = False

    async def group_add(self, group: str, channel: str) -> None:
        if self.is_broken:
            raise ConnectionError("no Redis")
        if not self.is_deaf:
            await super().group_add(group, channel)

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        if not self.is_deaf:
            await super().send(channel, message)

    async def receive(self, channel: str) -> dict[str, Any]:
        if self.is_broken:
            raise ConnectionError("no Redis")
        message: dict[str, Any] = await super().receive(channel)
        return message


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    layer = Layer()
    monkeypatch.setattr(hub_module, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(hub_module, "PING_SECONDS", 0.05)
    monkeypatch.setattr(hub_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(hub_module, "START_SECONDS", 0.2)
    return layer


@pytest.fixture
async def hub(layer: Layer) -> AsyncIterator[Hub]:
    hub = Hub()
    yield hub
    await hub.close()


async def next_of(queue: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    return await asyncio.wait_for(queue.get(), 1)


async def first_hint(queue: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    while (found := await next_of(queue)) == RESYNC:
        pass
    return found


async def test_hints_reach_who_asked_for_them(hub: Hub, layer: Layer) -> None:
    async with (
        hub.subscribe(TEAM) as team,
        hub.subscribe(WORKFLOW) as workflow,
        hub.subscribe("team:t2") as other,
    ):
        await layer.group_send(GROUP, HINT)
        assert await first_hint(team) == HINT
        assert await first_hint(workflow) == HINT
        assert all(left == RESYNC for left in _drain(other))


async def test_a_queue_with_both_keys_hears_once(hub: Hub) -> None:
    async with hub.subscribe(TEAM, WORKFLOW) as queue:
        _drain(queue)
        hub.dispatch(HINT)
        assert _drain(queue) == [HINT]


async def test_everybody_reads_again_once_listening_has_begun(hub: Hub) -> None:
    async with hub.subscribe(TEAM) as queue:
        assert _drain(queue) == [RESYNC]


async def test_leaving_leaves_nothing(hub: Hub) -> None:
    async with hub.subscribe(TEAM, WORKFLOW):
        pass
    hub.dispatch(HINT)
    assert not hub._queues


async def test_a_full_queue_is_told_to_read_again(hub: Hub) -> None:
    async with hub.subscribe(TEAM) as queue:
        _drain(queue)
        for _ in range(QUEUE_SIZE + 1):
            hub.dispatch(HINT)
        assert _drain(queue) == [RESYNC]


async def test_its_own_pings_are_not_passed_on(hub: Hub) -> None:
    async with hub.subscribe(TEAM, "team:None", "workflow:None") as queue:
        _drain(queue)
        await asyncio.sleep(0.2)
        assert _drain(queue) == []


async def test_membership_is_renewed(hub: Hub, layer: Layer) -> None:
    """The in-memory layer throws out members after a day, or with one message read too late."""
    async with hub.subscribe(TEAM) as queue:
        layer.groups.clear()
        await asyncio.sleep(0.15)
        await layer.group_send(GROUP, HINT)
        assert await first_hint(queue) == HINT


async def test_after_a_deaf_spell_everybody_reads_again(hub: Hub, layer: Layer) -> None:
    async with hub.subscribe(TEAM) as queue:
        _drain(queue)
        layer.is_deaf = True
        await asyncio.sleep(0.2)
        assert _drain(queue) == []
        layer.is_deaf = False
        assert await next_of(queue) == RESYNC


async def test_a_broken_layer_is_tried_again_and_mentioned_once(
    hub: Hub, layer: Layer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, hub_module.logger.name)
    layer.is_broken = True
    async with hub.subscribe(TEAM) as queue:
        await asyncio.sleep(0.3)
        layer.is_broken = False
        await asyncio.sleep(0.1)
        await layer.group_send(GROUP, HINT)
        assert await first_hint(queue) == HINT
    assert len(caplog.records) == 1


async def test_a_broken_layer_keeps_nobody_waiting_for_long(hub: Hub, layer: Layer) -> None:
    layer.is_broken = True
    async with asyncio.timeout(0.5):
        async with hub.subscribe(TEAM):
            pass


async def test_each_loop_has_one(layer: Layer) -> None:
    assert get_hub() is get_hub()
    mine = get_hub()
    other = await asyncio.to_thread(lambda: asyncio.run(_get()))
    assert other is not mine


async def test_a_layer_that_swallows_the_end_cannot_prevent_it(hub: Hub, layer: Layer) -> None:
    """As the Redis client does while it connects."""

    async def swallow(group: str, channel: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    layer.group_add = swallow  # type: ignore[method-assign]
    async with hub.subscribe(TEAM):
        pass
    async with asyncio.timeout(1):
        await hub.close()


async def test_closing_ends_the_subscription_and_a_new_one_starts_it(
    hub: Hub, layer: Layer
) -> None:
    async with hub.subscribe(TEAM):
        pass
    await hub.close()
    assert not layer.groups.get(GROUP)
    async with hub.subscribe(TEAM) as queue:
        await layer.group_send(GROUP, HINT)
        assert await first_hint(queue) == HINT


async def _get() -> Hub:
    return get_hub()


def _drain(queue: asyncio.Queue[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(asyncio.QueueEmpty):
        while True:
            found.append(queue.get_nowait())
    return found
