"""Everything at once: half of all answers lost, many callers, and still each deed once."""

import asyncio
import random
import threading
from typing import Any

import pytest
from hitl_client import AsyncClient, Client, requires_approval

from tests.clients.conftest import KEY
from tests.clients.imitation import Imitation, problem

ROUNDS = 60
FATES: list[Any] = [
    "refuse",
    "drop",
    "rubbish",
    problem(500, "internal"),
    problem(503, "unavailable", headers={"Retry-After": "0"}),
    problem(429, "rate-limited", headers={"Retry-After": "0"}),
]


class Unwell(Imitation):
    """Fails half of the calls, in one of six ways, but never twelve times in a row."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.failed = 0

    def next_behaviour(self, call: Any) -> Any:
        with self.lock:
            if self.random.random() < 0.5:
                self.failed += 1
                return self.random.choice(FATES)
            return "answer"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_with_half_of_all_answers_lost_each_question_is_asked_once(kind: str) -> None:
    with Unwell(seed=7).running() as server:
        ids = _ask_all(server) if kind == "sync" else asyncio.run(_ask_all_at_once(server))
        assert len(set(ids)) == ROUNDS
        assert len(server.created) == ROUNDS
        assert server.failed > ROUNDS / 2


def _ask_all(server: Imitation) -> list[str]:
    """Many threads with one client."""
    client = Client(server.url, KEY, timeout=5, retries=40)
    ids: list[str] = []

    def ask() -> None:
        for _ in range(ROUNDS // 6):
            ids.append(client.ask("a.b", {"n": 1}).workflow_id)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    return ids


async def _ask_all_at_once(server: Imitation) -> list[str]:
    async with AsyncClient(server.url, KEY, timeout=5, retries=40) as client:
        asked = await asyncio.gather(*(client.ask("a.b", {"n": 1}) for _ in range(ROUNDS)))
    return [each.workflow_id for each in asked]


def test_with_half_of_all_answers_lost_each_call_runs_once() -> None:
    with Unwell(seed=11).running() as server:
        client = Client(server.url, KEY, timeout=5, retries=40, patience=30)
        ran: list[int] = []

        @requires_approval(client, action_type="a.b")
        def act(n: int) -> int:
            ran.append(n)
            return n

        for number in range(20):
            server.state.clear()
            server.approve({"n": number})
            assert act(number) == number
        assert ran == list(range(20))
        assert server.failed > 40
