"""Webhooks are genuine or refused: against the server's own sender and the official library."""

import base64
import datetime as dt
import hmac
import json
import secrets
import time
from typing import Any

import pytest
from hitl_client.webhooks import NotGenuine, verify
from standardwebhooks import Webhook

from events.webhooks import endpoints
from hitl.accounts.models import Agent, Team
from hitl.lib import webhook_signing as signing
from tests.events.webhooks.conftest import hook as hook
from tests.events.webhooks.conftest import receiver as receiver
from tests.events.webhooks.hooks import Hook, make_hook
from tests.receiver import Receiver
from tests.workflows.factories import make_workflow

SECRET = signing.new_secret()
PRIVATE = signing.new_private_key()
BODY = json.dumps(
    {
        "type": "workflow.completed",
        "timestamp": "2026-11-23T16:58:00.123456Z",
        "data": {"workflowId": "w", "seq": 7, "status": "COMPLETED", "workflow": {"name": "n"}},
    }
).encode()


def signed(
    secret: str = SECRET, body: bytes = BODY, *, age: float = 0, message_id: str = "msg_1"
) -> dict[str, str]:
    stamp = int(time.time() - age)
    return {
        "Webhook-Id": message_id,
        "webhook-timestamp": str(stamp),
        "WEBHOOK-SIGNATURE": signing.sign(secret, message_id, stamp, body),
    }


# --- Refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-id": "msg.1"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "١٢٣"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 5000},
        {"WEBHOOK-SIGNATURE": ""},
        {"WEBHOOK-SIGNATURE": "v1"},
        {"WEBHOOK-SIGNATURE": "v1,"},
        {"WEBHOOK-SIGNATURE": "v1,ünïcode"},
        {"WEBHOOK-SIGNATURE": "v1," + base64.b64encode(b"0" * 32).decode()},
        {"WEBHOOK-SIGNATURE": signing.sign(SECRET, "msg_1", int(time.time()) + 9, BODY)},
    ],
)
def test_any_change_of_a_header_is_refused(change: dict[str, str]) -> None:
    headers = {name.lower(): value for name, value in signed().items()}
    headers |= {name.lower(): value for name, value in change.items()}
    with pytest.raises(NotGenuine):
        verify(BODY, headers, SECRET)


def test_any_change_of_the_body_is_refused() -> None:
    with pytest.raises(NotGenuine, match="No signature fits"):
        verify(BODY.replace(b"COMPLETED", b"REJECTED"), signed(), SECRET)


def test_without_headers_nothing_is_genuine() -> None:
    with pytest.raises(NotGenuine):
        verify(BODY, {}, SECRET)


@pytest.mark.parametrize("age", [301, -301])
def test_old_messages_and_those_from_the_future_are_refused(age: float) -> None:
    with pytest.raises(NotGenuine, match="too old, or a clock is wrong"):
        verify(BODY, signed(age=age), SECRET)
    assert verify(BODY, signed(age=age), SECRET, tolerance=400).id == "msg_1"


def test_a_signature_of_the_wrong_kind_does_not_count() -> None:
    headers = signed()
    headers["WEBHOOK-SIGNATURE"] = headers["WEBHOOK-SIGNATURE"].replace("v1,", "v1a,")
    with pytest.raises(NotGenuine):
        verify(BODY, headers, SECRET)
    with pytest.raises(NotGenuine):
        verify(BODY, signed(), signing.public_key(PRIVATE))


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_c2hvcnQ=", "whsec_***", "secret", PRIVATE, "whpk_c2hvcnQ=", []],
)
def test_a_secret_that_is_none_is_a_mistake_of_ours(secret: Any) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify(BODY, signed(), secret)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type":1}', b"\xff", b"[" * 100_000])
def test_a_genuine_body_that_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(NotGenuine, match="no message of hitl"):
        verify(body, signed(body=body), SECRET)


# --- Taken ----------------------------------------------------------------------------------------


def test_a_genuine_message_says_what_happened() -> None:
    event = verify(BODY, signed(), SECRET)
    assert (event.id, event.type, event.seq) == ("msg_1", "workflow.completed", 7)
    assert (event.workflow_id, event.status) == ("w", "COMPLETED")
    assert event.timestamp == dt.datetime(2026, 11, 23, 16, 58, 0, 123456, dt.UTC)
    assert (event.workflow, event.omitted) == ({"name": "n"}, [])


def test_each_of_two_secrets_counts_while_one_is_rotated() -> None:
    new = signing.new_secret()
    assert verify(BODY, signed(SECRET), [new, SECRET]).id == "msg_1"
    both = signed(SECRET)
    both["WEBHOOK-SIGNATURE"] += " " + signed(new)["WEBHOOK-SIGNATURE"] + " v2,AAAA rubbish"
    assert verify(BODY, both, new).id == verify(BODY, both, SECRET).id == "msg_1"


def test_ed25519_needs_only_the_public_key() -> None:
    key = signing.public_key(PRIVATE)
    assert verify(BODY, signed(PRIVATE), key).id == "msg_1"
    assert verify(BODY, signed(PRIVATE), [SECRET, key]).id == "msg_1"
    with pytest.raises(NotGenuine):
        verify(BODY, signed(signing.new_private_key()), key)


def test_the_official_library_and_ours_agree() -> None:
    now = dt.datetime.now(dt.UTC)
    signature = Webhook(SECRET).sign("msg_1", now, BODY.decode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    assert verify(BODY, headers, SECRET).id == "msg_1"


def test_how_often_it_compares_does_not_tell_which_secret_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bool] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(compare(one, other))
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", counted)
    others = [f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}" for _ in range(3)]
    verify(BODY, signed(), [SECRET, *others])
    assert compared == [True, False, False, False]


# --- What the server really sends -----------------------------------------------------------------


@pytest.mark.django_db
def test_what_the_server_sends_is_genuine(hook: Hook, agent: Agent, receiver: Receiver) -> None:
    workflow = make_workflow(agent)
    hook.drain()
    [received] = receiver.ledger
    event = verify(received.body, received.headers, hook.secret)
    assert (event.type, event.status, event.seq) == ("workflow.created", "PENDING", 1)
    assert event.workflow_id == str(workflow.pk)
    assert event.workflow["actionData"] == workflow.action_data
    with pytest.raises(NotGenuine):
        verify(received.body + b" ", received.headers, hook.secret)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values", [{"signature": "v1a"}, {"body_format": "cloudevents"}], ids=["ed25519", "cloudevents"]
)
def test_its_other_forms_are_genuine_too(
    team: Team, agent: Agent, receiver: Receiver, values: dict[str, str]
) -> None:
    hook = make_hook(team, receiver.url, **values)
    make_workflow(agent)
    hook.drain()
    [received] = receiver.ledger
    event = verify(received.body, received.headers, hook.secret)
    assert (event.type, event.status) == ("workflow.created", "PENDING")


@pytest.mark.django_db
def test_the_servers_rotation_is_bridged(hook: Hook, agent: Agent, receiver: Receiver) -> None:
    old = hook.secret
    new = endpoints.rotate(hook.endpoint.pk, overlap=dt.timedelta(hours=1)).secret
    make_workflow(agent)
    hook.drain()
    [received] = receiver.ledger
    for known in (old, new, [old, new]):
        assert verify(received.body, received.headers, known).type == "workflow.created"
