"""Steps 5 and 6 of the seed's sequence diagram, and its event log, as those hear it who follow.

A whole server; one follower by stream, one by socket, one webhook. The human answers through the
same doors as people do.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.embedded import Embedded, running
from tests.followers import Told, follow_socket, follow_stream, following
from tests.live_server import LiveServer
from tests.receiver import Receiver, receiver
from tests.test_up_channels import ADMIN, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it is about SQLite"),
]

# The seed's "Event Log Pattern"; the two channels go in parallel there.
SEED = [
    "workflow.created", "approval.sent.slack", "approval.sent.email", "human.viewed",
    "human.responded", "action.executing", "workflow.completed",
]  # fmt: skip
OURS_ALONE = ("approval.sent.sms", "approval.sent.telegram")
PATIENCE = 30


@pytest.fixture(scope="module")
def outside() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, outside: Receiver) -> Iterator[Embedded]:
    variables = {
        "HITL_BOOTSTRAP_EMAIL": "",
        "OUTBOUND_ALLOW": outside.allow,
        "OUTBOUND_ALLOW_HTTP": "on",
    }
    with running(tmp_path_factory.mktemp("streams"), **variables) as found:
        yield found


class Listeners:
    """The three who follow from the outside."""

    def __init__(self, outside: Receiver, secret: str) -> None:
        self.stream, self.socket = Told("stream"), Told("socket")
        self._outside, self._secret = outside, secret

    @property
    def webhook(self) -> list[dict[str, Any]]:
        """What was posted, signatures verified, in each request's order."""
        hook, posts = Webhook(self._secret), list(self._outside.ledger)
        found = [hook.verify(each.body, each.headers)["data"] for each in posts]
        return sorted(found, key=lambda data: int(data["seq"]))

    async def hear(self, workflow_id: str, *types: str) -> None:
        """Come back when all three have heard of these, and nothing else, in this order."""
        async with asyncio.timeout(PATIENCE):
            while any(len(found) < len(types) for found in self.heard(workflow_id)):
                await asyncio.sleep(0.05)
        for found in self.heard(workflow_id):
            assert in_seeds_order(found) == list(types)

    def heard(self, workflow_id: str) -> list[list[str]]:
        """The types that each has heard of, each once: several people are asked, and by channels
        that the seed does not know, too."""
        told = [
            [event for event in one.events if event["workflowId"] == workflow_id]
            for one in (self.stream, self.socket)
        ]
        posted = [each["event"] for each in self.webhook if each["workflowId"] == workflow_id]
        return [
            list(dict.fromkeys(event["type"] for event in found if event["type"] not in OURS_ALONE))
            for found in (*told, posted)
        ]


def in_seeds_order(types: list[str]) -> list[str]:
    """What was sent in parallel, in the order in which the seed draws it."""
    sent = sorted((each for each in types if each.startswith("approval.sent")), reverse=True)
    return [sent.pop(0) if each.startswith("approval.sent") else each for each in types]


@pytest.fixture(scope="module")
def person(embedded: Embedded) -> str:
    """A manager's token."""
    return embedded.manage("create_token", "--user", ADMIN).stdout.strip()


@pytest.fixture(scope="module")
def secret(embedded: Embedded, outside: Receiver, person: str) -> str:
    """A webhook for everything; what signs its posts."""
    made = embedded.call("POST", "/api/v1/webhooks", {"url": outside.url}, token=person)
    assert made.status == 201, made.json
    return str(made.json["secret"])


@pytest.fixture
async def listeners(
    embedded: Embedded, outside: Receiver, secret: str, person: str
) -> AsyncIterator[Listeners]:
    server = LiveServer(embedded.port, embedded.process, embedded.api_key, person, embedded.log)
    found = Listeners(outside, secret)
    stream, socket = follow_stream(server, found.stream), follow_socket(server, found.socket)
    async with following(stream, socket):
        yield found


async def ask(embedded: Embedded, method: str, path: str, body: Any = None) -> Any:
    answer = await asyncio.to_thread(embedded.call, method, path, body)
    assert answer.status < 300, answer.json
    return answer.json


async def test_success_path_is_told_to_everybody_event_by_event(
    embedded: Embedded, listeners: Listeners
) -> None:
    # Steps 1 and 2: the agent asks; both channels send.
    asked = await ask(
        embedded, "POST", "/workflows/create", {"actionType": "a.b", "actionData": {"n": 1}}
    )
    workflow_id = asked["workflowId"]
    path = f"/api/v1/workflows/{workflow_id}"
    await listeners.hear(workflow_id, *SEED[:3])

    # Step 4: the human looks and approves.
    browser = await asyncio.to_thread(Browser, embedded)
    page = await asyncio.to_thread(browser.get, f"/workflows/{workflow_id}/")
    await listeners.hear(workflow_id, *SEED[:4])
    fields = dict(re.findall(r'name="(fingerprint|nonce)"\s+value="([^"]+)"', page))
    decide = f"/workflows/{workflow_id}/decide/"
    await asyncio.to_thread(lambda: browser.post(decide, decision="approved", **fields))
    await listeners.hear(workflow_id, *SEED[:5])

    # Step 5: the action runs.
    started = await ask(embedded, "POST", f"{path}/execution/start")
    await listeners.hear(workflow_id, *SEED[:6])
    report = {"attempt": started["attempt"], "result": {"refundId": "re_1"}}
    await ask(embedded, "POST", f"{path}/execution/complete", report)

    # Step 6: the agent and the dashboard are told that it is done, with the same facts as the log.
    await listeners.hear(workflow_id, *SEED)
    log = (await ask(embedded, "GET", f"{path}/events"))["items"]
    for told in (listeners.stream, listeners.socket):
        mine = [event for event in told.events if event["workflowId"] == workflow_id]
        assert [event["hash"] for event in mine] == [event["hash"] for event in log]
        assert [event["stateSnapshot"] for event in mine] == [
            event["stateSnapshot"] for event in log
        ]
        assert mine[-1]["status"] == "COMPLETED"
    posted = [each for each in listeners.webhook if each["workflowId"] == workflow_id]
    assert [each["event"]["hash"] for each in posted] == [each["hash"] for each in log]


async def test_timeout_is_told_to_everybody(embedded: Embedded, listeners: Listeners) -> None:
    body = {"actionType": "a.b", "actionData": {}, "timeoutSeconds": 5}
    asked = await ask(embedded, "POST", "/workflows/create", body)
    await listeners.hear(asked["workflowId"], *SEED[:3], "workflow.timeout")
    assert json.dumps(listeners.stream.events[-1]) == json.dumps(listeners.socket.events[-1])
