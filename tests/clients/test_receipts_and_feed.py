"""Receipts are used once whatever gets lost; the feed gives each event once whatever breaks."""

import itertools
from typing import Any

import pytest
from hitl_client import (
    AsyncClient,
    Client,
    InvalidInput,
    ReceiptConsumed,
    Unreachable,
    fingerprint,
)

from tests.clients.conftest import KEY
from tests.clients.imitation import Imitation, problem
from tests.standins.server import Said

TOKEN = "eyJ.eyJ.c2ln"
TYPES = ["workflow.created", "human.viewed", "human.responded", "receipt.issued", "of.tomorrow"]


# --- Receipts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["drop", "mute", "rubbish"])
def test_a_use_whose_answer_got_lost_is_still_ones_own(
    client: Any, server: Imitation, failure: str
) -> None:
    server.script.append(failure)
    used = client.consume_receipt(TOKEN, consumer="billing")
    assert used.consumed_by == server.consumed_by
    assert used.consumed_by.startswith("billing ")
    assert used.fingerprint.startswith("sha256:")
    assert used.claims["actionType"] == "payments.refund"


def test_a_use_by_somebody_else_is_a_refusal(client: Any, server: Imitation) -> None:
    client.consume_receipt(TOKEN, consumer="billing")
    with pytest.raises(ReceiptConsumed, match="was used by billing"):
        client.consume_receipt(TOKEN, consumer="billing")


def test_a_use_that_did_not_arrive_is_made(client: Any, server: Imitation) -> None:
    server.script.append("refuse")
    assert client.consume_receipt(TOKEN).consumed_by == server.consumed_by


def test_a_receipt_is_not_shown_by_accident(client: Any, server: Imitation) -> None:
    server.does = Said(
        201,
        {
            "receiptId": "r",
            "receipt": TOKEN,
            "expiresAt": "2026-11-23T16:52:00Z",
            "claims": {"aud": "x"},
        },
    )
    receipt = client.receipt("w", audience="x", ttl_seconds=60)
    assert receipt.receipt == TOKEN
    assert TOKEN not in repr(receipt)


def test_a_fingerprint_is_that_of_the_server() -> None:
    empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert fingerprint(b"{}") == f"sha256:{empty}"


# --- The feed -------------------------------------------------------------------------------------


@pytest.fixture
def follower(server: Imitation) -> Client:
    server.feed = list(TYPES)
    return Client(server.url, KEY, timeout=0.3, retries=0, patience=2)


def test_each_event_comes_once_whatever_breaks(follower: Client, server: Imitation) -> None:
    server.script.extend(["drop", "answer", problem(503, "unavailable"), "rubbish", "mute"])
    seen = list(itertools.islice(follower.follow(after=None), len(TYPES)))
    assert [each.type for each in seen] == TYPES
    assert [each.cursor for each in seen] == ["1", "2", "3", "4", "5"]


def test_a_cursor_is_where_it_goes_on(follower: Client) -> None:
    stopped = next(follower.follow(after=None)).cursor
    rest = itertools.islice(follower.follow(after=stopped), len(TYPES) - 1)
    assert [each.type for each in rest] == TYPES[1:]


def test_news_only_is_the_default(follower: Client, server: Imitation) -> None:
    news = follower.follow()
    server.script.append("answer")
    original = server.next_behaviour

    def happens(call: Any) -> Any:
        if len(server.ledger) == 2:
            server.feed.append("workflow.completed")
        return original(call)

    server.next_behaviour = happens  # type: ignore[method-assign]
    assert next(news).type == "workflow.completed"
    assert "after=latest" in server.ledger[0].query


def test_what_is_wrong_with_the_question_is_told(follower: Client, server: Imitation) -> None:
    server.does = problem(400, "validation", "At ?after: This is no cursor.")
    with pytest.raises(InvalidInput, match="no cursor"):
        next(follower.follow(after="x"))


def test_a_feed_that_is_gone_is_told(follower: Client, server: Imitation) -> None:
    server.does = "refuse"
    with pytest.raises(Unreachable):
        next(follower.follow())


async def test_it_can_be_followed_asynchronously(server: Imitation) -> None:
    server.feed = list(TYPES)
    server.script.extend(["answer", "drop"])
    async with AsyncClient(server.url, KEY, timeout=0.5) as client:
        seen = []
        async for event in client.follow(after="1", types=["human.viewed"], workflow="w"):
            seen.append(event.type)
            if len(seen) == 4:
                break
    assert seen == TYPES[1:]
    assert server.ledger[0].query == "type=human.viewed&workflowId=w&after=1&wait=1"
